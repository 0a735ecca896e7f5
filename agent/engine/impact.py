"""Who suffers: processes, GPUs, users, units, containers and jobs of an incident, gathered from symptoms and diagnoses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.engine.entities import Entities
from agent.engine.incident import Affected, Complaint, Impact
from agent.model import Labels

MOST = 32
"""Processes listed; more are counted."""


def of_symptom(entities: Entities, labels: Labels) -> Impact:
    """Whom a symptom on these labels concerns: the process's whole tree, or the processes on a GPU."""
    known = dict(labels)
    if (pid := known.get("pid")) is not None:
        pids = entities.own(pid)
        gpus = [uuid for uuid, users in entities.on_gpu.items() if users & pids]
    elif (uuid := known.get("uuid")) is not None:
        gpus, pids = [uuid], entities.on_gpu.get(uuid, frozenset())
    else:
        gpus, pids = [], frozenset()
    return _impact([_affected(p, entities.info.get(p, {})) for p in sorted(pids, key=_number) if p.isdecimal()], gpus)


def of_causes(causes: Sequence[Mapping[str, Any]], victims: frozenset[str] = frozenset()) -> Impact:
    """Whom the causes of a diagnosis name as sufferers; a GPU that is blamed is one, too, and so is a process that one of the
    causes ``victims`` happened to."""
    targets = [cause["target"] for cause in causes]
    hit = [c for cause in causes if cause["id"] in victims for c in cause["culprits"] if c["kind"] == "process"]
    processes = [_affected(str(t["pid"]), t) for t in (*hit, *targets) if t.get("pid")]
    blamed = [c["uuid"] for cause in causes for c in cause["culprits"] if c["kind"] == "gpu" and c.get("uuid")]
    found = _impact(processes, [*(t["uuid"] for t in targets if t.get("uuid")), *blamed])
    return union(found, Impact(units=tuple(t["unit"] for t in targets if t["kind"] == "unit" and t.get("unit"))))


def union(a: Impact, b: Impact) -> Impact:
    """Both; a process counts once. Of those not listed, at least so many."""
    found = _impact(list({p.pid: p for p in (*b.processes, *a.processes)}.values()), (*a.gpus, *b.gpus))
    return Impact(
        processes=found.processes,
        gpus=found.gpus,
        users=_each(a.users, b.users),
        units=_each(a.units, b.units),
        containers=_each(a.containers, b.containers),
        jobs=_each(a.jobs, b.jobs),
        more=max(a.more, b.more, found.more),
    )


def neighbours(root: Mapping[str, Any], complaints: Iterable[Complaint], victims: frozenset[str] = frozenset()) -> frozenset[int]:
    """Pids of the processes that a root cause blames for what another one suffers, with the trees known of them, unless the
    sufferer is of such a tree. Nobody where a GPU or the host suffers with all that is on it, or they are its ``victims``."""
    target = root["target"]
    if root["id"] in victims or target["kind"] != "process":
        return frozenset()
    blamed = {c["pid"] for c in root["culprits"] if c["kind"] == "process" and c.get("pid")} - {target.get("pid")}
    trees = [{int(pid) for pid in c.place.pids if pid.isdecimal()} for c in complaints if "pid" in c.place.labels]
    return frozenset(blamed.union(*(tree for tree in trees if tree & blamed and target.get("pid") not in tree)))


def without(impact: Impact, pids: Collection[int]) -> Impact:
    """Less some processes, and less the users, units, containers and jobs that were there for their sake alone."""
    left = [p for p in impact.processes if p.pid not in pids]
    if len(left) == len(impact.processes):
        return impact
    lost, found = _impact([p for p in impact.processes if p.pid in pids], ()), _impact(left, ())

    def still(name: str) -> tuple[str, ...]:
        own, theirs = getattr(found, name), getattr(lost, name)
        return tuple(text for text in getattr(impact, name) if text in own or text not in theirs)

    return replace(
        impact,
        processes=found.processes,
        users=still("users"),
        units=still("units"),
        containers=still("containers"),
        jobs=still("jobs"),
    )


def single_gpu(entities: Entities, pids: frozenset[str]) -> str | None:
    """The GPU that a process tree works on, if it is one."""
    found = [uuid for uuid, users in entities.on_gpu.items() if users & pids]
    return found[0] if len(found) == 1 else None


def _affected(pid: str, known: Mapping[str, Any]) -> Affected:
    def text(name: str) -> str:
        return str(known.get(name) or "")

    return Affected(int(pid), text("comm") or text("name"), text("user"), text("unit"), text("container"), text("job"))


def _impact(processes: list[Affected], gpus: Iterable[str]) -> Impact:
    listed = sorted(processes, key=lambda p: p.pid)
    return Impact(
        processes=tuple(listed[:MOST]),
        gpus=tuple(sorted(set(gpus))),
        users=_each(p.user for p in listed),
        units=_each(p.unit for p in listed),
        containers=_each(p.container for p in listed),
        jobs=_each(p.job for p in listed),
        more=max(0, len(listed) - MOST),
    )


def _each(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({text for group in groups for text in group if text}))


def _number(pid: str) -> int:
    return int(pid) if pid.isdecimal() else 0
