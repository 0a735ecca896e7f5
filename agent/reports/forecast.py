"""Where a level is heading: a robust slope with an interval, and the time until it meets its limit. Pure.

The readings are put into two dozen equal stretches, each told by its median, so that breath and outliers do not count and
neighbouring readings are not taken for independent ones. The slope is Theil-Sen's. Its 90 % interval is the wider of Sen's and that
of the mean step from stretch to stretch: the first is too sure of a walk that only happens to lead somewhere, the second is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from agent.dataclass import dataclass
from agent.engine.robust import Z90, kendall, theil_sen

STRETCHES = 24
FEWEST = 8
"""Stretches with readings; with fewer nothing is said."""
STEADY_TAU = 0.5
"""As :mod:`agent.engine.trend` asks of a floor that rises."""
REACH = 4.0
"""A forecast goes no further ahead than so many times what was seen."""


@dataclass(frozen=True)
class Trend:
    """``slope`` per second with its bounds; ``level`` now; ``steady``: it leads one way for sure. Seconds until the limit: the best
    guess, the earliest and the latest; None where the limit is not met within :data:`REACH` times the time seen."""

    slope: float
    low: float
    high: float
    level: float
    steady: bool
    seen_s: float
    limit: float | None = None
    meets_s: float | None = None
    earliest_s: float | None = None
    latest_s: float | None = None


def trend(times: Sequence[float], values: Sequence[float], limit: float | None = None) -> Trend | None:
    """The trend of some readings; None for too few."""
    at, level = _stretches(times, values)
    if len(at) < FEWEST:
        return None
    slope, low, high = theil_sen(at, level)
    wide_low, wide_high = _of_steps(at, level)
    low, high = min(low, wide_low), max(high, wide_high)
    seen = times[-1] - times[0]
    now = median(v - slope * (t - times[-1]) for t, v in zip(at, level, strict=True))
    steady = (low > 0.0 or high < 0.0) and abs(kendall(level)) > STEADY_TAU
    if limit is not None and (now <= limit if level[0] > limit else now >= limit):
        return Trend(slope, low, high, now, steady, seen, limit, 0.0, 0.0, 0.0)
    if limit is None or not steady or (limit - now) * slope <= 0.0:
        return Trend(slope, low, high, now, steady, seen, limit)
    best, *ends = (_until(limit - now, s, seen) for s in (slope, low, high))
    fast, slow = (ends[1], ends[0]) if slope > 0.0 else (ends[0], ends[1])
    return Trend(slope, low, high, now, steady, seen, limit, best, fast, slow)


def _until(distance: float, slope: float, seen: float) -> float | None:
    """Seconds until ``distance`` is covered, or None: never, or further ahead than can be said."""
    ahead = distance / slope if slope else math.inf
    return ahead if 0.0 <= ahead <= REACH * seen else None


def _stretches(times: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Middle and median of each of the equal stretches of time that holds readings."""
    if len(times) < 2 or times[-1] <= times[0]:
        return [], []
    width = (times[-1] - times[0]) / STRETCHES
    held: dict[int, list[float]] = {}
    for t, v in zip(times, values, strict=True):
        held.setdefault(min(int((t - times[0]) / width), STRETCHES - 1), []).append(v)
    return [times[0] + (i + 0.5) * width for i in sorted(held)], [median(held[i]) for i in sorted(held)]


def _of_steps(at: Sequence[float], level: Sequence[float]) -> tuple[float, float]:
    """Bounds of the mean step per second, as for a walk."""
    steps = [(w - v) / (u - t) for (t, v), (u, w) in pairwise(zip(at, level, strict=True))]
    mean = sum(steps) / len(steps)
    spread = math.sqrt(sum((s - mean) ** 2 for s in steps) / (len(steps) - 1))
    half = Z90 * spread / math.sqrt(len(steps))
    return mean - half, mean + half
