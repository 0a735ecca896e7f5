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


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": same,
    "!=": lambda a, b: not same(a, b),
    "<": lambda a, b: above(b, a),
    "<=": lambda a, b: not above(a, b),
    ">": above,
    ">=": lambda a, b: not above(b, a),
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

    def run(context: Context) -> AnswerValue:
        a, b = left(context), right(context)
        return None if a is None or b is None else test(a, b)

    return run


def arithmetic(op: str, left: Run, right: Run) -> Run:
    """A sum, difference, product or quotient; unknown for a division by zero and whatever is not a number."""
    work = _ARITHMETIC[op]

    def run(context: Context) -> AnswerValue:
        a, b = left(context), right(context)
        if a is None or b is None or (op == "/" and b == 0.0):
            return None
        value = work(a, b)
        return value if value == value else None

    return run


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


def constant(value: AnswerValue) -> Run:
    """A literal."""
    return lambda context: value
