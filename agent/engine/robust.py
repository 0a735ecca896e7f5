"""Robust statistics on a few hundred points, in plain Python: numpy would cost the agent 30 MiB."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z90 = 1.645
"""Two-sided 90 % of a normal distribution."""


def pair_slopes(times: Sequence[float], values: Sequence[float]) -> list[float]:
    """Slopes between every two points, sorted; points at the same moment are left out."""
    out: list[float] = []
    for i, (t, v) in enumerate(zip(times, values, strict=True)):
        out.extend((w - v) / (u - t) for u, w in zip(times[i + 1 :], values[i + 1 :], strict=True) if u > t)
    out.sort()
    return out


def theil_sen(times: Sequence[float], values: Sequence[float]) -> tuple[float, float, float]:
    """Median slope with its 90 % bounds (Sen 1968): (slope, low, high); zeros without two moments."""
    slopes = pair_slopes(times, values)
    if not slopes:
        return 0.0, 0.0, 0.0
    n = len(times)
    half = Z90 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18.0) / 2.0
    middle = (len(slopes) - 1) / 2.0
    low = slopes[max(0, math.floor(middle - half))]
    high = slopes[min(len(slopes) - 1, math.ceil(middle + half))]
    return quantile(slopes, 0.5), low, high


def quantile(ordered: Sequence[float], share: float) -> float:
    """Quantile of sorted values, linear between neighbours."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def line(times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Least-squares slope and the share of the variance it explains (r2, 0 for a constant series)."""
    n = len(times)
    t0, v0 = sum(times) / n, sum(values) / n
    dt = [t - t0 for t in times]
    dv = [v - v0 for v in values]
    stt = sum(a * a for a in dt)
    svv = sum(a * a for a in dv)
    stv = sum(a * b for a, b in zip(dt, dv, strict=True))
    if stt == 0.0:
        return 0.0, 0.0
    return stv / stt, (stv * stv / (stt * svv) if svv > 0.0 else 0.0)


def thin(values: Sequence[float], most: int) -> Sequence[float]:
    """Every k-th value, so that at most ``most`` remain; the newest one is always kept."""
    step = -(-len(values) // most)
    return values if step <= 1 else values[(len(values) - 1) % step :: step]
