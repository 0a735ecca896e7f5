"""Who is on the host: label sets → instances a tree is judged for, their process trees, and the words of a target.

All from ``process_info`` (labels pid, comm, subject, cgroup, unit, container, job, user), where subject is the pid of the root
of the process's tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.engine.rounds import Instance, Round
from agent.engine.trees import Cause, Tree
from agent.model import Labels, Target, TargetKind

CHAIN = ("pid", "cgroup", "unit", "container", "job", "user")
"""Labels that bind through a process: what a series may carry and still belong to one process."""

_KINDS: dict[str, TargetKind] = {"pid": "process", "uuid": "gpu", "unit": "unit", "cgroup": "cgroup", "run": "run"}


@dataclass(frozen=True)
class Entities:
    """One round's processes. ``info`` is by pid, ``trees`` holds the pids of each subject."""

    round: Round
    info: Mapping[str, Mapping[str, str]]
    trees: Mapping[str, frozenset[str]]

    @staticmethod
    def of(round: Round) -> Entities:
        """Read once a round."""
        known = round.memo.get("entities")
        if isinstance(known, Entities):
            return known
        info = {labels["pid"]: labels for _, labels in round.live("process_info") if "pid" in labels}
        trees: dict[str, set[str]] = {}
        for pid, labels in info.items():
            trees.setdefault(labels.get("subject") or pid, set()).add(pid)
        made = Entities(round, info, {subject: frozenset(pids) for subject, pids in trees.items()})
        round.memo["entities"] = made
        return made

    def subject(self, pid: str) -> str:
        """The pid of the root of a process's tree; itself where nothing is known."""
        return self.info.get(pid, {}).get("subject") or pid

    def own(self, pid: str) -> frozenset[str]:
        """All pids of a process's tree, itself included."""
        return self.trees.get(self.subject(pid), frozenset()) | {pid}

    def instance(self, key: Labels, own: frozenset[str] = frozenset()) -> Instance:
        """The instance of a label set, with all its entity chain binds; ``own`` for one that is no process."""
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
        found: set[Labels] = set()
        for name in _series(tree):
            for _, labels in self.round.live(name):
                if all(k in labels for k in tree.each):
                    found.add(tuple(sorted((k, labels[k]) for k in tree.each)))
        if pids is None or "pid" not in tree.each:
            return sorted(found)
        return sorted(key for key in found if dict(key)["pid"] in pids)

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


def _series(tree: Tree) -> Iterable[str]:
    """The symptom's series decide which instances there are."""
    symptom = tree.symptom
    return sorted(symptom.when.series | (symptom.clear.series if symptom.clear else frozenset()))
