"""The interval of a cause."""

from __future__ import annotations

import pytest

from agent.diagnosis import Confidence
from agent.engine.confidence import active, confidence, possible
from agent.engine.trees import Cause
from agent.model import Severity, Truth


def cause(require: tuple[str, ...] = (), refute: dict[str, float] | None = None) -> Cause:
    """A cause with two supports."""
    return Cause("t.c", "t", "T", Severity.WARNING, require, {"a": 0.6, "b": 0.5}, refute or {})


@pytest.mark.parametrize(
    ("a", "b", "lo", "hi"),
    [
        (True, True, 0.8, 0.8),
        (True, None, 0.6, 0.8),
        (None, None, 0.0, 0.8),
        (False, None, 0.0, 0.5),
        (False, False, 0.0, 0.0),
    ],
)
def test_supports_join_as_independent_evidence(a: Truth, b: Truth, lo: float, hi: float) -> None:
    """``lo`` counts what is true, ``hi`` also what is unknown."""
    found = confidence(cause(), {"a": a, "b": b})
    assert (found.lo, found.hi) == (pytest.approx(lo), pytest.approx(hi))


@pytest.mark.parametrize(("require", "lo", "hi"), [(True, 0.6, 0.6), (None, 0.0, 0.6), (False, 0.0, 0.0)])
def test_without_all_it_requires_a_cause_is_not_named(require: Truth, lo: float, hi: float) -> None:
    """Unknown requirements leave it possible, false ones rule it out."""
    found = confidence(cause(("r",)), {"r": require, "a": True, "b": False})
    assert (found.lo, found.hi) == (pytest.approx(lo), pytest.approx(hi))


@pytest.mark.parametrize(("refute", "lo", "hi"), [(False, 0.6, 0.6), (None, 0.36, 0.6), (True, 0.36, 0.36)])
def test_an_unknown_refutation_lowers_only_what_is_sure(refute: Truth, lo: float, hi: float) -> None:
    """True counts in both, unknown only against ``lo``."""
    found = confidence(cause((), {"f": 0.4}), {"a": True, "b": False, "f": refute})
    assert (found.lo, found.hi) == (pytest.approx(lo), pytest.approx(hi))


def test_a_hair_below_one_half_is_one_half() -> None:
    """Comparisons forgive rounding: 1 - (1 - 0.5) and its like are active."""
    assert active(Confidence(0.5 - 1e-12, 1.0))
    assert not active(Confidence(0.499, 1.0))
    assert possible(Confidence(0.1, 0.5 - 1e-12))
    assert not possible(Confidence(0.1, 0.49))
    assert not possible(Confidence(0.6, 0.9))
