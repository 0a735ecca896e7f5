"""The figures one entity brings: what has not moved costs nothing further on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.model import Labels, Sample, Series


class Board:
    """Last value of each series of one entity; implements :class:`agent.model.Figures`."""

    __slots__ = ("_places", "labels", "moved", "series", "stored", "values")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.series: list[Series] = []
        self.values: list[float] = []
        self.moved: set[int] = set()
        self.stored: Any = None
        self._places: dict[str, int] = {}

    def put(self, values: Mapping[str, float]) -> None:
        """Take new values over, by metric name."""
        places, kept = self._places, self.values
        for name, value in values.items():
            place = places.get(name)
            if place is None:
                self.add(Sample(Series(name, self.labels), value))
            elif kept[place] != value:
                kept[place] = float(value)
                self.moved.add(place)

    def replace(self, values: Mapping[str, float]) -> None:
        """Take these values over and let go of what is not among them."""
        self.put(values)
        if len(values) < len(self.series):
            kept = [(s, v) for s, v in zip(self.series, self.values, strict=True) if s.name in values]
            self.series, self.values = [s for s, _ in kept], [v for _, v in kept]
            self._places = {s.name: place for place, s in enumerate(self.series)}
            self.moved, self.stored = set(), None

    def add(self, sample: Sample) -> None:
        """Take over a sample whose labels are its own, such as an info; it replaces the last one of that name."""
        series, value = sample
        place = self._places.setdefault(series.name, len(self.series))
        self.series[place : place + 1] = [series]
        self.values[place : place + 1] = [float(value)]
        self.stored = None

    def samples(self) -> list[Sample]:
        """All of them, one by one."""
        return list(map(Sample, self.series, self.values))
