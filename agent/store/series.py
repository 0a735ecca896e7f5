"""One series in memory: an open run of raw values, a held run not yet packed, and packed chunks before them."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

from agent.model import Column, Labels, Series, Still
from agent.store import chunk

SEGMENT_S = 300.0
"""A run is closed after this long; 300 values at 1 Hz pack well and unpack in some 50 µs."""
HOLD_S = 60.0
"""A closed run stays raw this much longer: a window of a minute never needs unpacking, one of five minutes one run at most."""
STALE_S = 15.0
"""A series without a sample for this long, or for three of its own intervals if that is longer, is stale."""
UNKNOWN_INTERVAL_S = 100.0
"""Interval assumed of a series seen once; slow sources, such as inventory, come once a minute."""


if TYPE_CHECKING:
    Floats = array[float]
else:
    Floats = array  # not subscriptable before Python 3.12


class Times(Floats):
    """The times of one run, shared by every series that was sampled at just these moments."""

    __slots__ = ("until",)
    until: float  # from this moment on the run is over


class Together:
    """Series that always come together. Their values were read at the first ``count`` of ``times``, which may go on without them.

    Nothing comes to it any more once it is ``broken``: its series belong to another one by then, or have ended.
    """

    __slots__ = ("alone", "broken", "count", "home", "last", "refused", "series", "times")

    def __init__(self, times: Times, home: object) -> None:
        self.times = times
        self.home = home
        self.count = 1
        self.last = times[0]
        self.series: list[Kept | None] = []  # None: it was refused
        self.refused = 0
        self.broken = False
        self.alone = False  # the only one of its kind: may come as a sample by itself

    def leave(self) -> None:
        """One of them belongs elsewhere from now on."""
        self.broken, self.alone = True, False

    def begin(self, times: Times) -> None:
        """All series have closed their runs and begun others."""
        self.times, self.count, self.last = times, 1, times[0]

    def size(self) -> int:
        """Bytes of memory of its own."""
        return _TOGETHER_BYTES + sys.getsizeof(self.series)


class Kept:
    """One series. Value ``i`` was read at ``times[i]``; ``values`` is never empty, and the last one holds until ``count``."""

    __slots__ = ("_held", "_packed", "_spans", "_stood", "ended", "handle", "interval", "together", "values")

    def __init__(self, handle: Series, together: Together, value: float, interval: float) -> None:
        self.handle = handle
        self.together = together
        self.values = array("d", (value,))
        self.interval = interval
        self.ended: float | None = None
        self._spans: tuple[Times, ...] = ()  # one for each closed run, oldest first
        self._packed = b""
        self._held: array[float] | None = None  # the newest closed run while it is still raw
        self._stood = 0  # so many of the newest closed runs had only the value with which the open one began

    @property
    def labels(self) -> Labels:
        """The label set."""
        return self.handle.labels

    @property
    def times(self) -> Times:
        """When the values of the open run were read; it may go on without this series."""
        return self.together.times

    @property
    def count(self) -> int:
        """How many values the open run has."""
        return self.together.count

    @property
    def last(self) -> float:
        """When the newest value was read."""
        return self.together.last

    @property
    def first(self) -> float:
        """When the oldest value still kept was read."""
        return self._spans[0][0] if self._spans else self.times[0]

    def run(self) -> array[float]:
        """The values of the open run, all of them written out. Not to be changed."""
        values = self.values
        if missing := self.together.count - len(values):
            values.extend(values[-1:] * missing)
        return values

    def live(self, now: float) -> bool:
        """Whether the series was neither ended nor stale at ``now``."""
        if self.ended is not None and self.ended <= now:
            return False
        last = self.last
        return now - last <= STALE_S or now - last <= 3 * self._own_interval(last)

    def _own_interval(self, last: float) -> float:
        if self.count > 1:
            return last - self.times[self.count - 2]
        if self._spans:
            return last - self._spans[-1][self._count_of_newest() - 1]
        return self.interval or UNKNOWN_INTERVAL_S

    def _count_of_newest(self) -> int:
        return len(self._held) if self._held is not None else chunk.count(self._packed, self._newest())

    def _newest(self) -> int:
        """Where the newest packed run begins."""
        at, packed = 0, self._packed
        while (following := chunk.after(packed, at)) < len(packed):
            at = following
        return at

    def closed(self, run: Times | None) -> array[float] | None:
        """The values of the newest closed run if it was this one, else None. Not to be changed."""
        if not self._spans or self._spans[-1] is not run:
            return None
        return self._held if self._held is not None else chunk.unpack(self._packed, self._newest())

    def stood(self, run: Times | None) -> int:
        """How many values the newest closed run has if it was this one and had only the one the open run began with; else 0."""
        if not self._stood or not self._spans or self._spans[-1] is not run:
            return 0
        return chunk.count(self._packed, len(self._packed) - chunk.STILL_BYTES)

    def append(self, value: float) -> None:
        """One value more, before it is counted."""
        values = self.values
        if missing := self.together.count - len(values):
            values.extend(values[-1:] * missing)
        values.append(value)

    def close(self, value: float) -> bool:
        """End the open run and begin the next with one value. True if the old run now waits to be packed."""
        self.pack()
        self._spans += (self.times,)
        if len(self.values) == 1:  # it never moved
            self._packed += chunk.still(self.values[0], self.count)
        else:
            self._held = self.run()
            if chunk.constant(self._held):
                self.pack()
        begun = array("d", (value,))
        stands = self._held is None and begun.tobytes() == self.values[:1].tobytes()  # 0.0 equals -0.0
        self._stood = self._stood + 1 if stands else 0
        self.values = begun
        return self._held is not None

    def pack(self) -> None:
        """Pack the held run, if there is one."""
        if self._held is not None:
            self._packed += chunk.pack(self._held)
            self._held = None

    def trim(self, oldest: float) -> None:
        """Forget the closed runs that were over before ``oldest``."""
        while self._spans and self._spans[0].until <= oldest:
            self._spans = self._spans[1:]
            if self._packed:
                self._packed = self._packed[chunk.after(self._packed, 0) :]
            else:
                self._held = None

    def column(self, low: float, high: float) -> Column | None:
        """What was read in ``(low, high]``; None if nothing was."""
        together = self.together
        run, n = together.times, together.count
        first = bisect_right(run, low, 0, n)
        end = n if run[n - 1] <= high else bisect_right(run, high, first, n)
        if first or not self._spans:  # all of it lies in the open run, as for most questions
            return Column(run[first:end], self._written(first, end)) if first < end else None
        times, values = array("d"), array("d")
        self._closed(low, high, times, values)
        times.extend(run[:end])
        values.extend(self._written(0, end))
        return Column(times, values) if values else None

    def still(self, low: float, high: float) -> Still | None:
        """The column in short where its values are one number, as far as that is seen without unpacking; None says nothing."""
        together, value = self.together, self.values[-1]
        run, n = together.times, together.count
        last = run[n - 1]
        if not low < last <= high or value - value != 0.0:  # no number, or no finite one
            return None
        first = bisect_right(run, low, 0, n)
        if first < len(self.values) - 1:  # it moved
            return None
        count, begin = n - first, run[first]
        if first == 0:
            for back, span in enumerate(reversed(self._spans), 1):
                if span.until <= low:
                    break
                if back > self._stood:
                    return None
                k = chunk.count(self._packed, len(self._packed) - back * chunk.STILL_BYTES)
                place = bisect_right(span, low, 0, k)
                count, begin = count + k - place, span[place] if place < k else begin
        return Still(count, begin, last, value)

    def _written(self, first: int, end: int) -> array[float]:
        """Part of the open run's values, with what has not moved written out."""
        values = self.values
        n = len(values)
        if end <= n:
            return values[first:end]
        return values[-1:] * (end - first) if first >= n else values[first:] + values[-1:] * (end - n)

    def _closed(self, low: float, high: float, times: array[float], values: array[float]) -> None:
        if self._held is not None and self._spans[-1][0] <= low:  # as a rule: the runs before need not be walked
            _extend(times, values, self._spans[-1], self._held, low, high)
            return
        at = 0
        for span in self._spans:
            packed = at < len(self._packed)
            if span.until > low and span[0] <= high:
                run = chunk.unpack(self._packed, at) if packed else self._held
                assert run is not None
                _extend(times, values, span, run, low, high)
            if packed:
                at = chunk.after(self._packed, at)

    def size(self) -> int:
        """Bytes of memory of its own; shared times are counted by the ring."""
        held = 0 if self._held is None else sys.getsizeof(self._held)
        return _KEPT_BYTES + sys.getsizeof(self.values) + held + len(self._packed) + 8 * len(self._spans)

    def spans(self) -> tuple[Times, ...]:
        """The times of every run, the open one last."""
        return (*self._spans, self.times)


_KEPT_BYTES = 104 + 33 + 40 + 150  # the object, its packed bytes' and spans' heads, its places in the ring's indexes
_TOGETHER_BYTES = 112


def _extend(times: array[float], values: array[float], run_times: Times, run_values: array[float], low: float, high: float) -> None:
    """Append the part of one run that lies in ``(low, high]``; ``run_times`` may be longer than ``run_values``."""
    first, end = _part(run_times, len(run_values), low, high)
    times.extend(run_times[first:end])
    values.extend(run_values[first:end])


def _part(times: Times, n: int, low: float, high: float) -> tuple[int, int]:
    """Where the part in ``(low, high]`` of the first ``n`` times begins and ends."""
    first = 0 if times[0] > low else bisect_right(times, low, 0, n)
    return first, n if times[n - 1] <= high else bisect_right(times, high, first, n)
