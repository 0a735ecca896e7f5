"""What a window function makes of one series: numbers per second, bytes, shares, or None when too little is known.

Enough data: at least two samples, spanning (with one sampling interval added) half of the window, the newest not older than
a minute or three intervals. So a burst of 15 samples at 1 s answers ``rate(x, 15s)`` and leaves ``rate(x, 5m)`` unknown.
"""

from __future__ import annotations

import math
import operator
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import islice

from agent.engine.robust import line, quantile, theil_sen, thin
from agent.engine.trend import GROW_SAMPLES, GROW_SECONDS, floor_slope, grow
from agent.model import Column, Still

Value = float | bool | None
Compute = Callable[[Sequence[float], Sequence[float]], Value]

STALE_AFTER = 60.0
"""Seconds after which a bare series name has no value, unless its own sampling interval is longer than 20 s."""

SLOW_SERIES = 900.0
"""How far back a bare name looks for a slowly sampled series (three samples decide its interval)."""

LINE_POINTS = 120
ETA_POINTS = 24
RANK_POINTS = 720
"""Points that settle a line or a percentile; more cost time and tell nothing new."""


def fresh(times: Sequence[float], now: float) -> bool:
    """Is the newest sample young enough: a minute, or three of the series' own intervals?"""
    return _fresh(len(times), times[0], times[-1], now)


def _fresh(count: int, first: float, last: float, now: float) -> bool:
    step = (last - first) / (count - 1) if count > 1 else 0.0
    return now - last <= max(STALE_AFTER, 3.0 * step) + 1e-6


def enough(times: Sequence[float], window: float, now: float) -> bool:
    """Do the samples speak for the window? See the module's text."""
    return len(times) > 1 and _enough(len(times), times[0], times[-1], window, now)


def _enough(count: int, first: float, last: float, window: float, now: float) -> bool:
    if count < 2 or not _fresh(count, first, last, now):
        return False
    span = last - first
    return span + span / (count - 1) >= window / 2.0 - 1e-6


def tail(column: Column, start: float) -> Column:
    """The part of a column behind ``start``."""
    at = bisect_right(column.times, start)
    return column if at == 0 else Column(column.times[at:], column.values[at:])


def whole(column: Column) -> Column:
    """The column without samples that are not numbers."""
    total = sum(column.values)
    if total == total:
        return column
    kept = [(t, v) for t, v in zip(*column, strict=True) if v == v]
    return Column(array("d", [t for t, _ in kept]), array("d", [v for _, v in kept]))


def judge(function: str, column: Column | None, window: float, now: float) -> Value:
    """One window function over one column, which may be missing; None for unknown."""
    still = column is not None and _still(column.values)
    column = whole(column) if column is not None and not still else column
    if function == "absent":
        return column is None or not column.times
    if function == "count":
        return float(len(column.times)) if column is not None else 0.0
    if column is None or not column.times:
        return None
    times, values = column
    if function in OWN_RULES:
        return _number(OWN_RULES[function](times, values)) if fresh(times, now) else None
    if not enough(times, window, now):
        return None
    if still and function in OF_STILL:
        return values[-1] if OF_STILL[function] else 0.0
    return _number(COVERED[function](times, values))


def judge_still(function: str, still: Still, window: float, now: float) -> Value:
    """The same for a series that has one value all over the window, of the functions in :data:`AT_A_GLANCE`."""
    count, first, last, value = still
    if function == "absent":
        return False
    if function == "count":
        return float(count)
    if function in OWN_RULES:
        return _own_still(function, still) if _fresh(count, first, last, now) else None
    if not _enough(count, first, last, window, now):
        return None
    return value if OF_STILL[function] else 0.0


def _own_still(function: str, still: Still) -> Value:
    if function == "last":
        return still.value
    if function == "gained":
        return 0.0 if still.count > 1 else None
    return None if still.count < GROW_SAMPLES or still.last - still.first < GROW_SECONDS - 1e-6 else 0.0


