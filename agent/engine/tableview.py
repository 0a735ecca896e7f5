"""A view over columns written down: what rule tests judge on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy

from agent.model import ENTITY_ENDED, Column, Event, Labels, Still

LIVE_FOR = 300.0
"""Seconds after its last sample a series still counts as there, as in the store."""


class TableView:
    """Answers a :class:`agent.model.View` from columns by name and labels; :meth:`at` looks from another moment."""

    def __init__(self, columns: Mapping[str, Mapping[Labels, Column]], events: Iterable[Event] = (), now: float = 0.0) -> None:
        self.now = now
        self._columns = columns
        self._events = sorted(events, key=lambda e: e.time)
        self._ends = [(e.time, set(e.labels)) for e in self._events if e.kind == ENTITY_ENDED]

    def at(self, now: float) -> TableView:
        """The same columns at another moment; later samples are unseen."""
        other = copy(self)
        other.now = now
        return other

    def series(self, name: str, window: float) -> Mapping[Labels, Column]:
        """All series of a name with a sample in the window."""
        found = {labels: self.column(name, labels, window) for labels in self._columns.get(name, {})}
        return {labels: column for labels, column in found.items() if column is not None}

    def column(self, name: str, labels: Labels, window: float) -> Column | None:
        """One series, or None if it has no sample in the window."""
        whole = self._columns.get(name, {}).get(labels)
        if whole is None:
            return None
        start, end = self._span(whole, labels, window)
        return Column(whole.times[start:end], whole.values[start:end]) if end > start else None

    def newest(self, name: str, labels: Labels, window: float) -> tuple[float, float] | None:
        """Time and value of the last sample in the window."""
        whole = self._columns.get(name, {}).get(labels)
        if whole is None:
            return None
        start, end = self._span(whole, labels, window)
        return (whole.times[end - 1], whole.values[end - 1]) if end > start else None

    def still(self, name: str, labels: Labels, window: float) -> Still | None:
        """Nothing is seen at a glance here."""
        return None

    def labels(self, name: str) -> Collection[Labels]:
        """Live label sets of a name."""
        return [labels for labels in self._columns.get(name, {}) if self.newest(name, labels, LIVE_FOR) is not None]

    def events(self, kind: str, window: float) -> Sequence[Event]:
        """Events of a kind in the window, oldest first."""
        return [e for e in self._events if e.kind == kind and self.now - window < e.time <= self.now]

    def _span(self, whole: Column, labels: Labels, window: float) -> tuple[int, int]:
        """Where the window's samples lie. Those up to an entity's end are no longer its successor's."""
        begin = max([self.now - window, *(time for time, ended in self._ends if time <= self.now and ended <= set(labels))])
        end = bisect_right(whole.times, self.now)
        return bisect_right(whole.times, begin, 0, end), end
