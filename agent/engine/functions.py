"""The functions of the condition language: what they accept, what unit they give."""

from __future__ import annotations

from collections.abc import Callable

from agent.dataclass import dataclass
from agent.engine.units import COUNT, RATIO, SECONDS, Unit, per_second
from agent.model import Kind

Accepts = frozenset[Kind]

ANY: Accepts = frozenset(Kind)
NUMBERS: Accepts = frozenset({Kind.GAUGE, Kind.COUNTER})
GAUGES: Accepts = frozenset({Kind.GAUGE})
COUNTERS: Accepts = frozenset({Kind.COUNTER})


def _same(unit: Unit) -> Unit:
    return unit


def _count(unit: Unit) -> Unit:
    return COUNT


@dataclass(frozen=True)
class Function:
    """A window function ``name(series, window)``; ``instead`` says what to use for a series it does not accept."""

    name: str
    accepts: Accepts
    unit: Callable[[Unit], Unit] = _same
    instead: str = ""
    truth: bool = False
    window_optional: bool = False


_LEVELS = "use rate or delta on a counter"
FUNCTIONS = {
    f.name: f
    for f in (
        Function("last", NUMBERS, window_optional=True),
        Function("age", GAUGES, window_optional=True),
        Function("avg", GAUGES, instead=_LEVELS),
        Function("min", GAUGES, instead=_LEVELS),
        Function("max", GAUGES, instead=_LEVELS),
        Function("sum", GAUGES, instead=_LEVELS),
        Function("count", ANY, _count),
        Function("rate", COUNTERS, per_second, "use slope on a gauge"),
        Function("delta", NUMBERS),
        Function("gained", COUNTERS, instead="use delta on a gauge"),
        Function("slope", GAUGES, per_second, "use rate on a counter"),
        Function("p50", GAUGES, instead=_LEVELS),
        Function("p90", GAUGES, instead=_LEVELS),
        Function("p95", GAUGES, instead=_LEVELS),
        Function("p99", GAUGES, instead=_LEVELS),
        Function("stddev", GAUGES, instead=_LEVELS),
        Function("r2", GAUGES, lambda unit: RATIO, _LEVELS),
        Function("eta", GAUGES, lambda unit: SECONDS, "eta needs a gauge that falls towards 0"),
        Function("changes", NUMBERS, _count),
        Function("absent", ANY, _count, truth=True),
        Function("grow", GAUGES, per_second, "use rate on a counter"),
        Function("floor_slope", GAUGES, per_second, "use rate on a counter"),
    )
}

AGGREGATES = ("max_of", "sum_of", "any_of", "max_of_others", "sum_of_others", "max_of_strangers")
"""Over several series; ``_others`` leave out the instance's own processes, ``_strangers`` also those of its owner."""

EVENT_FUNCTIONS = ("happened", "happened_elsewhere", "since")
"""How often something was reported, about the instance, or about other GPUs and processes than the instance's; how long ago."""
