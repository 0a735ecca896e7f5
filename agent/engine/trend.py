"""Does a series grow for good? ``grow`` for a burst of seconds, ``floor_slope`` for an hour.

Thresholds were chosen on the base shapes of bench/leak_families.py and judged on altered ones (bench/leak_detector.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from agent.engine.robust import (
    bend,
    drift,
    kendall,
    last_trough,
    lows,
    pair_slopes,
    pairs_not_rising,
    quantile,
    theil_sen,
    thin,
    worst_fall,
)

GROW_SECONDS = 8.0
GROW_SAMPLES = 8
GROW_POINTS = 60
GROW_QUANTILE = 0.2
"""One step in a flat noisy series lifts at most 55 % of the pair slopes, and half of the rest are below 0."""

GROW_STEADY = 0.5

FLOOR_SECONDS = 1800.0
FLOOR_SAMPLES = 30
FLOOR_POINTS = 360
SHORTEST_BLOCK = 300.0
"""Seconds; collectors and caches breathe in minutes, and a floor must outlast a breath."""

BLOCKS = (12, 9, 6)
"""Blocks in the whole window, the finest first; coarser ones outlast longer teeth."""

FEWEST_BLOCKS = 3
RISING_TAU = 0.5
RISING_DRIFT = 1.5
TOOTH = 1.2
"""Growth since the last big fall counts only if it exceeds that many falls: else it is one more tooth."""

ONE_STEP, TWO_STEPS = 0.75, 0.85
"""Shares of all growth that one rise, or the two greatest, may make before it is steps and no trend."""

SLOWED, SLOWED_SURE = 0.4, -3.0
BENT, BENT_SURE, BENT_LATE = -0.12, -5.0, 0.9
"""A filling cache bends (its parabola's share and t) and slows to the end; a leak after a warm-up has straightened by then."""


def grow(times: Sequence[float], values: Sequence[float]) -> float | None:
    """Steep growth per second in a short window, never negative; None below 8 s and 8 samples.

    The first quarter is dropped (a start is not a trend). A low quantile of the slopes between all pairs of points must be
    positive: one step leaves most pairs flat, and any fall of half of the growth seen (a collector's sawtooth) makes it 0.
    Where that quantile is near the median slope the growth is steady and the median is the figure (whole numbers climb in
    stairs), else the quantile. It opens gates; it proves nothing.
    """
    if len(times) < GROW_SAMPLES or times[-1] - times[0] < GROW_SECONDS - 1e-6:
        return None
    start = times[0] + (times[-1] - times[0]) / 4.0
    first = next(i for i, t in enumerate(times) if t >= start)
    t, v = thin(times[first:], GROW_POINTS), thin(values[first:], GROW_POINTS)
    if v.count(v[0]) == len(v):
        return 0.0
    if pairs_not_rising(v) >= GROW_QUANTILE * len(v) * (len(v) - 1) / 2.0 + 1.0 and t[0] < t[-1] and len(set(t)) == len(t):
        return 0.0  # as the slopes would say, found in a sixth of the time: most series do not grow
    slopes = pair_slopes(t, v)
    low, middle = quantile(slopes, GROW_QUANTILE), quantile(slopes, 0.5)
    if low <= 0.0 or worst_fall(values) > 0.5 * low * (t[-1] - t[0]):
        return 0.0
    return middle if low >= GROW_STEADY * middle else low


def floor_slope(times: Sequence[float], values: Sequence[float]) -> float | None:
    """Growth per second of the lower envelope, 0 where it is vetoed; None below 30 min and 30 samples.

    The first third is warm-up. Growth since the last big fall is left out unless it dwarfs that fall (a tooth of a sawtooth).
    Minima of blocks of at least 5 min must rise (Kendall's tau) and lean one way (drift). The envelope, what is never given
    back later, must not be one or two steps and must not slow down like a filling cache. The figure is its Theil-Sen slope.
    """
    if len(times) < FLOOR_SAMPLES or (times[-1] - times[0]) * len(times) / (len(times) - 1) < FLOOR_SECONDS - 1e-6:
        return None
    if values[0] == values[-1] and values.count(values[0]) == len(values) and _spread(times):
        return 0.0  # as the envelope would say, found in a fiftieth of the time: most series stand still
    t, v = lows(times, values, FLOOR_POINTS)
    if len(t) < FLOOR_SAMPLES:
        return None
    start, end = len(t) // 3, _end(v)
    if end - start < len(t) // 4 or not _rises(t, v, start, end):
        return 0.0
    at, floor = _envelope(t, v, start, end)
    if _stepped(floor) or _slowing(at, floor):
        return 0.0
    return max(theil_sen(at, floor)[0], 0.0)


def _spread(times: Sequence[float]) -> bool:
    """Do some of the samples alone already lie in as many stretches of time as are needed?"""
    some = times[:: max(1, len(times) // (2 * FLOOR_SAMPLES))]
    width = (times[-1] - times[0]) / FLOOR_POINTS
    return len({int((t - times[0]) / width) for t in some}) > FLOOR_SAMPLES


def _end(values: Sequence[float]) -> int:
    """Where judgement ends: behind the last trough, if what rose since is one more tooth."""
    early = len(values) // 6
    seen = values[early:]
    fall = worst_fall(seen)
    trough = last_trough(seen, 0.5 * fall) if fall > 0.0 else None
    if trough is None or max(seen[trough:]) - seen[trough] >= TOOTH * fall:
        return len(values)
    return early + trough + 1


def _rises(times: Sequence[float], values: Sequence[float], start: int, end: int) -> bool:
    """Do block minima rise for sure at any of the block lengths?"""
    per_point = (times[-1] - times[0]) / (len(times) - 1)
    shortest = math.ceil(SHORTEST_BLOCK / per_point - 1e-6)
    sizes = dict.fromkeys(max(len(times) // parts, shortest) for parts in BLOCKS)
    return any(_blocks_rise(values, start, end, size) for size in sizes)


def _blocks_rise(values: Sequence[float], start: int, end: int, size: int) -> bool:
    """Blocks are laid from the end, so that the newest minimum is always seen."""
    count = (end - start) // size
    if count < FEWEST_BLOCKS:
        return False
    minima = [min(values[end - i * size : end - (i - 1) * size]) for i in range(count, 0, -1)]
    steps = [b - a for a, b in pairwise(minima)]
    return minima[-1] > minima[0] and kendall(minima) > RISING_TAU and drift(steps) >= RISING_DRIFT


def _envelope(times: Sequence[float], values: Sequence[float], start: int, end: int) -> tuple[list[float], list[float]]:
    """The least value still to come, at some two dozen moments per window."""
    least = math.inf
    floor: list[float] = []
    for v in reversed(values[start:end]):
        least = min(least, v)
        floor.append(least)
    step = max(1, len(values) // 24)
    return list(times[start:end][::-1][::step][::-1]), floor[::step][::-1]


def _stepped(floor: Sequence[float]) -> bool:
    """Do one or two rises explain the growth (or is there none)?"""
    total = floor[-1] - floor[0]
    rises = sorted((b - a for a, b in pairwise(floor)), reverse=True)
    return total <= 0.0 or rises[0] > ONE_STEP * total or sum(rises[:2]) > TWO_STEPS * total


def _slowing(times: Sequence[float], floor: Sequence[float]) -> bool:
    """Does the growth slow down like a cache that fills?"""
    share, sure = bend(times, floor)
    half, third = len(floor) // 2, len(floor) // 3
    before = (floor[half] - floor[0]) / (times[half] - times[0])
    after = (floor[-1] - floor[half]) / (times[-1] - times[half])
    if sure < SLOWED_SURE and after < SLOWED * before:
        return True
    if share >= BENT or sure >= BENT_SURE:
        return False
    middle = theil_sen(times[third : 2 * third + 1], floor[third : 2 * third + 1])[0]
    late = theil_sen(times[2 * third :], floor[2 * third :])[0]
    return late < BENT_LATE * middle
