"""Who is on the host: label sets → instances a tree is judged for, their process trees, and the words of a target.

All from ``process_info`` (labels pid, comm, subject, cgroup, unit, container, job, user), where subject is the pid of the root
of the process's tree; who is on which GPU, from ``gpu_process_info`` (labels gpu, uuid, pci, pid, comm …).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from zlib import crc32

from agent.dataclass import dataclass
from agent.engine.context import slot
from agent.engine.rounds import Instance, Live, Round
from agent.engine.trees import Cause, Tree
from agent.model import Labels, Target, TargetKind

CHAIN = ("pid", "cgroup", "unit", "container", "job", "user")
"""Labels that bind through a process: what a series may carry and still belong to one process."""

ON_GPU = "gpu_process_info"
FEW = 16
"""Instances of a tree that are asked in every round: the GPUs of a host, the processes of a calm one."""

_KINDS: dict[str, TargetKind] = {"pid": "process", "uuid": "gpu", "unit": "unit", "cgroup": "cgroup", "run": "run"}


@dataclass(frozen=True)
class Entities:
    """One round's processes. ``info`` is by pid, ``trees`` holds the pids of each subject, ``on_gpu`` by UUID those of all
    subjects on a GPU, ``instances`` those asked for."""

    round: Round
    info: Mapping[str, Mapping[str, str]]
    trees: Mapping[str, frozenset[str]]
    on_gpu: Mapping[str, frozenset[str]] = field(default_factory=dict)
    instances: dict[Labels, Instance] = field(default_factory=dict)

    @staticmethod
    def of(round: Round) -> Entities:
        """Read once a round. The round keeps what was read, not this: it would keep itself alive, with all its columns."""
        known = round.memo.get("entities")
        if known is None:
            live, users = round.live("process_info"), round.live(ON_GPU)
            families = round.lasting("families", (live, users), lambda: _families(live, users))
            known = round.memo["entities"] = (*families, round.lasting("instances", (live, users), dict))
        return Entities(round, *known)

    def subject(self, pid: str) -> str:
        """The pid of the root of a process's tree; itself where nothing is known."""
        return self.info.get(pid, {}).get("subject") or pid

    def own(self, pid: str) -> frozenset[str]:
        """All pids of a process's tree, itself included."""
        return self.trees.get(self.subject(pid), frozenset()) | {pid}

    def instance(self, key: Labels, own: frozenset[str] = frozenset()) -> Instance:
        """The instance of a label set, with all its entity chain binds; ``own`` for one that is no process."""
        if own:
            return self._bind(key, own)
        made = self.instances.get(key)
        if made is None:
            made = self.instances[key] = self._bind(key, own)
        return made

    def _bind(self, key: Labels, own: frozenset[str]) -> Instance:
        labels = dict(key)
        pid = labels.get("pid")
        if pid is None:
            return Instance(labels, own | self.on_gpu.get(labels.get("uuid", ""), frozenset()))
        known = self.info.get(pid, {})
        return Instance({**{k: known[k] for k in CHAIN if known.get(k)}, **labels}, self.own(pid))

    def keys(self, tree: Tree, pids: frozenset[str] | None = None) -> list[Labels]:
        """Label sets a tree is judged for: those live in its series, only of ``pids`` where they are processes."""
        if not self.applies(tree):
            return []
        if not tree.each:
            return [()]
        live = tuple({id(many): many for many in map(self.round.live, tree.series)}.values())  # many names share one list
        same = ("keys", tree.each, tuple(map(id, live)))
        found: list[Labels] | None = self.round.memo.get(same)
        if found is None:
            found = self.round.lasting(("keys", tree.name), (tree.each, live), lambda: sorted(_bound(tree.each, live)))
            self.round.memo[same] = found
        if pids is None or tree.each != ("pid",):
            return found
        return [key for key in found if dict(key)["pid"] in pids]

    def concerned(self, tree: Tree) -> frozenset[str]:
        """The process trees that a host-wide tree is about, if it says so."""
        listed = self.round.live(tree.concerns) if tree.concerns else []
        return frozenset[str]().union(*(self.own(named["pid"]) for _, named in listed if named.get("pid")))

    def applies(self, tree: Tree) -> bool:
        """Is there what the tree is about? Unless that is known, the tree says nothing, not even that it could not look."""
        return tree.applies is None or tree.applies.value(self.round, HOST) is True

    def half(self, tree: Tree, turn: int) -> list[Labels]:
        """Every other one of the label sets, by their own checksum; where they are few, as GPUs are, all of them every time."""
        found = self.keys(tree)
        if not tree.each or len(found) <= FEW:
            return found
        same, odd = ("half", id(found)), turn % 2
        half: list[Labels] | None = self.round.memo.get(same)
        if half is None:
            half = self.round.memo[same] = self.round.lasting(
                ("half", tree.name, odd), (found,), lambda: [k for k in found if crc32(repr(k).encode()) & 1 == odd]
            )
        return half

    def process(self, pid: str) -> Target:
        """A process as a target; its start time makes it unmistakable."""
        known = self.info.get(pid, {})
        start = self.round.last("process_start_time_seconds", (("pid", pid),))
        return Target(
            kind="process",
            name=known.get("comm", ""),
            pid=int(pid) if pid.isdecimal() else None,
            start_time=start,
            unit=known.get("unit") or None,
            cgroup=known.get("cgroup") or None,
            container=known.get("container") or None,
            job=known.get("job") or None,
            user=known.get("user") or None,
        )

    def target(self, cause: Cause, instance: Instance) -> Target:
        """The sufferer of a cause: the instance, or the part of its chain that the cause names (``target: cgroup``)."""
        labels = instance.labels
        label = {"process": "pid", "gpu": "uuid"}.get(cause.target or "", cause.target or "")
        if cause.target == "host" or not labels:
            return Target(kind="host")
        if not labels.get(label):
            label = next((k for k in _KINDS if k in labels), "")
        if label == "pid":
            return self.process(labels["pid"])
        kind = _KINDS.get(label, "host")
        name = labels.get(label) or next(iter(labels.values()))
        if kind == "gpu":
            name = gpu_name(labels)
        return Target(kind, name, unit=labels.get("unit"), cgroup=labels.get("cgroup"), uuid=labels.get("uuid") or None)


