"""Syntax tree to closures, checking types, units and joins on the way; gathers every problem."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from typing import Literal as OneOf

from agent.dataclass import dataclass
from agent.engine import joins, operators
from agent.engine.context import Run, bound_by
from agent.engine.functions import AGGREGATES, EVENT_FUNCTIONS, FUNCTIONS
from agent.engine.joins import Leaf
from agent.engine.lexer import ExprProblem, close
from agent.engine.syntax import COMPARISONS, Binary, Call, Literal, Logic, Name, Node, Unary
from agent.engine.units import LOOSE, Unit, fit, over, parse, times
from agent.engine.windows import STALE_AFTER
from agent.model import Kind, Metric

Type = OneOf["num", "bool", "str", "bad"]
_SAY = {"num": "a number", "bool": "true or false", "str": "a text", "bad": "a mistake"}


@dataclass(frozen=True)
class Scope:
    """What an expression may name. ``each`` are the labels of the tree's instances; answers are declared by probes.

    An answer is a number, unless its metric's unit is ``bool`` (true or false) or its kind is ``info`` or unit ``str`` (a text).
    """

    metrics: Mapping[str, Metric]
    each: tuple[str, ...] = ()
    answers: Mapping[str, Metric] = field(default_factory=dict)
    checks: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Typed:
    """A checked part: its closure, type and unit."""

    run: Run
    type: Type
    unit: Unit = LOOSE


BAD = Typed(operators.constant(None), "bad")


def answer_type(metric: Metric) -> Type:
    """The type of a probe's answer by its declaration."""
    if metric.unit == "bool":
        return "bool"
    return "str" if metric.kind is Kind.INFO or metric.unit == "str" else "num"


