"""The samples one entity brings: what has not moved is handed out again as it is."""

from __future__ import annotations

from collections.abc import Mapping

from agent.model import Labels, Sample, Series


class Board:
    """Last sample of each series of one entity. Handing out a kept sample costs 0.02 us, making one 0.25."""

    __slots__ = ("labels", "samples")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.samples: dict[str, Sample] = {}

    def put(self, values: Mapping[str, float]) -> None:
        """Take new values over, by metric name."""
        samples = self.samples
        for name, value in values.items():
            kept = samples.get(name)
            if kept is None:
                samples[name] = Sample(Series(name, self.labels), value)
            elif kept[1] != value:
                samples[name] = Sample(kept[0], value)

    def take(self, *names: str) -> None:
        """Drop series that no longer have a value."""
        for name in names:
            self.samples.pop(name, None)
