"""Checks and compiles calls: window functions over one series, aggregators over many."""

from __future__ import annotations

from agent.engine import joins
from agent.engine.checker import BAD, Checker, Typed
from agent.engine.functions import AGGREGATES, EVENT_FUNCTIONS, FUNCTIONS, Function
from agent.engine.happened import SOURCES, Asked, happened
from agent.engine.joins import Fold, Leaf
from agent.engine.lexer import close
from agent.engine.syntax import Call, Literal, Name, Node
from agent.engine.units import COUNT, SECONDS, Unit, parse
from agent.engine.windows import STALE_AFTER
from agent.model import Kind, Metric

LONGEST_WINDOW = 7 * 86400.0
"""No memory behind the agent reaches further than a week."""


def call(checker: Checker, node: Call) -> Typed:
    """Any ``name(...)``."""
    if node.name in AGGREGATES:
        return aggregate(checker, node)
    if node.name in EVENT_FUNCTIONS:
        return event_call(checker, node)
    if node.name in FUNCTIONS:
        return window_call(checker, node)
    for arg in node.args:
        checker.visit(arg)
    known = [*FUNCTIONS, *EVENT_FUNCTIONS, *AGGREGATES]
    help = close(node.name, known) or f"functions are {', '.join(known)}"
    return checker.problem(Node(node.start, node.start + len(node.name)), f"unknown function '{node.name}'", help)


def window_call(checker: Checker, node: Call) -> Typed:
    """``function(series, window)``."""
    function = FUNCTIONS[node.name]
    if len(node.args) != 2 and not (len(node.args) == 1 and function.window_optional):
        return checker.problem(node, f"{node.name} takes a series and a window", f"write {node.name}(series, 5m)")
    metric = _series(checker, node, function)
    window = _window(checker, node) if len(node.args) == 2 else STALE_AFTER
    if metric is None or window is None:
        return BAD
    unit = function.unit(parse(metric.unit))
    checker.longest_window = max(checker.longest_window, window)
    fixed = {label for label, _ in node.args[0].where} if isinstance(node.args[0], Name) else set()
    everywhere = function.name == "absent" and checker.group is None and not checker.bound.issuperset({*metric.labels} - fixed)
    leaf = checker.leaf(node, metric, unit, everywhere)
    if leaf is None:
        return BAD
    if function.truth:
        return Typed(joins.absence(leaf, window, everywhere), "bool")
    if function.name == "age":
        return _age(checker, node, leaf, unit)
    if len(node.args) == 1:
        return Typed(joins.newest(leaf), "num", unit)
    return Typed(joins.windowed(leaf, _variant(function.name, metric), window), "num", unit)


def event_call(checker: Checker, node: Call) -> Typed:
    """``happened(kernel{kind='oom_kill'}, 15m)``: a count. A value may be one of several: ``xid='48|95'``."""
    kind = node.args[0] if node.args else None
    if len(node.args) != 2 or not isinstance(kind, Name):
        return checker.problem(
            node, f"{node.name} takes a kind of event and a window", f"write {node.name}(kernel{{kind='x'}}, 15m)"
        )
    if checker.group is not None:
        return checker.problem(node, "events are no series, and an aggregator is about series", "move it out of the brackets")
    window, source = _window(checker, node), SOURCES.get(kind.name)
    if source is None:
        return checker.problem(kind, f"unknown kind of event '{kind.name}'", f"known: {', '.join(sorted(SOURCES))}")
    checker.where(kind, source.fields, kind.name)
    if window is None:
        return BAD
    where = tuple((name, frozenset(value.split("|"))) for name, value in kind.where)
    text = " ".join(checker.source(node).split())
    return Typed(happened(Asked(text, kind.name, where, window, node.name)), "num", SECONDS if node.name == "since" else COUNT)


def _age(checker: Checker, node: Call, leaf: Leaf, unit: Unit) -> Typed:
    """``age(host_boot_time_seconds)``: how long ago the moment was that a series tells."""
    if len(node.args) != 1 or unit != SECONDS:
        return checker.problem(node, "age takes one series that tells a moment", "write age(host_boot_time_seconds)")
    return Typed(joins.aged(leaf), "num", SECONDS)


