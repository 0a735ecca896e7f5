import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.engine.robust import (
    bend,
    drift,
    kendall,
    last_trough,
    line,
    lows,
    pair_slopes,
    pairs_not_rising,
    quantile,
    theil_sen,
    thin,
    worst_fall,
)

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=40)


def test_theil_sen_shrugs_at_a_third_of_wild_points() -> None:
    """The slope of most points wins."""
    values = [2.0 * i if i % 3 else 900.0 for i in range(30)]
    slope, low, high = theil_sen(range(30), values)
    assert slope == pytest.approx(2.0, rel=0.3)
    assert low <= slope <= high


@settings(deadline=None)
@given(VALUES)
def test_bounds_enclose_the_slope(values: list[float]) -> None:
    """Low, slope and high come in order."""
    slope, low, high = theil_sen(range(len(values)), values)
    assert low <= slope <= high


@settings(deadline=None)
@given(VALUES)
def test_order_statistics_stay_in_range(values: list[float]) -> None:
    """Tau and r2 are shares, falls are not negative, quantiles lie among the values."""
    assert -1.0 <= kendall(values) <= 1.0
    assert -1e-9 <= line(range(len(values)), values)[1] <= 1.0 + 1e-9
    assert 0.0 <= worst_fall(values) <= max(values) - min(values)
    assert min(values) <= quantile(sorted(values), 0.3) <= max(values)


def test_a_parabola_bends_down_and_a_line_does_not() -> None:
    """Curvature is negative where growth slows."""
    times = [float(i) for i in range(20)]
    share, sure = bend(times, [math.log1p(t) for t in times])
    assert share < -0.1
    assert sure < -5
    assert bend(times, [3 * t for t in times])[0] == pytest.approx(0.0, abs=1e-9)


def test_steps_one_way_drift_and_a_walk_does_not() -> None:
    """Steps that cancel have no drift."""
    assert drift([1.0, 1.2, 0.8, 1.1]) > 5
    assert abs(drift([1.0, -1.0, 1.1, -1.1])) < 1
    assert drift([2.0, 2.0]) == math.inf


def test_the_last_trough_is_the_lowest_point_behind_the_last_big_fall() -> None:
    """Small ripples are no troughs."""
    assert last_trough([0, 5, 10, 3, 2, 8, 7.5, 12], 4.0) == 4
    assert last_trough([0, 5, 10, 9, 12], 4.0) is None


def test_lows_keep_the_lowest_of_each_stretch_and_skip_gaps() -> None:
    """An hour at 1 s becomes a few hundred points, unevenly sampled or not."""
    times = [float(t) for t in range(100) if not 40 <= t < 60]
    t, v = lows(times, [abs(x % 10 - 5) for x in times], 10)
    assert len(t) == 8
    assert set(v) == {0.0}


def test_thinning_keeps_the_newest() -> None:
    """The present always counts."""
    assert thin(range(100), 7)[-1] == 99
    assert len(thin(range(100), 7)) <= 7
    assert list(thin([1, 2], 7)) == [1, 2]


@given(st.lists(st.integers(0, 6) | st.floats(-9, 9), min_size=2, max_size=30))
def test_pairs_that_do_not_rise_are_those_whose_slope_is_not_positive(values: list[float]) -> None:
    """The count that spares the slopes agrees with them."""
    slopes = pair_slopes(range(len(values)), values)
    assert pairs_not_rising(values) == sum(b <= a for i, a in enumerate(values) for b in values[i + 1 :])
    assert pairs_not_rising(values) >= sum(slope < 0.0 for slope in slopes)
