"""The shape of a tree file as written. The loader and the exported JSON Schema both read these classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from agent.dataclass import dataclass
from agent.yamlfile import Node, Seconds, Text

SeverityWord = Literal["notice", "warning", "critical"]


@dataclass(frozen=True)
class SymptomFile:
    """``symptom:`` of a tree: when it fires, and when it is over. With ``suspicion`` (ids or topics of causes) it is told
    only if a look names one of them."""

    when: Text
    clear: Text | None = None
    for_: Seconds = 0.0
    keep_for: Seconds = 0.0
    on_missing: Literal["hold", "alert"] = "hold"
    severity: SeverityWord = "warning"
    suspicion: tuple[Text, ...] = ()


@dataclass(frozen=True)
class CheckFile:
    """One entry of ``checks:``; ``expr`` may use series, the probe's answers and checks declared above."""

    id: Text
    expr: Text
    if_: Text | None = None
    probe: Text | None = None
    with_: Mapping[Text, Node] = field(default_factory=dict)
    cost: Literal["free", "light", "heavy"] | None = None
    sop: str = ""


@dataclass(frozen=True)
class CauseFile:
    """One entry of ``causes:``; weights are 0..1. ``advice`` mends it, ``prevent`` keeps it from coming back. With ``victims``
    processes among the culprits are those it happened to: they count as impact."""

    title: str
    require: tuple[Text, ...] = ()
    support: Mapping[Text, float] = field(default_factory=dict)
    refute: Mapping[Text, float] = field(default_factory=dict)
    felt_by: tuple[Text, ...] = ()
    leads_to: tuple[Text, ...] = ()
    culprit: tuple[Text, ...] = ()
    target: Literal["process", "unit", "cgroup", "host", "gpu", "endpoint", "run"] | None = None
    severity: SeverityWord | None = None
    playbook: Text | None = None
    sop: str | tuple[str, ...] = ()
    advice: str = ""
    prevent: str = ""
    victims: bool = False


@dataclass(frozen=True)
class TreeFile:
    """One tree, one file. ``each`` lists the labels that make an instance; none means the host. Where ``applies``, a condition
    on the host, is not true, the tree says nothing. ``concerns`` is an info series that lists processes: what a host-wide tree
    finds is their trouble too."""

    tree: Text
    symptom: SymptomFile
    checks: tuple[CheckFile, ...]
    causes: Mapping[Text, CauseFile]
    sop: tuple[str, ...] = ()
    each: tuple[Text, ...] = ()
    applies: Text | None = None
    concerns: Text | None = None


_BY_ID = {"checks": "list", "causes": "map", "symptom": "map"}


def overlaid(base: Node, over: Node) -> Node:
    """A site's changes laid over a tree file, by id: keys of a symptom, check or cause that it names are replaced, others kept,
    new checks and causes added."""
    merged: list[tuple[Node, Node]] = list(base.pairs)
    for key, value in over.pairs:
        old = base.get(key.raw)
        if old is not None and _BY_ID.get(key.raw) == value.kind == old.kind:
            value = _merge_list(old, value) if value.kind == "list" else _merge_map(old, value, deep=key.raw == "causes")
        merged = [(k, v) for k, v in merged if k.raw != key.raw] + [(key, value)]
    return _like(base, pairs=merged)


def merged(base: Node, over: Node) -> Node:
    """One mapping laid over another, key by key, to any depth; where either is no mapping the upper one counts."""
    if not base.kind == over.kind == "map":
        return over
    pairs = {key.raw: (key, value) for key, value in base.pairs}
    for key, value in over.pairs:
        pairs[key.raw] = (key, merged(pairs[key.raw][1], value) if key.raw in pairs else value)
    return _like(over, pairs=list(pairs.values()))


def _merge_map(old: Node, new: Node, deep: bool) -> Node:
    pairs = dict[str, tuple[Node, Node]]((k.raw, (k, v)) for k, v in old.pairs)
    for key, value in new.pairs:
        before = pairs.get(key.raw)
        if deep and before is not None and value.kind == before[1].kind == "map":
            value = _merge_map(before[1], value, deep=False)
        pairs[key.raw] = (key, value)
    return _like(new, pairs=list(pairs.values()))


def _merge_list(old: Node, new: Node) -> Node:
    """Checks by id, in the old order; new ones at the end."""
    items = {_id(item): item for item in old.items}
    for item in new.items:
        before = items.get(_id(item))
        items[_id(item)] = _merge_map(before, item, deep=False) if before is not None and item.kind == "map" else item
    return _like(new, items=list(items.values()))


def _id(item: Node) -> str:
    found = item.get("id")
    return found.raw if found is not None else f"line {item.line}"


def _like(node: Node, **changed: Any) -> Node:
    made = Node(node.kind, node.source, node.line, node.column, start=node.start, end=node.end)
    for name, value in changed.items():
        setattr(made, name, value)
    return made
