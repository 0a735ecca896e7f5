import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.engine.context import Context, Run
from agent.engine.operators import COMPARE, arithmetic, compare, constant, logic, negation
from agent.engine.rounds import Instance, Round
from tests.fakes.view import FakeView

CONTEXT = Context(Round(FakeView()), Instance())
TRUTHS = st.sampled_from([True, False, None])
NUMBERS = st.floats(allow_nan=False, min_value=-1e12, max_value=1e12)
RANK = {False: 0, None: 1, True: 2}


def _logic(op: str, *items: bool | None) -> object:
    return logic(op, [constant(i) for i in items])(CONTEXT)


@settings(deadline=None)
@given(st.lists(TRUTHS, min_size=1, max_size=5))
def test_and_is_the_least_and_or_the_greatest(items: list[bool | None]) -> None:
    """Kleene: false < unknown < true."""
    assert _logic("and", *items) is min(items, key=RANK.__getitem__)
    assert _logic("or", *items) is max(items, key=RANK.__getitem__)


@settings(deadline=None)
@given(TRUTHS, TRUTHS)
def test_de_morgan_holds_with_unknowns(a: bool | None, b: bool | None) -> None:
    """`not (a and b)` is `not a or not b`, also where something is unknown."""
    left = negation(logic("and", [constant(a), constant(b)]))(CONTEXT)
    right = logic("or", [negation(constant(a)), negation(constant(b))])(CONTEXT)
    assert left is right


@settings(deadline=None)
@given(TRUTHS, TRUTHS)
def test_knowing_more_never_turns_an_answer(a: bool | None, b: bool | None) -> None:
    """An answer given in spite of an unknown stays, whatever the unknown turns out to be."""
    for op in ("and", "or"):
        answer = _logic(op, a, b)
        if answer is not None and None in (a, b):
            assert all(_logic(op, x if a is None else a, x if b is None else b) is answer for x in (True, False))


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_exactly_one_of_less_same_greater(a: float, b: float) -> None:
    """The tolerance leaves no gap and no overlap."""
    assert [COMPARE["<"](a, b), COMPARE["=="](a, b), COMPARE[">"](a, b)].count(True) == 1
    assert COMPARE[">="](a, b) is not COMPARE["<"](a, b)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(COMPARE)),
    st.sampled_from("+-*/"),
    *[NUMBERS | st.sampled_from([None, 0.0, math.inf, 1.0, 1.0 + 1e-10])] * 2,
)
def test_a_number_known_beforehand_changes_nothing(compared: str, op: str, a: float | None, b: float | None) -> None:
    """A comparison with a literal, and arithmetic on literals, as with values that are asked for."""

    def asked(value: float | None) -> Run:
        return lambda context: value

    assert compare(compared, asked(a), constant(b))(CONTEXT) is compare(compared, asked(a), asked(b))(CONTEXT)
    assert repr(arithmetic(op, constant(a), constant(b))(CONTEXT)) == repr(arithmetic(op, asked(a), asked(b))(CONTEXT))


def test_rounding_is_no_difference() -> None:
    """0.1 + 0.2 is 0.3."""
    assert COMPARE["=="](0.1 + 0.2, 0.3)
    assert not COMPARE[">"](0.1 + 0.2, 0.3)


@pytest.mark.parametrize(("op", "answer"), [("<", False), (">", True), ("==", False), (">=", True)])
def test_infinity_is_beyond_every_limit(op: str, answer: bool) -> None:
    """An eta that never comes is later than any threshold."""
    assert COMPARE[op](math.inf, 900.0) is answer


@pytest.mark.parametrize(("op", "a", "b"), [("/", 1.0, 0.0), ("-", math.inf, math.inf), ("*", 0.0, math.inf), ("+", None, 1.0)])
def test_what_is_no_number_is_unknown(op: str, a: float | None, b: float) -> None:
    """Division by zero, not-a-number and missing data all read as unknown."""
    assert arithmetic(op, constant(a), constant(b))(CONTEXT) is None


def test_a_comparison_with_the_unknown_is_unknown() -> None:
    """Missing data never reads as healthy."""
    assert compare(">", constant(None), constant(1.0))(CONTEXT) is None
