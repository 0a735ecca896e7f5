"""Do two things that suffer belong together? The narrow sense in which symptoms become one incident.

Root and consequence are looked for in the wide sense (:mod:`agent.engine.graph`: the host holds everything). Taken so, every
symptom of the host would swallow all others; here the host shares with the host, and only a diagnosis joins more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agent.engine.graph import Place
from agent.model import Labels

_ENTITIES = ("uuid", "pid", "cgroup", "unit", "container", "job", "run")
"""Labels that say who somebody is; those beside them only describe (``gpu``, ``pci``)."""

_HOMES = ("container", "job", "unit")


def shares(a: Place, b: Place) -> bool:
    """The same process tree, GPU, cgroup, unit, device …, or one inside the other; the host only with the host."""
    if not a.key or not b.key:
        return a.key == b.key
    return bool(a.pids & b.pids) or _within(a.key, b.labels) or _within(b.key, a.labels)


def _within(outer: Labels, inner: Mapping[str, str]) -> bool:
    names = [pair for pair in outer if pair[0] in _ENTITIES] or outer
    return all(_holds(name, value, inner.get(name)) for name, value in names)


def _holds(name: str, value: str, inside: str | None) -> bool:
    if inside == value:
        return True
    return name == "cgroup" and inside is not None and inside.startswith(value.rstrip("/") + "/")


def handles(place: Place) -> Iterator[tuple[str, str]]:
    """Words that two places have in common if they share, or if one is the other's successor: to find candidates among many."""
    if not place.key:
        yield "host", ""
    yield from place.key
    yield from (("pid", pid) for pid in place.pids)
    for name in _ENTITIES:
        value = place.labels.get(name)
        if value and name == "cgroup":
            parts = value.rstrip("/").split("/")
            yield from (("cgroup", "/".join(parts[:n]) or "/") for n in range(1, len(parts) + 1))
        elif value:
            yield name, value


def home(place: Place) -> tuple[str, str, str] | None:
    """What a restarted process has in common with its predecessor: its program within a container, job or service.

    None where there is nothing lasting: a login session runs many unrelated things under one name.
    """
    known = place.labels
    for name in _HOMES:
        value = known.get(name)
        if value and (name != "unit" or value.endswith(".service")):
            return name, value, known.get("comm", "")
    return None


def place_of(target: Mapping[str, Any]) -> Place:
    """Where a ``target`` of ``anfl.diagnosis/1`` is."""
    labels = {k: str(target[k]) for k in (*_ENTITIES, "user") if target.get(k) not in (None, "")}
    kind = {"process": "pid", "gpu": "uuid"}.get(target["kind"], target["kind"])
    if kind == "run" and target.get("name"):
        labels.setdefault("run", target["name"])
    if kind not in labels:
        return Place()
    return Place(((kind, labels[kind]),), labels, frozenset({labels["pid"]}) if kind == "pid" else frozenset())
