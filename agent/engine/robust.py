"""Robust statistics on a few hundred points, in plain Python: numpy would cost the agent 30 MiB."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from operator import mul

Z90 = 1.645
"""Two-sided 90 % of a normal distribution."""


def pair_slopes(times: Sequence[float], values: Sequence[float]) -> list[float]:
    """Slopes between every two points, sorted; times must rise (points at one moment count as one)."""
    points = list(dict(zip(times, values, strict=True)).items())
    out: list[float] = []
    for i, (t, v) in enumerate(points):
        out += [(w - v) / (u - t) for u, w in points[i + 1 :]]
    out.sort()
    return out


def pairs_not_rising(values: Sequence[float]) -> int:
    """How many pairs of values have a later one that is not above the earlier one."""
    seen: list[float] = []
    count = 0
    for v in values:
        place = bisect_left(seen, v)
        count += len(seen) - place
        seen.insert(place, v)
    return count


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
    stt, svv, stv = sum(map(mul, dt, dt)), sum(map(mul, dv, dv)), sum(map(mul, dt, dv))
    if stt == 0.0:
        return 0.0, 0.0
    return stv / stt, (stv * stv / (stt * svv) if svv > 0.0 else 0.0)


def thin(values: Sequence[float], most: int) -> Sequence[float]:
    """Every k-th value, so that at most ``most`` remain; the newest one is always kept."""
    step = -(-len(values) // most)
    return values if step <= 1 else values[(len(values) - 1) % step :: step]


def kendall(values: Sequence[float]) -> float:
    """Kendall's tau against time: 1 where every later value is higher, -1 where every one is lower."""
    n = len(values)
    score = sum((b > a) - (b < a) for i, a in enumerate(values) for b in values[i + 1 :])
    return score / (n * (n - 1) / 2) if n > 1 else 0.0


def drift(steps: Sequence[float]) -> float:
    """Student's t of the mean step: how far the steps lean one way, in their own spread. A random walk stays near 0."""
    mean = sum(steps) / len(steps)
    spread = math.sqrt(sum((s - mean) ** 2 for s in steps) / max(len(steps) - 1, 1))
    return mean / spread * math.sqrt(len(steps)) if spread > 0.0 else math.copysign(math.inf, mean)


def bend(times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Curvature of a least-squares parabola: (share of the linear part, its t). Negative where growth slows."""
    n, t0 = len(times), sum(times) / len(times)
    reach = max(abs(t - t0) for t in times) or 1.0
    u = [(t - t0) / reach for t in times]
    square = sum(a * a for a in u)
    if n < 4 or square == 0.0:
        return 0.0, 0.0
    skew = sum(a**3 for a in u) / square
    arch = [a * a - square / n - skew * a for a in u]
    weight = sum(a * a for a in arch)
    v0 = sum(values) / n
    linear = sum(a * v for a, v in zip(u, values, strict=True)) / square
    curve = sum(a * v for a, v in zip(arch, values, strict=True)) / weight
    rest = sum((v - v0 - linear * a - curve * b) ** 2 for v, a, b in zip(values, u, arch, strict=True))
    error = math.sqrt(rest / (n - 3) / weight)
    size = curve / linear if linear else 0.0
    return size, (curve / error if error > 1e-12 * abs(curve) else math.copysign(math.inf, curve) if curve else 0.0)


def worst_fall(values: Sequence[float]) -> float:
    """The deepest fall from any earlier high."""
    top, worst = values[0], 0.0
    for v in values:
        if v > top:
            top = v
        elif top - v > worst:
            worst = top - v
    return worst


def last_trough(values: Sequence[float], swing: float) -> int | None:
    """Index of the last low that a fall of at least ``swing`` led to; None if there was none."""
    trough: int | None = None
    high = low = 0
    falling = False
    for i, v in enumerate(values):
        if falling and v < values[low]:
            trough = low = i
        elif falling and v - values[low] >= swing:
            falling, high = False, i
        elif not falling and v > values[high]:
            high = i
        elif not falling and values[high] - v >= swing:
            falling, trough, low = True, i, i
    return trough


def lows(times: Sequence[float], values: Sequence[float], most: int) -> tuple[list[float], list[float]]:
    """At most ``most`` points: the lowest value of each equal stretch of time, at the stretch's middle."""
    if len(times) <= most:
        return list(times), list(values)
    width = (times[-1] - times[0]) / most
    t: list[float] = []
    v: list[float] = []
    at = 0
    for i in range(1, most + 1):
        end = bisect_left(times, times[0] + i * width, at) if i < most else len(times)
        if end > at:
            t.append(times[0] + (i - 0.5) * width)
            v.append(min(values[at:end]))
        at = end
    return t, v
