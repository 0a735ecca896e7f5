"""Tokens to a syntax tree: a Pratt parser for ``or and not``, comparisons that do not chain, arithmetic and calls."""

from __future__ import annotations

from agent.dataclass import dataclass
from agent.engine.lexer import MAX_TOKENS, ExprError, ExprProblem, Token, tokens
from agent.engine.units import Unit

MAX_DEPTH = 40
"""Nesting a reader (and the evaluator's stack) can take (reference cap)."""

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_POWER = {"or": 1, "and": 2, **dict.fromkeys(COMPARISONS, 4), "+": 5, "-": 5, "*": 6, "/": 6}
_NOT, _SIGN = 3, 7


@dataclass(frozen=True)
class Node:
    """A part of the expression between two offsets."""

    start: int
    end: int


@dataclass(frozen=True)
class Literal(Node):
    """A number in base units, a text, or true/false."""

    value: float | bool | str
    unit: Unit


@dataclass(frozen=True)
class Name(Node):
    """A series, an answer, a check or a kind of event; ``where`` are labels it must have: ``series{label='value'}``."""

    name: str
    where: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Call(Node):
    """A function or an aggregator."""

    name: str
    args: tuple[Node, ...]


@dataclass(frozen=True)
class Unary(Node):
    """``not x`` or ``-x``."""

    op: str
    operand: Node


@dataclass(frozen=True)
class Binary(Node):
    """A comparison or arithmetic."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Logic(Node):
    """``and`` or ``or`` over two or more items, kept flat so that long lists stay shallow."""

    op: str
    items: tuple[Node, ...]


def parse(text: str) -> tuple[Node, list[Token], list[ExprProblem]]:
    """The tree, its tokens, and slips in the words that could be read over.

    Raises :class:`ExprError` for what makes no tree: the slips in the words, or else the first one in the grammar.
    """
    words, problems = tokens(text)
    if len(words) > MAX_TOKENS + 1:
        raise ExprError(problems)
    try:
        return _Parser(words).whole(), words, problems
    except ExprError as error:
        raise ExprError(problems) if problems else error from None


class _Parser:
    def __init__(self, words: list[Token]) -> None:
        self._words = words
        self._at = 0

    def whole(self) -> Node:
        if self._peek().kind == "end":
            raise _error(self._peek(), "the expression is empty")
        node = self._expression(0, 1)
        if self._peek().kind != "end":
            raise _error(self._peek(), f"unexpected {_say(self._peek())}", "join conditions with 'and' or 'or'")
        return node

    def _peek(self) -> Token:
        return self._words[self._at]

    def _next(self) -> Token:
        word = self._words[self._at]
        self._at += 1
        return word

    def _expression(self, floor: int, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise _error(self._peek(), f"nested deeper than {MAX_DEPTH}", "split it into several checks")
        left = self._prefix(depth)
        chain = depth
        while self._peek().kind == "op" and _POWER.get(self._peek().text, 0) > floor:
            op = self._next()
            power = _POWER[op.text]
            if power == _POWER["<"] and isinstance(left, Binary) and left.op in COMPARISONS and not self._closed(left):
                raise _error(op, "comparisons do not chain", "write 'a < b and b < c'")
            right = self._expression(power, depth + 1)
            chain += op.text not in ("and", "or")
            if chain > MAX_DEPTH:
                raise _error(op, f"nested deeper than {MAX_DEPTH}", "split it into several checks")
            left = _join(op.text, left, right)
        return left

    def _closed(self, node: Node) -> bool:
        """Was the node written in parentheses?"""
        return self._words[self._at - 2].text == ")" and self._words[self._at - 2].end > node.end

    def _prefix(self, depth: int) -> Node:
        word = self._next()
        if word.kind == "number":
            return Literal(word.offset, word.end, word.value, word.unit)
        if word.kind == "string":
            return Literal(word.offset, word.end, word.text[1:-1], word.unit)
        if word.kind == "name":
            return self._named(word, depth)
        if word.text == "not":
            operand = self._expression(_NOT, depth + 1)
            return Unary(word.offset, operand.end, "not", operand)
        if word.text == "-":
            operand = self._expression(_SIGN, depth + 1)
            return Unary(word.offset, operand.end, "-", operand)
        if word.text == "(":
            inner = self._expression(0, depth + 1)
            self._expect(")", word)
            return inner
        raise _error(word, f"expected a value, found {_say(word)}")

    def _named(self, word: Token, depth: int) -> Node:
        if word.text in ("true", "false"):
            return Literal(word.offset, word.end, word.text == "true", word.unit)
        if self._peek().text == "{":
            return self._selected(word)
        if self._peek().text != "(":
            return Name(word.offset, word.end, word.text)
        opening = self._next()
        args: list[Node] = []
        while self._peek().text != ")":
            args.append(self._expression(0, depth + 1))
            if self._peek().text != ",":
                break
            self._next()
        end = self._expect(")", opening).end
        return Call(word.offset, end, word.text, tuple(args))

    def _selected(self, word: Token) -> Node:
        """``series{label='value', other='value'}``."""
        opening = self._next()
        where: list[tuple[str, str]] = []
        while self._peek().text != "}":
            label = self._next()
            if label.kind != "name":
                raise _error(label, f"expected a label, found {_say(label)}", "write series{label='value'}")
            if self._peek().text != "=":
                raise _error(self._peek(), f"expected '=', found {_say(self._peek())}", f"write {label.text}='value'")
            self._next()
            value = self._next()
            if value.kind != "string":
                raise _error(value, f"expected a text, found {_say(value)}", f"write {label.text}='{value.text}'")
            where.append((label.text, value.text[1:-1]))
            if self._peek().text != ",":
                break
            self._next()
        return Name(word.offset, self._expect("}", opening).end, word.text, tuple(where))

    def _expect(self, text: str, opening: Token) -> Token:
        if self._peek().text != text or self._peek().kind != "op":
            raise _error(
                self._peek(),
                f"expected '{text}', found {_say(self._peek())}",
                f"'{opening.text}' at column {opening.offset + 1} is open",
            )
        return self._next()


def _join(op: str, left: Node, right: Node) -> Node:
    if op not in ("and", "or"):
        return Binary(left.start, right.end, op, left, right)
    items = left.items if isinstance(left, Logic) and left.op == op else (left,)
    return Logic(left.start, right.end, op, (*items, right))


def _say(word: Token) -> str:
    return "the end" if word.kind == "end" else f"'{word.text}'"


def _error(word: Token, message: str, help: str = "") -> ExprError:
    return ExprError([ExprProblem(word.offset, max(len(word.text), 1), message, help)])
