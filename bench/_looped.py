"""A recording played again and again, as if the host had gone on like that: for days made of an hour that was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from agent.model import Event, Item, Labels, Sample
from agent.store.recording import Recording

EVER = 4e9
BORN = "process_start_time_seconds"


@dataclass(frozen=True)
class Span:
    """What a recording covers, and how much each counter grew that is there at both ends."""

    first: float
    last: float
    grown: dict[tuple[str, Labels], float]

    @property
    def seconds(self) -> float:
        """From one playing to the next: a sample a second."""
        return self.last - self.first + 1.0


def span(recording: Recording) -> Span | None:
    """Read it once; None if nothing is in it."""
    first, last = 0.0, 0.0
    begun: dict[tuple[str, Labels], float] = {}
    ended: dict[tuple[str, Labels], float] = {}
    for moment, _, samples in recording.ticks(0.0, EVER):
        first, last = first or moment, moment
        for sample in samples:
            key = sample.series.name, sample.series.labels
            if key[0].endswith("_total"):
                begun.setdefault(key, sample.value)
                ended[key] = sample.value
    if not first:
        return None
    return Span(first, last, {key: max(0.0, ended[key] - value) for key, value in begun.items()})


def looped(recording: Recording, known: Span, hours: float) -> Iterator[tuple[float, list[Event], list[Item]]]:
    """The recording until ``hours`` are full. Counters go on where they stood; who was born while it was recorded is born anew."""
    turn, until = 0, known.first + hours * 3600
    while True:
        shift = turn * known.seconds
        for moment, events, samples in recording.ticks(0.0, EVER):
            if moment + shift > until:
                return
            later = [replace(event, time=event.time + shift) for event in events]
            yield moment + shift, later, [_later(sample, turn, shift, known) for sample in samples]
        turn += 1


def _later(sample: Sample, turn: int, shift: float, known: Span) -> Sample:
    if turn and (name := sample.series.name).endswith("_total"):
        return Sample(sample.series, sample.value + turn * known.grown[name, sample.series.labels])
    if turn and sample.series.name == BORN and sample.value > known.first:
        return Sample(sample.series, sample.value + shift)
    return sample
