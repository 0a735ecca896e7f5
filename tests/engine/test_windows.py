import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.engine import notation
from agent.engine.windows import Value, increase, judge
from agent.model import Column


def _judge(function: str, series: str, window: float, step: float = 1.0, late: float = 0.0) -> Value:
    """The function over a series whose last sample was ``late`` seconds ago, cut to the window like a view cuts it."""
    column = notation.column(series, step)
    now = column.times[-1] + late
    kept = [(t, v) for t, v in zip(*column, strict=True) if t > now - window]
    if not kept:
        return judge(function, None, window, now)
    times, values = zip(*kept, strict=True)
    return judge(function, Column(type(column.times)("d", times), type(column.values)("d", values)), window, now)


@pytest.mark.parametrize(
    ("function", "series", "expected"),
    [
        ("last", "1*30 7", 7.0),
        ("avg", "1*10 3*10", 2.0),
        ("min", "5*10 2 5*10", 2.0),
        ("max", "5*10 9 5*10", 9.0),
        ("sum", "2*20", 40.0),
        ("count", "2*20", 20.0),
        ("rate", "0+3x20", 3.0),
        ("delta", "10-1x10", -10.0),
        ("slope", "5+2x20", 2.0),
        ("r2", "5+2x20", 1.0),
        ("p50", "1+1x18", 10.0),
        ("p99", "0+1x18", 17.82),
        ("stddev", "1*10 3*10", 1.0259783520851542),
        ("changes", "1*5 2*5 1*5", 2.0),
        ("absent", "1*10", False),
        ("eta", "100-1x20", 80.0),
    ],
)
def test_each_function_in_one_line(function: str, series: str, expected: float) -> None:
    """What every window function gives for a series anyone can check by hand."""
    assert _judge(function, series, 20.0) == pytest.approx(expected)


def test_a_counter_that_restarts_goes_on_from_zero() -> None:
    """A reset is no negative rate."""
    assert increase([0, 1, 2, 3, 4], [10, 12, 1, 4, 5]) == 2 + 1 + 3 + 1


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=50))
def test_a_counter_never_shrinks(values: list[float]) -> None:
    """Whatever the readings, an increase is not negative."""
    assert increase(list(range(len(values))), values) >= 0.0


@pytest.mark.parametrize(("function", "window"), [("rate", 15.0), ("avg", 10.0), ("max", 30.0), ("slope", 20.0)])
def test_a_burst_answers_short_windows(function: str, window: float) -> None:
    """`diagnose` without history has 15 samples at 1 s, and they speak for up to half a minute."""
    assert _judge(function, "0+1x14", window) is not None


@pytest.mark.parametrize("function", ["rate", "avg", "max", "p99", "slope", "eta", "delta", "stddev", "sum", "changes"])
def test_a_burst_says_nothing_about_minutes(function: str) -> None:
    """Under half of the window covered is unknown."""
    assert _judge(function, "0+1x20", 300.0) is None


@pytest.mark.parametrize("function", ["rate", "slope", "avg"])
def test_one_sample_is_too_little(function: str) -> None:
    """Nothing is known from one sample."""
    assert _judge(function, "1", 10.0) is None


def test_a_series_that_stopped_is_unknown() -> None:
    """Old samples do not speak for now, even where they cover half of the window."""
    assert _judge("avg", "1*300", 600.0, late=200.0) is None
    assert _judge("avg", "1*300", 600.0, late=30.0) == 1.0


def test_a_slow_series_may_be_older() -> None:
    """A reading every five minutes is fresh for fifteen."""
    assert _judge("avg", "1*10", 3600.0, step=300.0, late=400.0) == 1.0


def test_absent_is_never_unknown() -> None:
    """No sample in the window is a fact."""
    assert _judge("absent", "1*10", 5.0, late=60.0) is True
    assert judge("absent", None, 60.0, 0.0) is True
    assert judge("count", None, 60.0, 0.0) == 0.0


def test_what_does_not_fall_never_runs_out() -> None:
    """Noise is no approach to a limit."""
    assert _judge("eta", "100*20", 20.0) == math.inf
    assert _judge("eta", "100+1x20", 20.0) == math.inf
    assert _judge("eta", "100 101 99 100 102 98 101 99 100 101 99 100", 12.0) == math.inf


def test_what_has_run_out_has_no_time_left() -> None:
    """Zero free is now."""
    assert _judge("eta", "9-1x9", 10.0) == 0.0


def test_samples_that_are_no_numbers_are_left_out() -> None:
    """One NaN from a scraped page does not hide the rest."""
    column = notation.column("1*10 3*10", 1.0)
    column.values[4] = math.nan
    assert judge("max", column, 20.0, 19.0) == 3.0
    assert judge("min", column, 20.0, 19.0) == 1.0


def test_a_short_history_shows_less_growth_never_more() -> None:
    """What a counter gained is a lower bound: two samples tell something, one tells nothing."""
    assert _judge("gained", "5+2x10", 600.0) == 20.0
    assert _judge("gained", "9 3 4", 600.0) == 4.0
    assert _judge("gained", "5", 600.0) is None
    assert _judge("gained", "5+2x10", 600.0, late=120.0) is None
