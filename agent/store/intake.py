"""Puts what sources bring where it is kept. What comes together shares its times, and what has not moved is only counted."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

from agent.model import Event, Figures, Item, Sample, Series
from agent.store import chunk
from agent.store.index import Index
from agent.store.series import HOLD_S, SEGMENT_S, STALE_S, Kept, Times, Together

PHASES = 10
"""Runs end in this many groups, so that closing and packing spread over the ticks."""
_PACK_ROUND, _SWEEP_ROUND = 300, 60  # ticks in which every series could be packed; in which every series is looked over


class Told:
    """Series of one entity that were read at the same moments, and their last values."""

    __slots__ = ("series", "stored", "values")

    def __init__(self, series: list[Series], values: list[float]) -> None:
        self.series = series
        self.values = values
        self.stored: Any = None


class Stretch(NamedTuple):
    """Some moments of them, ``low`` to ``high`` of ``times``. A column is None where the value stays what it was."""

    told: Told
    times: array[float]
    columns: list[array[float] | None]
    low: int
    high: int


class Intake:
    """The writing side of the ring. ``dropped`` counts samples refused; ``on_event`` gets the events, in their place."""

    def __init__(self, index: Index, keep: float, on_event: Callable[[Event], None]) -> None:
        self.dropped = 0
        self._index = index
        self._keep = keep
        self._on_event = on_event
        self._pending: deque[tuple[float, Kept]] = deque()
        self._fresh: dict[tuple[float, float], Times] = {}
        self._forks: dict[tuple[int, int], tuple[Times, Times]] = {}

    def turn(self, time: float, now: float) -> None:
        """A new tick: a bounded share of the packing and of the looking-over."""
        self._fresh.clear()
        self._forks.clear()
        size = len(self._index)
        for _ in range(4 + size // _PACK_ROUND):
            if not self._pending or self._pending[0][0] > time:
                break
            self._pending.popleft()[1].pack()
        self._index.sweep(_SWEEP_ROUND, now - self._keep)

    def add(self, time: float, items: Iterable[Item], interval: float) -> None:
        """Store what one source brought."""
        find, lately = self._index.by_handle.get, time - STALE_S
        for item in items:
            if type(item) is Sample:
                kept = find(item[0])  # by position: unpacking a named tuple takes longer
                if kept is not None and (together := kept.together).alone and together.last > lately:
                    n, times = together.count, together.times
                    if len(times) > n and times[n] == time and item[1] == kept.values[-1]:  # the usual case, written for speed
                        together.count = n + 1
                        together.last = time
                        continue
                self._add_sample(kept, item, time, interval)
            elif type(item) is Event:
                self._on_event(item)
            else:
                self._add_figures(cast(Figures, item), time, interval)

    def _add_sample(self, kept: Kept | None, sample: Sample, time: float, interval: float) -> None:
        handle, value = sample
        try:
            if kept is None or not kept.together.alone:
                self._gather((handle,), array("d", (value,)), time, interval)
            elif time <= kept.together.last:
                self.dropped += 1
            elif self._ready(kept.together, (value,), time):
                if kept.values[-1] != value:
                    kept.append(value)
                    self._index.moved.add(kept)
                kept.together.count += 1
                kept.together.last = time
        except TypeError:  # not a number
            self.dropped += 1

    def _add_figures(self, figures: Figures, time: float, interval: float) -> None:
        """Those that have not moved since last time are not even looked at."""
        together: Together | None = figures.stored
        if together is None or together.broken or together.home is not self or (together.refused and not self._index.full):
            figures.stored = self._gather(figures.series, array("d", figures.values), time, interval)
        elif time <= together.last:
            self.dropped += len(figures.values)
            return
        elif self._ready(together, figures.values, time):
            series, values, moved = together.series, figures.values, self._index.moved
            for place in figures.moved:
                if (kept := series[place]) is not None:
                    kept.append(values[place])
                    moved.add(kept)
            together.count += 1
            together.last = time
            self.dropped += together.refused
        figures.moved.clear()

    def add_stretch(self, stretch: Stretch) -> None:
        """Store what one entity brought at several moments, run by run."""
        told, times, columns, low, high = stretch
        while low < high:
            together: Together | None = told.stored
            if together is None or together.broken or together.home is not self or (together.refused and not self._index.full):
                _tell(stretch, low)
                told.stored = self._gather(told.series, array("d", told.values), times[low], 0.0)
                low += 1
            elif times[low] <= together.last:
                self.dropped += len(columns)
                low += 1
            elif times[low] >= together.times.until or together.count >= chunk.LIMIT:
                _tell(stretch, low)
                self._renew(together, array("d", told.values), times[low])
                low += 1
            else:
                end = bisect_left(times, together.times.until, low, min(high, low + chunk.LIMIT - together.count))
                self._extend(together, columns, times, low, end)
                low = end
        _tell(stretch, high - 1)

    def _extend(self, together: Together, columns: list[array[float] | None], times: array[float], low: int, high: int) -> None:
        """More moments of an open run."""
        n, here = together.count, times[low:high]
        if here[0] - together.last > STALE_S:
            self._back_from_silence(together)
        while (shared := together.times[n : n + len(here)]) != here[: len(shared)]:  # others were read at other moments
            together.times = self._fork(together.times, n, times[low])
        together.times.extend(here[len(shared) :])
        for kept, column in zip(together.series, columns, strict=True):
            if column is not None and kept is not None:
                new, value = column[low:high], kept.values[-1]
                if new.count(value) < len(new):
                    kept.run().extend(new)
                    self._index.moved.add(kept)
        together.count = n + len(here)
        together.last = here[-1]
        self.dropped += together.refused * len(here)

    def _ready(self, together: Together, values: Sequence[float], time: float) -> bool:
        """Whether the values are the next of an open run; the less common cases are dealt with here."""
        times, n = together.times, together.count
        if time - together.last > STALE_S:
            self._back_from_silence(together)
        if len(times) > n and times[n] == time:  # something else of this tick wrote the time
            return True
        if time >= times.until or n >= chunk.LIMIT:
            self._renew(together, array("d", values), time)
            return False
        if len(times) > n:
            together.times = self._fork(times, n, time)
        else:
            times.append(time)
        return True

    def _back_from_silence(self, together: Together) -> None:
        """What was not shown any more has news, moved or not."""
        self._index.moved.update([kept for kept in together.series if kept is not None])

    def _renew(self, together: Together, values: Sequence[float], time: float) -> None:
        """End the runs of all and begin the next."""
        for kept, value in zip(together.series, values, strict=True):
            if kept is not None:
                self._close(kept, value, time)
        together.begin(self._run(time, together.times.until % SEGMENT_S))

    def _close(self, kept: Kept, value: float, time: float) -> None:
        if kept.values[-1] != value:
            self._index.moved.add(kept)
        if kept.close(value):
            self._pending.append((time + HOLD_S, kept))

    def _gather(self, handles: Sequence[Series], values: Sequence[float], time: float, interval: float) -> Together:
        """These come together from now on: new series, handles not seen before, and series that came otherwise until now."""
        index = self._index
        phase = index.phase(handles[0]) % PHASES * (SEGMENT_S / PHASES)
        together = Together(self._run(time, phase), self)
        for handle, value in zip(handles, values, strict=True):
            kept = index.by_handle.get(handle) or index.adopt(handle)
            if kept is None:
                kept = Kept(handle, together, value, interval)
                known = index.put(kept)
            else:
                known = kept.last < time
                if known:
                    kept.together.leave()
                    self._close(kept, value, time)
                    kept.together = together
            together.series.append(kept if known else None)
            together.refused += not known
        together.alone = len(handles) == 1 and not together.refused
        self.dropped += together.refused
        return together

    def _run(self, time: float, phase: float) -> Times:
        """Times for a run that begins now, shared by all runs of that phase that do."""
        times = self._fresh.get((phase, time))
        if times is None:
            times = self._fresh[phase, time] = Times("d", (time,))
            times.until = time - (time - phase) % SEGMENT_S + SEGMENT_S
        return times

    def _fork(self, times: Times, n: int, time: float) -> Times:
        """Own times for series that missed a tick their companions had; shared by those that missed the same ones."""
        known = self._forks.get((id(times), n))
        if known is not None:
            return known[1]
        fork = Times("d", times[:n])
        fork.append(time)
        fork.until = times.until
        self._forks[id(times), n] = (times, fork)  # keeping the old one keeps its id from being taken again
        return fork


def _tell(stretch: Stretch, at: int) -> None:
    """Take the values of one moment for the last ones."""
    values = stretch.told.values
    for place, column in enumerate(stretch.columns):
        if column is not None:
            values[place] = column[at]
