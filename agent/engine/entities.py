"""Who is on the host: label sets → instances a tree is judged for, their process trees, and the words of a target.

All from ``process_info`` (labels pid, comm, subject, cgroup, unit, container, job, user), where subject is the pid of the root
of the process's tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zlib import crc32

from agent.engine.rounds import Instance, Live, Round
from agent.engine.trees import Cause, Tree
from agent.model import Labels, Target, TargetKind

CHAIN = ("pid", "cgroup", "unit", "container", "job", "user")
"""Labels that bind through a process: what a series may carry and still belong to one process."""

_KINDS: dict[str, TargetKind] = {"pid": "process", "uuid": "gpu", "unit": "unit", "cgroup": "cgroup", "run": "run"}


@dataclass(frozen=True)
class Entities:
    """One round's processes. ``info`` is by pid, ``trees`` holds the pids of each subject, ``instances`` those asked for."""

    round: Round
    info: Mapping[str, Mapping[str, str]]
    trees: Mapping[str, frozenset[str]]
    instances: dict[Labels, Instance] = field(default_factory=dict)

    @staticmethod
    def of(round: Round) -> Entities:
        """Read once a round."""
        known: Entities | None = round.memo.get("entities")
        if known is not None:
            return known
        live = round.live("process_info")
        info, trees = round.lasting("families", (live,), lambda: _families(live))
        known = round.memo["entities"] = Entities(round, info, trees, round.lasting("instances", (live,), dict))
        return known

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
            return Instance(labels, own)
        known = self.info.get(pid, {})
        return Instance({**{k: known[k] for k in CHAIN if known.get(k)}, **labels}, self.own(pid))

    def keys(self, tree: Tree, pids: frozenset[str] | None = None) -> list[Labels]:
        """Label sets a tree is judged for: those live in its series, only of ``pids`` where they are processes."""
        if not tree.each:
            return [()]
        live = tuple([self.round.live(name) for name in tree.series])
        found = self.round.lasting(("keys", tree.name), (tree.each, live), lambda: sorted(_bound(tree.each, live)))
        if pids is None or "pid" not in tree.each:
            return found
        return [key for key in found if dict(key)["pid"] in pids]

    def half(self, tree: Tree, turn: int) -> list[Labels]:
        """Every other one of the label sets, by their own checksum; the host's tree is its turn every time."""
        found = self.keys(tree)
        if not tree.each:
            return found
        odd = turn % 2
        return self.round.lasting(
            ("half", tree.name, odd), (found,), lambda: [k for k in found if crc32(repr(k).encode()) & 1 == odd]
        )

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
        return Target(kind, name, unit=labels.get("unit"), cgroup=labels.get("cgroup"), uuid=labels.get("uuid"))


def _families(live: Live) -> tuple[dict[str, dict[str, str]], dict[str, frozenset[str]]]:
    """Processes by pid, and the pids of each subject."""
    info = {labels["pid"]: labels for _, labels in live if "pid" in labels}
    trees: dict[str, set[str]] = {}
    for pid, labels in info.items():
        trees.setdefault(labels.get("subject") or pid, set()).add(pid)
    return info, {subject: frozenset(pids) for subject, pids in trees.items()}


def _bound(each: tuple[str, ...], live: Iterable[Live]) -> set[Labels]:
    """The label sets of ``each`` that occur in live series."""
    names = sorted(each)
    return {tuple([(k, labels[k]) for k in names]) for found in live for _, labels in found if all(k in labels for k in names)}
