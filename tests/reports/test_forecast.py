"""Forecasts: the slope with an interval, the time to a limit, and silence where nothing is sure."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.reports.forecast import REACH, trend

HOUR = 3600.0
TIMES = [i * 60.0 for i in range(600)]


def test_a_level_that_falls_evenly_meets_its_limit_when_it_should() -> None:
    """10 units an hour from 200: 10 hours seen leave 10."""
    rng = random.Random(1)
    found = trend(TIMES, [200.0 - 10.0 * t / HOUR + rng.gauss(0, 1) for t in TIMES], limit=0.0)
    assert found is not None
    assert found.steady
    assert found.slope * HOUR == pytest.approx(-10, rel=0.02)
    assert found.low <= -10 / HOUR <= found.high
    assert found.meets_s == pytest.approx(10 * HOUR, rel=0.03)
    assert found.earliest_s is not None
    assert found.latest_s is not None
    assert found.earliest_s <= found.meets_s <= found.latest_s


def test_a_level_that_moves_away_from_its_limit_never_meets_it() -> None:
    """What grows does not run out."""
    found = trend(TIMES, [100.0 + t for t in TIMES], limit=0.0)
    assert found is not None
    assert (found.steady, found.meets_s) == (True, None)


def test_a_level_at_its_limit_has_met_it() -> None:
    """Also where the last stretch overshoots."""
    full = trend(TIMES, [max(0.0, 100.0 - t / 100) for t in TIMES], limit=0.0)
    assert full is not None
    assert full.meets_s == 0.0


def test_nothing_is_foretold_further_ahead_than_it_was_watched() -> None:
    """A slope of a day says nothing of a year."""
    found = trend(TIMES, [1e6 - t / HOUR for t in TIMES], limit=0.0)
    assert found is not None
    assert found.steady
    assert found.meets_s is None


def test_few_readings_give_no_trend() -> None:
    """Nor do many at one moment."""
    assert trend(TIMES[:5], TIMES[:5]) is None
    assert trend([1.0] * 50, [1.0] * 50) is None


@pytest.mark.parametrize("shape", ["noise", "walk", "step", "wave"])
def test_what_leads_nowhere_is_rarely_taken_for_a_trend(shape: str) -> None:
    """Of a hundred each at most a tenth; of walks, which do lead somewhere for a while, at most a quarter."""
    wrong = sum(bool((found := trend(TIMES, _shape(shape, seed))) and found.steady) for seed in range(100))
    assert wrong <= (25 if shape == "walk" else 10)


def _shape(shape: str, seed: int) -> list[float]:
    rng, level, out = random.Random(seed), 0.0, []
    for i in range(len(TIMES)):
        level += rng.gauss(0, 1)
        if shape == "wave":
            out.append(rng.gauss(0, 1) + 10 * abs(i % 100 - 50))
        else:
            out.append({"noise": rng.gauss(0, 1), "walk": level, "step": rng.gauss(0, 1) + 20 * (i > 300)}[shape])
    return out


@given(st.lists(st.floats(-1e9, 1e9), min_size=24, max_size=60), st.one_of(st.none(), st.just(0.0)))
def test_whatever_comes_times_lie_within_reach(values: list[float], limit: float | None) -> None:
    """No negative time, none beyond what can be said."""
    found = trend([float(i) for i in range(len(values))], values, limit)
    told = [] if found is None else [found.meets_s, found.earliest_s, found.latest_s]
    assert all(t is None or 0.0 <= t <= REACH * len(values) for t in told)
