"""What a recording holds, read at equal steps: a month costs as much as a day, and the recording is only read.

A counter's figures are exact, since its readings hold all that was between them; a gauge is seen at the steps only.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import field
from itertools import pairwise

from agent.dataclass import dataclass
from agent.model import Column, Event, Kind, Labels, Metric
from agent.store.recording import Recording, report

STEPS = 240
"""Readings over a period: 6 min apart for a day, 3 h for a month. An instant of 2,000 series costs some 10 ms."""
POINTS = 240
"""Points a line of a chart has at most: more cannot be told apart on paper."""
_BURNT = re.compile(r"(^|_)cpu(_(busy|user|system))?_seconds_total$")
"""Seconds of processor time; those of any other counter are a share of the time that passed."""
SILENT_S = 120.0
"""An agent that has recorded nothing for this long does not run."""
Key = tuple[str, Labels]
Progress = Callable[[str], None]


def quiet(text: str) -> None:
    """For whoever wants to hear of no progress."""


@dataclass(frozen=True)
class Grid:
    """Series at equal steps of ``(since, until]``; a moment without a reading has no point. ``moments``: those with any reading."""

    since: float
    until: float
    moments: tuple[float, ...] = ()
    columns: Mapping[Key, Column] = field(default_factory=dict)

    @property
    def step(self) -> float:
        """Seconds from one reading to the next."""
        return (self.until - self.since) / STEPS

    @property
    def recorded(self) -> float:
        """Share of the period that was recorded, 0..1."""
        return len(self.moments) / STEPS

    def named(self, name: str) -> dict[Labels, Column]:
        """All series of that name."""
        return {labels: column for (found, labels), column in self.columns.items() if found == name}


def grid(recording: Recording, since: float, until: float, names: Collection[str], progress: Progress = quiet) -> Grid:
    """The period's readings of the metrics ``names``."""
    step = (until - since) / STEPS
    columns: dict[Key, Column] = {}
    moments: list[float] = []
    for i in range(1, STEPS + 1):
        at = since + i * step
        found = recording.instant(at)
        if found:
            moments.append(at)
        for key, (_, value) in found.items():
            if key[0] in names:
                column = columns.setdefault(key, Column(array("d"), array("d")))
                column.times.append(at)
                column.values.append(value)
        if i % 10 == 0:
            progress(f"reading the recording, {i / STEPS:.0%}")
    return Grid(since, until, tuple(moments), columns)


def host_of(recording: Recording) -> str:
    """Name of the host that made the recording; "" if its newest file does not say."""
    files = recording.files()
    return str(report(files[-1]).about.get("host", "")) if files else ""


def known_until(recording: Recording, now: float) -> float:
    """Until when it is known how things went on: ``now``, or, where the agent had stopped, its last reading. What was never
    recorded tells nothing of that."""
    files = recording.files()
    last = report(files[-1]).last if files else now
    return last if 0.0 < last < now - SILENT_S else now


def rates(column: Column) -> Column:
    """A counter's growth per second between its readings, at the later one; a restart from 0 counts what it has since."""
    times, values = array("d"), array("d")
    for (t, v), (u, w) in pairwise(zip(column.times, column.values, strict=True)):
        if u > t:
            times.append(u)
            values.append((w - v if w >= v else w) / (u - t))
    return Column(times, values)


def growth(column: Column) -> float:
    """How much a counter gained over its readings."""
    return sum(w - v if w >= v else w for v, w in pairwise(column.values))


def as_level(column: Column, metric: Metric | None) -> tuple[Column, str]:
    """What a chart shows of a series, with its unit: a counter's rate, a gauge as it is."""
    unit = metric.unit if metric is not None else ""
    if metric is None or metric.kind is not Kind.COUNTER:
        return thinned(column), unit
    rate = rates(spaced(column))
    if unit == "seconds":
        return rate, "cores" if _BURNT.search(metric.name) else "ratio"
    return rate, f"{unit or '1'}/second"


def spaced(column: Column, most: int = POINTS) -> Column:
    """At most ``most`` readings, evenly taken, the newest among them."""
    step = -(-len(column.times) // most) or 1
    first = (len(column.times) - 1) % step if column.times else 0
    return Column(column.times[first::step], column.values[first::step])


def thinned(column: Column, most: int = POINTS) -> Column:
    """At most ``most`` points that keep every peak: the lowest and the highest of each stretch, in their order."""
    size = len(column.times)
    if size <= most:
        return column
    times, values = array("d"), array("d")
    stretches = most // 2
    for i in range(stretches):
        span = range(i * size // stretches, (i + 1) * size // stretches)
        low, high = min(span, key=column.values.__getitem__), max(span, key=column.values.__getitem__)
        for place in sorted({low, high}):
            times.append(column.times[place])
            values.append(column.values[place])
    return Column(times, values)


def events(recording: Recording, since: float, until: float, kinds: Collection[str]) -> list[Event]:
    """Events of these kinds in ``(since, until]``, oldest first."""
    found = [e for part in recording.parts(since, until) for e in part.events if e.kind in kinds and since < e.time <= until]
    return sorted(found, key=lambda e: e.time)


def figures(values: Iterable[float]) -> dict[str, float]:
    """``mean``, ``p95``, ``max``, ``min`` and ``last`` of some readings; empty for none."""
    told = [*values]
    if not told:
        return {}
    ordered = sorted(told)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"mean": sum(told) / len(told), "p95": p95, "max": ordered[-1], "min": ordered[0], "last": told[-1]}