def _still(values: Sequence[float]) -> bool:
    """Whether all values are one number: most series of most processes over most windows, and cheap to tell."""
    if not isinstance(values, array) or not values or values[0] != values[-1]:  # nor is what is not a number
        return False
    raw = values.tobytes()
    size = values.itemsize
    return raw[size:] == raw[:-size]


def _number(value: Value) -> Value:
    return None if value is None or value != value else value


def _drops(values: Sequence[float]) -> bool:
    listed = list(values)
    return sorted(listed) != listed  # half the time of comparing neighbours


def increase(times: Sequence[float], values: Sequence[float]) -> float:
    """Growth of a counter; a fall is a restart from 0."""
    if not _drops(values):
        return values[-1] - values[0]
    return math.fsum(b - a if b >= a else b for a, b in zip(values, islice(values, 1, None), strict=False))


def rate(times: Sequence[float], values: Sequence[float]) -> Value:
    """Growth of a counter per second between the first and the last sample."""
    span = times[-1] - times[0]
    return increase(times, values) / span if span > 0.0 else None


def slope(times: Sequence[float], values: Sequence[float]) -> Value:
    """Least-squares slope per second, over at most :data:`LINE_POINTS` samples."""
    return line(thin(times, LINE_POINTS), thin(values, LINE_POINTS))[0] if times[-1] > times[0] else None


def r2(times: Sequence[float], values: Sequence[float]) -> Value:
    """Share of the variance the least-squares line explains, 0..1."""
    return line(thin(times, LINE_POINTS), thin(values, LINE_POINTS))[1]


def eta(times: Sequence[float], values: Sequence[float]) -> Value:
    """Seconds until the series reaches 0 by its robust slope; +inf unless it falls beyond doubt (90 %)."""
    if values[-1] <= 0.0:
        return 0.0
    t, v = thin(times, ETA_POINTS), thin(values, ETA_POINTS)
    fall, _, slowest = theil_sen(t, v)
    return values[-1] / -fall if slowest < 0.0 else math.inf


def stddev(times: Sequence[float], values: Sequence[float]) -> Value:
    """Standard deviation of the sample."""
    mean = sum(values) / len(values)
    off = [v - mean for v in values]
    return math.sqrt(sum(map(operator.mul, off, off)) / (len(values) - 1))


def changes(times: Sequence[float], values: Sequence[float]) -> Value:
    """How often the value differs from the one before."""
    return float(sum(map(operator.ne, values, islice(values, 1, None))))


def _percentile(share: float) -> Compute:
    return lambda times, values: quantile(sorted(thin(values, RANK_POINTS)), share)


COVERED: dict[str, Compute] = {
    "avg": lambda t, v: sum(v) / len(v),
    "min": lambda t, v: min(v),
    "max": lambda t, v: max(v),
    "sum": lambda t, v: sum(v),
    "rate": rate,
    "increase": increase,
    "delta": lambda t, v: v[-1] - v[0],
    "slope": slope,
    "r2": r2,
    "eta": eta,
    "stddev": stddev,
    "changes": changes,
    "p50": _percentile(0.50),
    "p90": _percentile(0.90),
    "p95": _percentile(0.95),
    "p99": _percentile(0.99),
}
"""Functions that need :func:`enough` data. ``increase`` is what ``delta`` means on a counter."""

OF_STILL = dict.fromkeys(("avg", "min", "max", "p50", "p90", "p95", "p99"), True) | dict.fromkeys(
    ("rate", "increase", "delta", "slope", "stddev", "changes"), False
)
"""Functions whose answer for a series that stands still is its value (True) or nothing (False)."""

OWN_RULES: dict[str, Compute] = {
    "last": lambda t, v: v[-1],
    "gained": lambda t, v: increase(t, v) if len(v) > 1 else None,
    "grow": grow,
    "floor_slope": floor_slope,
}
"""Functions that only need the newest sample to be fresh and judge for themselves whether they know enough."""

AT_A_GLANCE = frozenset(OF_STILL) | {"absent", "count", "last", "gained", "grow"}
"""Functions that need not see the samples of a series that stands still."""
