"""The last hour in memory. Written by the sampling loop only; answers the judge, the page and diagnoses as a View."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.model import ENTITY_ENDED, Column, Event, Labels, Sample, Series
from agent.store import chunk
from agent.store.index import Index
from agent.store.series import HOLD_S, SEGMENT_S, STALE_S, Kept, Times

KEEP_S = 3600.0
"""How far back windows reach."""
MAX_SERIES = 50_000
MAX_EVENTS = 2_000
BACK_STEP_S = 60.0
"""A wall clock set back by more than this starts history anew: its old times lie in the future now."""
_PHASES = 10  # runs end in this many groups, so that closing and packing spread over the ticks
_PACK_ROUND, _SWEEP_ROUND = 300, 60  # ticks in which every series could be packed; in which every series is looked over


@dataclass
class Tap:
    """What the recorder has not yet fetched: events, and series that ended; the rest it finds by itself."""

    events: list[Event] = field(default_factory=list)
    ended: list[Kept] = field(default_factory=list)


class Ring:
    """One hour of samples and the recent events; implements :class:`agent.model.View` at its newest tick.

    ``dropped`` counts samples refused: not newer than the series' last, not a number, or over ``max_series``.
    ``events_dropped`` counts events pushed out by newer ones, ``restarts`` how often a stepped clock made history start anew.
    """

    def __init__(self, keep: float = KEEP_S, max_series: int = MAX_SERIES, max_events: int = MAX_EVENTS) -> None:
        self.now = 0.0
        self.ticks = 0
        self.dropped = 0
        self.events_dropped = 0
        self.restarts = 0
        self.tap: Tap | None = None
        self._keep = keep
        self._max_events = max_events
        self._max_series = max_series
        self._start_anew()

    def _start_anew(self) -> None:
        self._index = Index(self._max_series)
        self._by_handle = self._index.by_handle
        self._events: dict[str, deque[Event]] = {}
        self._pending: deque[tuple[float, Kept]] = deque()
        self._tick = 0.0
        self._fresh: dict[float, Times] = {}
        self._forks: dict[tuple[int, int], tuple[Times, Times]] = {}

    def add(self, time: float, items: Iterable[Sample | Event], interval: float = 0.0) -> None:
        """Store what one source brought at ``time``. ``interval`` is the source's own period, where known."""
        if time != self._tick:
            self._turn(time)
        find, moved = self._by_handle.get, self._index.moved
        for item in items:
            kept = None
            try:
                kept = find(item[0])  # type: ignore[index]  # by position: unpacking a named tuple takes longer
                values = kept.values  # type: ignore[union-attr]
                if kept.times[len(values)] == time:  # type: ignore[union-attr]  # another series of this tick wrote the time
                    if values[-1] != item[1]:  # type: ignore[index]
                        moved.add(kept)  # type: ignore[arg-type]
                    values.append(item[1])  # type: ignore[index]
                    continue
            except (IndexError, AttributeError):  # the first sample of this tick; a handle not seen before
                pass
            except TypeError:
                if isinstance(item, Event):
                    self._add_event(item)
                else:
                    self.dropped += 1
                continue
            self._place(kept, item[0], item[1], time, interval)  # type: ignore[index]

    def _turn(self, time: float) -> None:
        """A new tick: a bounded share of the packing and of the looking-over."""
        if time < self.now - BACK_STEP_S:
            self._start_anew()
            self.restarts += 1
            self.now = time
        self._tick = time
        self.now = max(self.now, time)
        self.ticks += 1
        self._fresh.clear()
        self._forks.clear()
        size = len(self._index)
        for _ in range(4 + size // _PACK_ROUND):
            if not self._pending or self._pending[0][0] > time:
                break
            self._pending.popleft()[1].pack()
        self._index.sweep(1 + size // _SWEEP_ROUND, self.now - self._keep)

    def _place(self, kept: Kept | None, handle: Series, value: float, time: float, interval: float) -> None:
        """The less common cases: a new series or handle, the first sample of a tick, a missed tick, the end of a run."""
        try:
            value = float(value)
        except (TypeError, ValueError):
            self.dropped += 1
            return
        kept = kept or self._index.adopt(handle)
        if kept is None:
            self._begin(handle, value, time, interval)
            return
        self._index.moved.add(kept)
        times, n = kept.times, len(kept.values)
        if time <= times[n - 1]:
            self.dropped += 1
        elif time >= times.until or n >= chunk.LIMIT:
            if kept.close(self._run(time, times.until % SEGMENT_S), value):
                self._pending.append((time + HOLD_S, kept))
        else:
            if len(times) > n and times[n] != time:
                times = kept.times = self._fork(times, n, time)
            elif len(times) == n:
                times.append(time)
            kept.values.append(value)

    def _begin(self, handle: Series, value: float, time: float, interval: float) -> None:
        phase = self._index.phase(handle) % _PHASES * (SEGMENT_S / _PHASES)
        if not self._index.put(Kept(handle, self._run(time, phase), value, interval)):
            self.dropped += 1

    def _run(self, time: float, phase: float) -> Times:
        """Times for a run that begins now, shared by all runs of that phase that do."""
        times = self._fresh.get(phase)
        if times is None:
            times = self._fresh[phase] = Times("d", (time,))
            times.until = time - (time - phase) % SEGMENT_S + SEGMENT_S
        return times

    def _fork(self, times: Times, n: int, time: float) -> Times:
        """Own times for a series that missed a tick its companions had; shared by those that missed the same ones."""
        known = self._forks.get((id(times), n))
        if known is not None:
            return known[1]
        fork = Times("d", times[:n])
        fork.append(time)
        fork.until = times.until
        self._forks[id(times), n] = (times, fork)  # keeping the old one keeps its id from being taken again
        return fork

    # ------------------------------------------------------------------------------------------ events

    def _add_event(self, event: Event) -> None:
        if event.kind == ENTITY_ENDED:
            self._end(event.labels, event.time)
        kept = self._events.get(event.kind)
        if kept is None:
            kept = self._events[event.kind] = deque(maxlen=self._max_events)
        self.events_dropped += len(kept) == self._max_events
        kept.append(event)
        if self.tap is not None:
            self.tap.events.append(event)

    def end(self, labels: Labels) -> None:
        """End every series that has these labels: no longer live, still readable; a later sample begins a new series."""
        self._end(labels, self.now)

    def _end(self, labels: Labels, time: float) -> None:
        ended = self._index.end(labels, time)
        if self.tap is not None:
            self.tap.ended += ended

    # ------------------------------------------------------------------------------------------ reading

    def at(self, now: float) -> Moment:
        """A View fixed at ``now``: what is added later is not seen through it."""
        return Moment(self, now)

    def series(self, name: str, window: float) -> Mapping[Labels, Column]:
        """All series of that name with at least one sample in ``(now - window, now]``."""
        return self.at(self.now).series(name, window)

    def column(self, name: str, labels: Labels, window: float) -> Column | None:
        """One series, or None if it has no sample in the window."""
        return self.at(self.now).column(name, labels, window)

    def labels(self, name: str) -> Collection[Labels]:
        """Label sets of that name that are live (not ended, not stale) now."""
        return self.at(self.now).labels(name)

    def events(self, kind: str, window: float) -> Sequence[Event]:
        """Events of that kind in the window, oldest first."""
        return self.at(self.now).events(kind, window)

    def live(self, name: str) -> list[Kept]:
        """The live series of that name; ``values[-1]`` is the newest value. Cheap: made for the page."""
        now, fresh = self.now, self.now - STALE_S
        return [k for k in self._index.current(name).values() if k.times[len(k.values) - 1] >= fresh or k.live(now)]

    def news(self) -> tuple[set[Kept], set[str]]:
        """Series whose value changed, and names with series that came or went, since the last call. There is one page to call."""
        return self._index.news()

    def latest(self, name: str) -> Mapping[Labels, tuple[float, float]]:
        """Time and value of the newest sample of every live series of that name."""
        return {kept.labels: (kept.last, kept.values[-1]) for kept in self.live(name)}

    def current(self) -> Collection[Kept]:
        """Every series that was not ended."""
        return self._by_handle.values()

    def names(self) -> Collection[str]:
        """Names that have, or had within the hour, a series."""
        return self._index.names()

    def __len__(self) -> int:
        return len(self._index)

    @property
    def bytes(self) -> int:
        """Memory of series, indexes and shared times. Walks all series: some milliseconds for 2,000, so ask seldom."""
        return self._index.size()


class Moment:
    """The ring as it stood at ``now``, for a diagnosis that takes longer than a tick."""

    __slots__ = ("_ring", "now")

    def __init__(self, ring: Ring, now: float) -> None:
        self._ring = ring
        self.now = now

    def series(self, name: str, window: float) -> Mapping[Labels, Column]:
        """All series of that name with at least one sample in ``(now - window, now]``; of equal labels the newest."""
        found = {}
        for kept in self._ring._index.all(name):
            column = kept.column(self.now - window, self.now)
            if column is not None:
                found[kept.labels] = column
        return found

    def column(self, name: str, labels: Labels, window: float) -> Column | None:
        """One series, or None if it has no sample in the window; of an ended one and its successor the successor."""
        for kept in self._ring._index.same(name, labels):
            if (column := kept.column(self.now - window, self.now)) is not None:
                return column
        return None

    def labels(self, name: str) -> Collection[Labels]:
        """Label sets of that name that were live (not ended, not stale) at ``now``."""
        if self.now == self._ring.now:
            return [kept.handle.labels for kept in self._ring.live(name)]
        return [kept.labels for kept in self._ring._index.all(name) if kept.first <= self.now and kept.live(self.now)]

    def events(self, kind: str, window: float) -> Sequence[Event]:
        """Events of that kind in the window, oldest first."""
        low = self.now - window
        return [event for event in self._ring._events.get(kind, ()) if low < event.time <= self.now]