class Checker:
    """Walks one tree once; :attr:`problems` holds all that is wrong with it. ``calls`` checks what has brackets."""

    def __init__(self, text: str, scope: Scope, calls: Callable[[Checker, Call], Typed]) -> None:
        self.text = text
        self.scope = scope
        self._calls = calls
        self.problems: list[ExprProblem] = []
        self.series: set[str] = set()
        self.answers: set[str] = set()
        self.checks: set[str] = set()
        self.longest_window = 0.0
        self.bound = bound_by(scope.each)
        self.group: list[Leaf] | None = None

    def problem(self, node: Node, message: str, help: str = "") -> Typed:
        """Note a mistake; the part is then left alone, so that one slip gives one message."""
        self.problems.append(ExprProblem(node.start, max(node.end - node.start, 1), message, help))
        return BAD

    def source(self, node: Node) -> str:
        """The part of the text a node stands for."""
        return self.text[node.start : node.end]

    def visit(self, node: Node) -> Typed:
        """Check one node and what is below it."""
        handler: Callable[[Node], Typed] = getattr(self, f"_{type(node).__name__.lower()}")
        return handler(node)

    def _literal(self, node: Literal) -> Typed:
        if node.value != node.value:
            return BAD  # its unit is unknown, which the lexer has said
        kind: Type = "bool" if isinstance(node.value, bool) else "str" if isinstance(node.value, str) else "num"
        return Typed(operators.constant(node.value), kind, node.unit)

    def _logic(self, node: Logic) -> Typed:
        items = [self._truth(item, f"'{node.op}' joins conditions") for item in node.items]
        return Typed(operators.logic(node.op, [i.run for i in items]), "bool")

    def _unary(self, node: Unary) -> Typed:
        if node.op == "not":
            return Typed(operators.negation(self._truth(node.operand, "'not' turns a condition round").run), "bool")
        operand = self._number(node.operand, "'-' needs a number")
        return Typed(operators.negative(operand.run), "num", operand.unit)

    def _binary(self, node: Binary) -> Typed:
        return self._compare(node) if node.op in COMPARISONS else self._arithmetic(node)

    def _compare(self, node: Binary) -> Typed:
        left, right = self.visit(node.left), self.visit(node.right)
        if "bad" not in (left.type, right.type):
            if left.type != right.type:
                self.problem(node, f"compares {_SAY[left.type]} with {_SAY[right.type]}")
            elif left.type != "num" and node.op not in ("==", "!="):
                self.problem(node, f"'{node.op}' needs numbers, not {_SAY[left.type]}", "use == or !=")
            elif left.type == "num" and not fit(left.unit, right.unit):
                self.problem(node, f"compares {_unit(left)} with {_unit(right)}", _unit_help(left, right))
        return Typed(operators.compare(node.op, left.run, right.run), "bool")

    def _arithmetic(self, node: Binary) -> Typed:
        left, right = (self._number(side, f"'{node.op}' needs numbers") for side in (node.left, node.right))
        if node.op in ("*", "/"):
            unit = (times if node.op == "*" else over)(left.unit, right.unit)
        else:
            unit = right.unit if left.unit.loose else left.unit
            if "bad" not in (left.type, right.type) and not fit(left.unit, right.unit):
                self.problem(node, f"'{node.op}' on {_unit(left)} and {_unit(right)}")
        kind: Type = "bad" if "bad" in (left.type, right.type) else "num"
        return Typed(operators.arithmetic(node.op, left.run, right.run), kind, unit)

    def _truth(self, node: Node, why: str) -> Typed:
        typed = self.visit(node)
        if typed.type in ("num", "str"):
            return self.problem(node, f"{why}, but '{self.source(node)}' is {_SAY[typed.type]}", "compare it with something")
        return typed

    def _number(self, node: Node, why: str) -> Typed:
        typed = self.visit(node)
        if typed.type in ("bool", "str"):
            return self.problem(node, f"{why}, but '{self.source(node)}' is {_SAY[typed.type]}")
        return typed

    # ------------------------------------------------------------------------------------------ names and calls

    def _name(self, node: Name) -> Typed:
        name = node.name
        if name in self.scope.checks or name in self.scope.answers:
            if node.where:
                return self.problem(node, f"{name} is no series: it has no labels", "leave the braces away")
            return self._outcome(node)
        metric = self.scope.metrics.get(name)
        if metric is None:
            return self._unknown(node)
        if metric.kind is Kind.INFO:
            return self.problem(node, f"{name} has labels, not a value", "use absent() or count()")
        unit = parse(metric.unit)
        leaf = self.leaf(node, metric, unit)
        self.longest_window = max(self.longest_window, STALE_AFTER)
        return Typed(joins.newest(leaf), "num", unit) if leaf else BAD

    def _outcome(self, node: Name) -> Typed:
        """A check or a probe's answer."""
        name = node.name
        if self.group is not None:
            return self.problem(node, f"{name} is not a series, and an aggregator is about series", "move it out of the brackets")
        if name in self.scope.checks:
            self.checks.add(name)
            return Typed(joins.check(name), "bool")
        self.answers.add(name)
        metric = self.scope.answers[name]
        kind, unit = answer_type(metric), parse(metric.unit)
        return Typed(joins.answer(name, kind, "" if kind != "num" else str(unit)), kind, unit)

    def _unknown(self, node: Name) -> Typed:
        known = [*self.scope.metrics, *self.scope.answers, *self.scope.checks]
        if node.name in FUNCTIONS or node.name in AGGREGATES or node.name in EVENT_FUNCTIONS:
            return self.problem(node, f"{node.name} is a function", f"write {node.name}(series, 5m)")
        plain = node.name.removeprefix("anfl_")
        help = f"did you mean '{plain}'?" if plain in self.scope.metrics else close(node.name, known)
        what = "series, answer or check" if self.scope.answers or self.scope.checks else "series"
        return self.problem(node, f"unknown {what} '{node.name}'", help)

    def leaf(self, node: Node, metric: Metric, unit: Unit, everywhere: bool = False) -> Leaf | None:
        """A series' leaf; a label nothing binds is a problem outside an aggregator."""
        named = node if isinstance(node, Name) else next((a for a in getattr(node, "args", ()) if isinstance(a, Name)), None)
        fixed = tuple(sorted(named.where)) if named is not None else ()
        self.where(named, metric.labels, metric.name)
        names = tuple(sorted(set(metric.labels) - {label for label, _ in fixed}))
        self.series.add(metric.name)
        leaf = Leaf(" ".join(self.source(node).split()), metric.name, names, str(unit), fixed)
        free = [n for n in names if n not in self.bound]
        if self.group is not None:
            self.group.append(leaf)
        elif free and not everywhere:
            each = f"each: [{', '.join(self.scope.each)}]" if self.scope.each else "a tree without each"
            message = f"{metric.name} is several series here: {each} does not say which {' and '.join(free)}"
            self.problem(node, message, "wrap it in max_of(), sum_of() or any_of()")
            return None
        return leaf

    def where(self, node: Name | None, known: Collection[str], what: str) -> None:
        """Every label in braces must be one that it has, and be there once."""
        seen = set[str]()
        for label, _ in node.where if node is not None else ():
            assert node is not None
            if label not in known:
                self.problem(
                    node, f"{what} has no label '{label}'", close(label, known) or f"it has {', '.join(sorted(known)) or 'none'}"
                )
            elif label in seen:
                self.problem(node, f"label '{label}' is there twice")
            seen.add(label)

    def _call(self, node: Call) -> Typed:
        return self._calls(self, node)


def _unit(typed: Typed) -> str:
    return str(typed.unit) or "a count or share"


def _unit_help(left: Typed, right: Typed) -> str:
    """A threshold without its time is the commonest slip: ``rate(x, 1m) > 2MiB``."""
    a, b = dict(left.unit.dims), dict(right.unit.dims)
    if {**b, "seconds": b.get("seconds", 0) - 1} == {"seconds": 0, **a}:
        return "the left side is per second; divide the threshold by a time, such as / 1s"
    return ""
