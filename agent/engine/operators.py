"""Closures for logic, comparison and arithmetic over true, false and unknown (Kleene's strong logic)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from agent.engine.context import Context, Run
from agent.engine.rounds import AnswerValue

_CLOSE = 1e-9
"""Relative difference below which two numbers are the same."""


def same(a: Any, b: Any) -> bool:
    """Equal, numbers within 1e-9 of their size."""
    return bool(a == b or (not isinstance(a, str | bool) and not above(a, b) and not above(b, a)))


def above(a: float, b: float) -> bool:
    """Greater beyond rounding; infinities included."""
    return a > b and a - b > _CLOSE * min(abs(a), abs(b))


def below(a: float, b: float) -> bool:
    """Less beyond rounding."""
    return b > a and b - a > _CLOSE * min(abs(b), abs(a))


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": same,
    "!=": lambda a, b: not same(a, b),
    "<": below,
    "<=": lambda a, b: not above(a, b),
    ">": above,
    ">=": lambda a, b: not below(a, b),
}

_ARITHMETIC: dict[str, Callable[[Any, Any], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def compare(op: str, left: Run, right: Run) -> Run:
    """A comparison; unknown if either side is."""
    test = COMPARE[op]
    if isinstance(right, Constant) and (limit := right.value) is not None:  # as most comparisons are

        def against(context: Context) -> AnswerValue:
            value = left(context)
            return None if value is None else test(value, limit)

        return against

    def run(context: Context) -> AnswerValue:
        a, b = left(context), right(context)
        return None if a is None or b is None else test(a, b)

    return run


def arithmetic(op: str, left: Run, right: Run) -> Run:
    """A sum, difference, product or quotient; unknown for a division by zero and whatever is not a number."""
    work = _ARITHMETIC[op]

    def of(a: AnswerValue, b: AnswerValue) -> AnswerValue:
        if a is None or b is None or (op == "/" and b == 0.0):
            return None
        value = work(a, b)
        return value if value == value else None

    if isinstance(left, Constant) and isinstance(right, Constant):
        return constant(of(left.value, right.value))
    return lambda context: of(left(context), right(context))


def negative(operand: Run) -> Run:
    """``-x``."""

    def run(context: Context) -> AnswerValue:
        value = operand(context)
        return None if value is None else -float(value)

    return run


def negation(operand: Run) -> Run:
    """``not x``; unknown stays unknown."""

    def run(context: Context) -> AnswerValue:
        value = operand(context)
        return None if value is None else not value

    return run


def logic(op: str, items: Sequence[Run]) -> Run:
    """``and``, ``or``: the first item that decides ends the look; else unknown if any item is unknown."""
    decides = op == "or"

    def run(context: Context) -> AnswerValue:
        unknown = False
        for item in items:
            value = item(context)
            if value is decides:
                return decides
            unknown = unknown or value is None
        return None if unknown else not decides

    return run


class Constant:
    """A part that has the same value whoever asks."""

    __slots__ = ("value",)

    def __init__(self, value: AnswerValue) -> None:
        self.value = value

    def __call__(self, context: Context) -> AnswerValue:
        """The value."""
        return self.value


def constant(value: AnswerValue) -> Run:
    """A literal."""
    return Constant(value)
