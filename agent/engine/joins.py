"""Closures that read the round: one series, an answer, a check, or many series folded by an aggregator."""

from __future__ import annotations

import math
from collections.abc import Iterable

from agent.dataclass import dataclass
from agent.engine.context import GPU_LABELS, Context, Quiet, Run
from agent.engine.rounds import AnswerValue, Instance, Round
from agent.model import Labels

MOST_CULPRITS = 5


@dataclass(frozen=True)
class Leaf:
    """A series as an expression names it; ``names`` are its label names, sorted, without those that are ``fixed``."""

    text: str
    name: str
    names: tuple[str, ...]
    unit: str
    fixed: Labels = ()


def newest(leaf: Leaf) -> Run:
    """A bare series name: its last value."""

    def run(context: Context) -> AnswerValue:
        labels = context.bind(leaf.names, leaf.fixed)
        value = None if labels is None else context.round.last(leaf.name, labels)
        return context.note(leaf.text, value, leaf.unit, leaf.name, leaf.fixed)

    return run


def aged(leaf: Leaf) -> Run:
    """Seconds since the moment (Unix seconds) that a series tells."""

    def run(context: Context) -> AnswerValue:
        labels = context.bind(leaf.names, leaf.fixed)
        value = None if labels is None else context.round.last(leaf.name, labels)
        return context.note(leaf.text, None if value is None else context.round.now - value, leaf.unit, leaf.name, leaf.fixed)

    return run


def windowed(leaf: Leaf, function: str, window: float) -> Run:
    """A window function over one series."""

    def run(context: Context) -> AnswerValue:
        labels = context.bind(leaf.names, leaf.fixed)
        value = None if labels is None else context.round.window(function, leaf.name, labels, window)
        return context.note(leaf.text, value, leaf.unit, leaf.name, leaf.fixed)

    return run


def absence(leaf: Leaf, window: float, everywhere: bool) -> Run:
    """Has the series (or, ``everywhere``, every series of the name) no sample in the window? Never unknown."""

    def run(context: Context) -> AnswerValue:
        if everywhere:
            found = context.round.view.series(leaf.name, window)
            value: AnswerValue = not any(set(leaf.fixed) <= set(labels) for labels in found)
        else:
            labels = context.bind(leaf.names, leaf.fixed)
            value = True if labels is None else context.round.window("absent", leaf.name, labels, window)
        return context.note(leaf.text, value, "", leaf.name)

    return run


def answer(name: str, kind: str, unit: str) -> Run:
    """What a probe answered; unknown if it did not look, could not tell, or answered with the wrong type."""
    types = {"bool": bool, "str": str}.get(kind, (int, float))

    def run(context: Context) -> AnswerValue:
        value = context.round.answers.get(name)
        if not isinstance(value, types) or (kind == "num" and (isinstance(value, bool) or value != value)):
            value = None
        return context.note(name, value, unit, name)

    return run


def check(name: str) -> Run:
    """The result of another check."""

    def run(context: Context) -> AnswerValue:
        return context.note(name, context.round.checks.get(name), "", name)

    return run


@dataclass(frozen=True)
class Fold:
    """An aggregator: ``lead`` is the series that is walked, ``used`` every label its expression reads.

    Labels in ``bound`` that the instance has are held fast; a ``pid`` ranges over the instance's own process tree. With
    ``others`` only the GPU is held fast and the instance's own processes are left out; with ``strangers`` those that belong to
    the same owner, or to nobody known: one launcher may start the programs of several.
    """

    text: str
    kind: str
    others: bool
    lead: Leaf
    used: tuple[str, ...]
    bound: frozenset[str]
    inner: Run
    unit: str
    strangers: bool = False


Member = tuple[AnswerValue, Labels, str | None]
"""Value, label set, pid."""


def folded(fold: Fold) -> Run:
    """The aggregator's closure. The walk over the members is shared by all instances that hold the same labels fast."""

    def run(context: Context) -> AnswerValue:
        members = _members(fold, context)
        if fold.strangers:
            mine = owner(context.round, context.instance.labels.get("pid", ""))
            members = [m for m in members if mine and (owner(context.round, m[2] or "") or mine) != mine]
        elif fold.others:
            own = _own(context.instance)
            members = [m for m in members if m[2] not in own]
        value, culprits = _reduce(fold, members)
        context.blame(culprits[:MOST_CULPRITS])
        return context.note(fold.text, value, fold.unit, fold.lead.name, fold.lead.fixed)

    return run


def _members(fold: Fold, context: Context) -> list[Member]:
    """Every member with its value, the greatest first, unknown last."""
    labels = context.instance.labels
    keep = fold.bound & GPU_LABELS if fold.others else fold.bound
    held = tuple([(n, labels[n]) for n in fold.used if n in keep and n in labels])
    loose = tuple([(n, labels.get(n)) for n in fold.used if n not in fold.lead.names])
    family = _own(context.instance) if not fold.others and any(n == "pid" for n, _ in held) else None
    key = ("fold", fold.text, held, loose, family)
    memo = context.round.memo
    if key not in memo:
        walked = _walk(fold, context, dict(held), family)
        memo[key] = sorted(walked, key=lambda m: (m[0] is None, -_rank(m[0]), m[1]))
    members: list[Member] = memo[key]
    return members


def _walk(fold: Fold, context: Context, held: dict[str, str], family: frozenset[str] | None) -> Iterable[Member]:
    if family is not None:
        held.pop("pid")
    instance = context.instance
    held.update(fold.lead.fixed)
    for labels, named in context.round.live(fold.lead.name):
        if any(named.get(n, v) != v for n, v in held.items()):
            continue
        if family is not None and named.get("pid", "") not in family:
            continue
        yield fold.inner(Quiet(context.round, instance, {**instance.labels, **named})), labels, named.get("pid")


def owner(round: Round, pid: str) -> str:
    """Whose a process is: its job's, container's, unit's or user's, the first that is known; "" if nothing is."""
    if "owners" not in round.memo:
        known: dict[str, dict[str, str]] = {}
        for name in ("gpu_process_info", "process_info"):  # the one reads more of a process, the other knows more processes
            for _, named in round.live(name):
                known.setdefault(named.get("pid", ""), {}).update({k: v for k, v in named.items() if v})
        round.memo["owners"] = {
            pid: next((f"{k} {named[k]}" for k in ("job", "container", "unit", "user") if named.get(k)), "")
            for pid, named in known.items()
        }
    owners: dict[str, str] = round.memo["owners"]
    return owners.get(pid, "")


def _own(instance: Instance) -> frozenset[str]:
    pid = instance.labels.get("pid")
    return instance.own_pids if pid is None or pid in instance.own_pids else instance.own_pids | {pid}


def _rank(value: AnswerValue) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _reduce(fold: Fold, members: list[Member]) -> tuple[AnswerValue, list[Labels]]:
    """The folded value and the label sets behind it, worst first."""
    known = [m for m in members if m[0] is not None]
    if fold.kind == "any_of":
        true = [labels for value, labels, _ in known if value]
        settled = bool(true) or (len(known) == len(members) > 0)
        return (bool(true) if settled else None), true
    order = [labels for _, labels, _ in known]
    if fold.kind == "sum_of":
        nobody = fold.others and not members
        return (math.fsum(_rank(m[0]) for m in known) if known or nobody else None), order
    if fold.strangers and not members:
        return 0.0, []
    return (known[0][0] if known else None), order
