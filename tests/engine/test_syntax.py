import pytest

from agent.engine.lexer import ExprError
from agent.engine.syntax import Binary, Call, Logic, Unary, parse


def _refusal(text: str) -> str:
    with pytest.raises(ExprError) as refused:
        parse(text)
    return refused.value.problems[0].message


def test_and_binds_tighter_than_or() -> None:
    """`a or b and c` is `a or (b and c)`."""
    tree = parse("a or b and c")[0]
    assert isinstance(tree, Logic)
    assert tree.op == "or"
    assert isinstance(tree.items[1], Logic)


def test_not_takes_the_whole_comparison() -> None:
    """`not a > 1` is `not (a > 1)`."""
    tree = parse("not a > 1")[0]
    assert isinstance(tree, Unary)
    assert isinstance(tree.operand, Binary)


def test_arithmetic_groups_from_the_left() -> None:
    """`8 / 4 / 2` is 1, not 4."""
    tree = parse("8 / 4 / 2")[0]
    assert isinstance(tree, Binary)
    assert isinstance(tree.left, Binary)


def test_a_call_has_its_arguments() -> None:
    """Functions take a series and a window."""
    tree = parse("avg(x, 5m)")[0]
    assert isinstance(tree, Call)
    assert len(tree.args) == 2


def test_comparisons_do_not_chain() -> None:
    """`1 < x < 2` would mean something else in every language."""
    assert _refusal("1 < x < 2") == "comparisons do not chain"


def test_nesting_is_capped_from_both_sides() -> None:
    """Brackets and long sums end at 40."""
    assert "40" in _refusal("(" * 45 + "1" + ")" * 45)
    assert "40" in _refusal("1" + " + 1" * 60)


def test_long_lists_of_conditions_are_no_nesting() -> None:
    """`or` over 80 items is flat."""
    tree = parse(" or ".join(["a"] * 80))[0]
    assert isinstance(tree, Logic)
    assert len(tree.items) == 80


@pytest.mark.parametrize("text", ["", "(a", "a)", "a +", "f(", "f(a,", "a b", "* a", "not"])
def test_broken_grammar_is_refused_with_a_place(text: str) -> None:
    """The problem points into the text or right behind it."""
    with pytest.raises(ExprError) as refused:
        parse(text)
    assert 0 <= refused.value.problems[0].offset <= len(text)
