"""Root or consequence: active causes on overlapping entities, joined along ``leads_to``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from agent.dataclass import dataclass
from agent.diagnosis import Finding
from agent.engine.confidence import EPSILON
from agent.engine.trees import Cause
from agent.model import Labels

_ENTITIES = frozenset({"pid", "cgroup", "unit", "container", "uuid", "job", "run"})
"""Labels of things a process belongs to; other labels (device, mountpoint, interface …) are parts of the host."""


@dataclass(frozen=True)
class Place:
    """An entity: ``key`` names it, ``labels`` are all its chain binds, ``pids`` its process tree. An empty key is the host."""

    key: Labels = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    pids: frozenset[str] = frozenset()

    def overlaps(self, other: Place) -> bool:
        """Host ⊃ cgroup ⊃ gpu ⊃ process: does one hold the other, or do they share a process tree? Two GPUs that one program
        uses are still two."""
        mine, theirs = dict(self.key).get("uuid"), dict(other.key).get("uuid")
        if mine and theirs and mine != theirs:
            return False
        return bool(self.pids & other.pids) or _holds(self.key, other.labels) or _holds(other.key, self.labels)


def _holds(key: Labels, labels: Mapping[str, str]) -> bool:
    for name, value in key:
        inside = labels.get(name)
        if inside is None and name in _ENTITIES:
            return False
        if inside is not None and inside != value and not (name == "cgroup" and inside.startswith(value.rstrip("/") + "/")):
            return False
    return True


@dataclass(frozen=True)
class Active:
    """An active cause on one entity. ``fires`` are the symptoms (tree, labels) it stands behind."""

    cause: Cause
    finding: Finding
    place: Place
    subject: str
    fires: frozenset[tuple[str, Labels]] = frozenset()
    led_to: tuple[Active, ...] = ()
    """All active causes it leads to, directly or through others."""


def rooted(found: Sequence[Active]) -> tuple[list[Active], list[Active]]:
    """(roots, consequences). A root carries its consequences' ids and symptoms, is as severe as the worst of them, and began
    with the earliest; the root that matters most comes first."""
    next_ = [[b for b in range(len(found)) if b != a and leads(found[a], found[b])] for a in range(len(found))]
    led = {b for row in next_ for b in row}
    roots = [_with(found[a], [found[b] for b in _reached(a, next_)]) for a in range(len(found)) if a not in led]
    return sorted(roots, key=_rank), [found[b] for b in sorted(led)]


def leads(a: Active, b: Active) -> bool:
    """Does an active cause explain another one?"""
    return b.cause.id in a.cause.leads_to and a.place.overlaps(b.place)


def _reached(start: int, next_: Sequence[Sequence[int]]) -> list[int]:
    todo, seen = list(next_[start]), list[int]()
    while todo:
        at = todo.pop(0)
        if at not in seen:
            seen.append(at)
            todo.extend(next_[at])
    return seen


def _with(root: Active, led_to: list[Active]) -> Active:
    fires = root.fires.union(*(a.fires for a in led_to))
    onsets = [a.finding.since for a in (root, *led_to) if a.finding.since is not None]
    finding = replace(
        root.finding,
        severity=max(a.finding.severity for a in (root, *led_to)),
        consequences=tuple(dict.fromkeys(a.cause.id for a in led_to)),
        symptoms=tuple(dict.fromkeys(tree for tree, _ in sorted(fires))),
        since=min(onsets, default=None),
    )
    return replace(root, finding=finding, fires=fires, led_to=tuple(led_to))


def _rank(root: Active) -> tuple[float, float, int, float, str, str]:
    """Severity, lo (differences of rounding do not count), symptoms explained, earliest onset; then by name, to be stable."""
    f = root.finding
    since = f.since if f.since is not None else float("inf")
    return -f.severity, -round(f.confidence.lo / EPSILON) * EPSILON, -len(root.fires), since, f.id, root.subject
