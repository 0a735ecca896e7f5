import math
import random
from collections.abc import Callable

import pytest

from agent.engine.robust import pair_slopes, quantile, thin, worst_fall
from agent.engine.trend import floor_slope, grow

MINUTE = 60.0
BURST = [float(t) for t in range(20)]
HOUR = [float(t) for t in range(0, 3600, 10)]


def _burst(shape: Callable[[float], float], noise: float = 0.0) -> float | None:
    source = random.Random(1)
    return grow(BURST, [shape(t) + source.gauss(0, noise) for t in BURST])


def _hour(shape: Callable[[float], float], noise: float = 3.0, step: float = 10.0) -> float | None:
    """Growth per minute over an hour; ``shape`` takes minutes."""
    source = random.Random(2)
    times = [i * step for i in range(int(3600 / step))]
    slope = floor_slope(times, [2000.0 + shape(t / MINUTE) + source.gauss(0, noise) for t in times])
    return None if slope is None else slope * MINUTE


def test_steady_growth_shows_within_seconds() -> None:
    """A leak of 3 per second is seen in 20 s, noise or not."""
    assert _burst(lambda t: 3 * t) == pytest.approx(3.0)
    assert _burst(lambda t: 3 * t, noise=1.0) == pytest.approx(3.0, rel=0.35)


@pytest.mark.parametrize("at", range(1, 19))
def test_one_step_is_no_growth(at: int) -> None:
    """Wherever in the burst the step falls."""
    assert _burst(lambda t: 500.0 * (t >= at)) == 0.0
    assert (_burst(lambda t: 500.0 * (t >= at), noise=1.0) or 0.0) < 0.5


@pytest.mark.parametrize("period", [3, 5, 8, 12, 18])
@pytest.mark.parametrize("phase", [0.0, 0.3, 0.6])
def test_a_sawtooth_within_the_burst_is_no_growth(period: int, phase: float) -> None:
    """A collector that gives back what was taken leaves nothing to grow."""
    assert _burst(lambda t: 10.0 * ((t + phase * period) % period)) == 0.0


def test_falling_and_flat_are_not_negative_growth() -> None:
    """`grow` is never below 0."""
    assert _burst(lambda t: -5 * t) == 0.0
    assert _burst(lambda t: 7.0) == 0.0


def test_what_rises_in_four_of_five_pairs_is_the_boundary() -> None:
    """The short way of saying no says it exactly where the slopes between all pairs do."""
    draw = random.Random(7)
    for _ in range(400):
        values = [0.0]
        for _ in range(draw.randint(8, 70)):
            values.append(values[-1] + draw.gauss(draw.choice((0.1, 0.3, 0.5)), 1.0))
        times = [float(i) for i in range(len(values))]
        first = next(i for i, t in enumerate(times) if t >= times[-1] / 4.0)
        low = quantile(pair_slopes(thin(times[first:], 60), thin(values[first:], 60)), 0.2)
        grown = grow(times, values)
        assert grown is not None
        assert low > 0.0 or grown == 0.0
        assert grown > 0.0 or low <= 0.0 or worst_fall(values) > 0.5 * low * 0.75 * times[-1] * 0.95


def test_too_short_a_burst_is_unknown() -> None:
    """Eight seconds and eight samples are the least."""
    assert grow(BURST[:8], BURST[:8]) is None
    assert grow(BURST[:9], BURST[:9]) == pytest.approx(1.0)
    assert grow([0.0, 4.0, 8.0, 12.0], [0.0, 4.0, 8.0, 12.0]) is None


def test_a_start_is_no_trend() -> None:
    """The first quarter may do what it likes."""
    assert _burst(lambda t: min(t, 4) * 100.0) == 0.0


LEAKS: dict[str, Callable[[float], float]] = {
    "steady": lambda m: 2 * m,
    "after a warm-up": lambda m: 5 * m + 500 * (1 - math.exp(-m / 5)),
    "under a sawtooth": lambda m: 5 * m + m * 37 % 300,
    "by arenas": lambda m: 64 * math.floor(m / 6),
    "from half time on": lambda m: 8 * max(0, m - 25),
    "ever faster": lambda m: 0.15 * m * m,
}
HARMLESS: dict[str, Callable[[float], float]] = {
    "flat": lambda m: 0.0,
    "falling": lambda m: -3 * m,
    "slow warm-up": lambda m: 800 * (1 - math.exp(-m / 15)),
    "cache that is full": lambda m: min(600, m * 20),
    "cache that fills ever slower": lambda m: 250 * math.log1p(m / 2),
    "sawtooth of 8 minutes": lambda m: m * 37 % 300,
    "sawtooth of 22 minutes": lambda m: (m * 12 + 100) % 260,
    "one step": lambda m: 300 * (m > 33),
    "two steps": lambda m: 200 * (m > 25) + 200 * (m > 45),
    "epochs": lambda m: 200 * (math.sin(m / 7 * 2 * math.pi) > 0),
}


@pytest.mark.parametrize("name", LEAKS)
def test_growth_for_good_is_seen(name: str) -> None:
    """Leaks of many shapes rise by at least 1.5 a minute."""
    assert (_hour(LEAKS[name]) or 0.0) > 1.5


@pytest.mark.parametrize("name", HARMLESS)
def test_what_stops_or_comes_back_is_no_leak(name: str) -> None:
    """Harmless shapes stay below the alarm of 0.5 a minute."""
    assert (_hour(HARMLESS[name]) or 0.0) < 0.5


def test_the_figure_is_the_rate_of_the_leak() -> None:
    """Not only that it grows, but how fast."""
    assert _hour(lambda m: 6 * m) == pytest.approx(6.0, rel=0.1)
    assert _hour(lambda m: 6 * m, step=1.0) == pytest.approx(6.0, rel=0.1)
    assert _hour(lambda m: 6 * m, step=60.0) == pytest.approx(6.0, rel=0.1)


def test_half_an_hour_is_the_least() -> None:
    """Less is unknown, not healthy."""
    assert floor_slope(HOUR[:100], [5 * t for t in HOUR[:100]]) is None
    assert floor_slope(HOUR[:180], [5 * t for t in HOUR[:180]]) == pytest.approx(5.0, rel=0.05)


def test_a_constant_is_no_growth() -> None:
    """No noise at all is no trouble either."""
    assert floor_slope(HOUR, [5.0] * len(HOUR)) == 0.0


@pytest.mark.parametrize("dense", [720, 400])
def test_a_constant_with_a_long_gap_is_as_unknown_as_anything_else(dense: int) -> None:
    """Samples of a few stretches of time tell nothing about the hour, whatever their values."""
    times = [i * 60.0 / dense for i in range(dense)] + [3600.0]
    assert floor_slope(times, [5.0] * len(times)) == floor_slope(times, [5.0] * (len(times) - 1) + [5.0001])
    even = [i * 3600.0 / dense for i in range(dense)]
    assert floor_slope(even, [5.0] * dense) == 0.0
