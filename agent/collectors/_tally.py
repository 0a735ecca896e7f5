"""Counters that begin at 0 and are seen to: a series that is new after the first tick shows 0 for one tick, then its count."""

from __future__ import annotations

from agent.model import Labels, Sample, Series

MOST = 512
"""So many series of one name; what comes later is not counted apart."""


class _Count:
    __slots__ = ("series", "shown", "value")

    def __init__(self, series: Series, shown: bool) -> None:
        self.series = series
        self.value = 0.0
        self.shown = shown


class Tally:
    """Counts by name and labels."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, Labels], _Count] = {}
        self._of: dict[str, int] = {}
        self._began = False

    def add(self, name: str, labels: Labels, by: float = 0.0) -> None:
        """Count so many more; by 0 a series is only begun."""
        key = (name, labels)
        count = self._counts.get(key)
        if count is None:
            if self._of.get(name, 0) >= MOST:
                return
            self._of[name] = self._of.get(name, 0) + 1
            count = self._counts[key] = _Count(Series(name, labels), not self._began)
        count.value += by

    def samples(self) -> list[Sample]:
        """One sample of every series."""
        self._began = True
        out = []
        for count in self._counts.values():
            out.append(Sample(count.series, count.value if count.shown else 0.0))
            count.shown = True
        return out