HOST = Instance()
"""What a tree without ``each`` is judged for."""

Families = tuple[dict[str, dict[str, str]], dict[str, frozenset[str]], dict[str, frozenset[str]]]


def gpu_name(labels: Mapping[str, str]) -> str:
    """``GPU 3`` by its index as first seen; by UUID or address where it never had one."""
    return f"GPU {labels.get('gpu') or labels.get('uuid') or labels.get('pci') or '?'}"


def _families(live: Live, users: Live) -> Families:
    """Processes by pid, the pids of each subject, and by UUID those of the subjects on each GPU."""
    info = {labels["pid"]: labels for _, labels in live if "pid" in labels}
    trees: dict[str, set[str]] = {}
    for pid, labels in info.items():
        trees.setdefault(labels.get("subject") or pid, set()).add(pid)
    on_gpu: dict[str, set[str]] = {}
    for _, labels in users:
        pid = labels.get("pid", "")
        whole = trees.get(info.get(pid, {}).get("subject") or pid, set())
        on_gpu.setdefault(labels.get("uuid", ""), set()).update(whole | {pid})
    strangers = {labels["pid"]: labels for _, labels in users if "pid" in labels}  # NVML lists more than the agent watches
    return (
        {**strangers, **info},
        {subject: frozenset(pids) for subject, pids in trees.items()},
        {uuid: frozenset(pids) for uuid, pids in on_gpu.items() if uuid},
    )


def _bound(each: tuple[str, ...], live: Iterable[Live]) -> set[Labels]:
    """The label sets of ``each`` that occur in live series."""
    names = sorted(each)
    found = {tuple([(k, labels[k]) for k in names]) for many in live for _, labels in many if all(k in labels for k in names)}
    return _once_named(found) if "uuid" in each and "pci" in each else found


def _once_named(found: set[Labels]) -> set[Labels]:
    """A GPU that the kernel knows by its address alone is the one of that address, if NVML knows that."""
    named = {slot(dict(key)["pci"]) for key in found if dict(key)["uuid"]}
    return {key for key in found if dict(key)["uuid"] or slot(dict(key)["pci"]) not in named}
