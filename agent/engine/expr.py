"""The condition language's front door: ``compile_expr(text, scope)`` and ``Compiled.evaluate(round, instance)``.

``and or not`` over true, false and unknown; comparisons that do not chain; ``+ - * /``; window functions and aggregators. No
attributes, indexing, loops or eval: the cost is bounded by the number of words.
"""

from __future__ import annotations

from functools import cached_property
from typing import TypeVar

from agent.dataclass import dataclass
from agent.engine.calls import call
from agent.engine.checker import Checker, Scope, Type
from agent.engine.context import Context, Quiet, Run
from agent.engine.lexer import NUMBER, ExprError, ExprProblem, Token
from agent.engine.rounds import AnswerValue, Instance, Result, Round, RoundCache, Term
from agent.engine.syntax import parse

__all__ = [
    "AnswerValue",
    "Compiled",
    "ExprError",
    "ExprProblem",
    "Instance",
    "Result",
    "Round",
    "RoundCache",
    "Scope",
    "Term",
    "compile_expr",
]

T = TypeVar("T")

FLIPPED = {"<": ">", "<=": ">", ">": "<", ">=": "<", "==": "!=", "!=": "==", "and": "or", "or": "and"}
SCALED_BY = 10.0
"""A threshold ten times off must be noticed by a rule's tests."""


@dataclass(frozen=True)
class Compiled:
    """A checked expression. ``type`` is ``num``, ``bool`` or ``str``; ``longest_window`` is in seconds."""

    text: str
    type: Type
    unit: str
    series: frozenset[str]
    answers: frozenset[str]
    checks: frozenset[str]
    longest_window: float
    run: Run
    scope: Scope

    def evaluate(self, round: Round, instance: Instance) -> Result:
        """The value for one instance, None for unknown, with the terms looked at."""
        context = Context(round, instance)
        value = self.run(context)
        return Result(value, tuple(context.terms), _once(context.culprits), _once(context.missing), _once(context.unknown))

    def value(self, round: Round, instance: Instance) -> AnswerValue:
        """Only the value, as :meth:`evaluate` gives it; most conditions of most rounds are false, and nobody asks why."""
        return self.run(Quiet(round, instance))

    @cached_property
    def alternatives(self) -> tuple[Compiled, ...]:
        """The conditions of which one is enough: those that ``or`` joins outside all brackets; itself alone if there is none."""
        _, words, _ = parse(self.text)
        cuts, depth = [-1], 0
        for at, word in enumerate(words):
            if word.kind == "op":
                depth += (word.text in ("(", "{")) - (word.text in (")", "}"))
                if word.text == "or" and not depth:
                    cuts.append(at)
        if len(cuts) == 1:
            return (self,)
        spans = [(words[a + 1].offset, words[b - 1].end) for a, b in zip(cuts, [*cuts[1:], len(words) - 1], strict=True)]
        return tuple(compile_expr(self.text[low:high], self.scope) for low, high in spans)

    def mutants(self) -> list[tuple[str, Compiled]]:
        """Expressions with one comparison or joint turned, or one threshold ten times as high, each with what was changed."""
        _, words, _ = parse(self.text)
        changes = [change for at in range(len(words)) if (change := self._change(words, at))]
        return [(what, compile_expr(text, self.scope)) for what, text in changes]

    def _change(self, words: list[Token], at: int) -> tuple[str, str] | None:
        word = words[at]
        if word.kind == "op" and word.text in FLIPPED:
            new = FLIPPED[word.text]
        elif word.kind == "number" and not _is_window(words, at):
            new = _scaled(word.text)
        else:
            return None
        where = f"at column {word.offset + 1}"
        return f"'{word.text}' became '{new}' {where}", self.text[: word.offset] + new + self.text[word.end :]


def compile_expr(text: str, scope: Scope) -> Compiled:
    """Check and compile one expression; raises :class:`ExprError` with all problems."""
    tree, _, slips = parse(text)
    checker = Checker(text, scope, call)
    typed = checker.visit(tree)
    if slips or checker.problems:
        raise ExprError([*slips, *checker.problems])
    return Compiled(
        text=text,
        type=typed.type,
        unit=str(typed.unit) if typed.type == "num" else "",
        series=frozenset(checker.series),
        answers=frozenset(checker.answers),
        checks=frozenset(checker.checks),
        longest_window=checker.longest_window,
        run=typed.run,
        scope=scope,
    )


def _is_window(words: list[Token], at: int) -> bool:
    """A window is the last argument of a call; changing it a little often changes nothing a test could see."""
    return at > 0 and words[at - 1].text == "," and words[at + 1].text == ")"


def _scaled(text: str) -> str:
    number, unit = NUMBER.fullmatch(text).group("number", "unit")  # type: ignore[union-attr]
    return f"{float(number) * SCALED_BY or 1.0:.12g}{unit or ''}"


def _once(items: list[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items)) if items else ()
