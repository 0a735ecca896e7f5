"""A view over columns given by hand; built from the notation of rule tests."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.engine import notation
from agent.model import Column, Event, Labels, Still

STALE_AFTER = 900.0


@dataclass
class FakeView:
    """Implements :class:`agent.model.View`; ``now`` may be moved, later samples are then unseen."""

    columns: dict[tuple[str, Labels], Column] = field(default_factory=dict)
    now: float = 0.0
    happened: list[Event] = field(default_factory=list)
    ended: set[tuple[str, Labels]] = field(default_factory=set)
    fetched: int = 0

    @classmethod
    def of(cls, series: Mapping[str | tuple[str, Labels], str | Iterable[float]], interval: float = 1.0) -> FakeView:
        """From ``{"name": "0+1x60"}`` or ``{("name", labels(pid=1)): [1.0, 2.0]}``; all end at the longest one's last sample."""
        view = cls()
        for key, given in series.items():
            name, labels = (key, ()) if isinstance(key, str) else key
            if isinstance(given, str):
                samples = notation.parse_series(given)
                view.columns[name, labels] = notation.column(given, interval)
            else:
                samples = list(given)
                times = array("d", [i * interval for i in range(len(samples))])
                view.columns[name, labels] = Column(times, array("d", samples))
            view.now = max(view.now, (len(samples) - 1) * interval)
        return view

    def at(self, now: float) -> FakeView:
        """The same columns seen at another moment."""
        return FakeView(self.columns, now, self.happened, self.ended)

    def column(self, name: str, labels: Labels, window: float) -> Column | None:
        self.fetched += 1
        whole = self.columns.get((name, labels))
        if whole is None:
            return None
        start, end = bisect_right(whole.times, self.now - window), bisect_right(whole.times, self.now)
        return Column(whole.times[start:end], whole.values[start:end]) if end > start else None

    def newest(self, name: str, labels: Labels, window: float) -> tuple[float, float] | None:
        column = self.column(name, labels, window)
        return None if column is None else (column.times[-1], column.values[-1])

    def still(self, name: str, labels: Labels, window: float) -> Still | None:
        return None

    def series(self, name: str, window: float) -> Mapping[Labels, Column]:
        found = {labels: self.column(name, labels, window) for known, labels in self.columns if known == name}
        return {labels: column for labels, column in found.items() if column is not None}

    def labels(self, name: str) -> Collection[Labels]:
        live = [key for key in self.columns if key[0] == name and key not in self.ended]
        return [labels for _, labels in live if self.column(name, labels, STALE_AFTER) is not None]

    def events(self, kind: str, window: float) -> Sequence[Event]:
        return [e for e in self.happened if e.kind == kind and self.now - window < e.time <= self.now]