def _variant(name: str, metric: Metric) -> str:
    """``delta`` of a counter counts through restarts."""
    return "increase" if name == "delta" and metric.kind is Kind.COUNTER else name


def _series(checker: Checker, node: Call, function: Function) -> Metric | None:
    arg = node.args[0]
    if not isinstance(arg, Name):
        checker.visit(arg)
        checker.problem(arg, f"{node.name} needs a series, not '{checker.source(arg)}'", "name one series")
        return None
    metric = checker.scope.metrics.get(arg.name)
    if metric is None:
        if arg.name in checker.scope.answers or arg.name in checker.scope.checks:
            checker.problem(arg, f"{arg.name} is no series: it has one value and no history", "use it without a function")
        else:
            help = close(arg.name, [*checker.scope.metrics])
            checker.problem(arg, f"unknown series '{arg.name}'", help)
        return None
    if metric.kind not in function.accepts:
        checker.problem(node, f"{node.name} does not take a {metric.kind.value}: {arg.name}", function.instead)
        return None
    return metric


def _window(checker: Checker, node: Call) -> float | None:
    arg = node.args[1]
    if isinstance(arg, Literal) and arg.value != arg.value:
        return None  # its unit is unknown, which the lexer has said
    if not isinstance(arg, Literal) or arg.unit != SECONDS or not isinstance(arg.value, float):
        checker.problem(
            arg, f"the window of {node.name} must be a time, not '{checker.source(arg)}'", "write it like 30s, 5m or 1h"
        )
        return None
    if not 0.0 < arg.value <= LONGEST_WINDOW:
        checker.problem(arg, "the window must be longer than nothing and at most 7d")
        return None
    return arg.value


def aggregate(checker: Checker, node: Call) -> Typed:
    """``max_of(expression)`` and its like."""
    if len(node.args) != 1:
        return checker.problem(node, f"{node.name} takes one expression", f"write {node.name}(rate(series, 1m))")
    if checker.group is not None:
        return checker.problem(node, "aggregators do not nest", "take the inner one out")
    checker.group = []
    inner = checker.visit(node.args[0])
    leaves, checker.group = checker.group, None
    wanted = "bool" if node.name == "any_of" else "num"
    if inner.type == "bad":
        return BAD
    if inner.type != wanted:
        needs = "a condition, such as any_of(x > 0)" if wanted == "bool" else "a number"
        return checker.problem(node.args[0], f"{node.name} needs {needs}")
    return _fold(checker, node, inner, leaves)


def _fold(checker: Checker, node: Call, inner: Typed, leaves: list[Leaf]) -> Typed:
    others = node.name.endswith(("_others", "_strangers"))
    lead = max(leaves, key=lambda leaf: len(leaf.names), default=None)
    if lead is None or not _choice(checker, lead, others):
        return checker.problem(node, f"{node.name} has nothing to choose from: one series at most", "take the aggregator away")
    stray = [leaf for leaf in leaves if not set(leaf.names) <= set(lead.names) | checker.bound]
    if stray:
        names = " and ".join(sorted({lead.name, stray[0].name}))
        return checker.problem(node, f"{names} cannot be joined: neither's labels contain the other's")
    if others and "pid" not in lead.names:
        return checker.problem(node, f"{node.name} is about processes, and {lead.name} has no pid", f"use {node.name[:6]}")
    used = tuple(sorted({name for leaf in leaves for name in leaf.names}))
    text = " ".join(checker.source(node).split())
    strangers = node.name.endswith("_strangers")
    fold = Fold(text, node.name[:6], others, lead, used, checker.bound, inner.run, str(inner.unit), strangers)
    return Typed(joins.folded(fold), inner.type, inner.unit)


def _choice(checker: Checker, lead: Leaf, others: bool) -> bool:
    """Can there be more than one series? A pid ranges over a process tree, a GPU over those of a process."""
    return bool(lead.names) and (others or any(n not in checker.scope.each or n == "pid" for n in lead.names))
