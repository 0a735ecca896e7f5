"""The walk from symptoms to a root cause: pure, asked again after each closer look.

assessment = assess(rules, view, scope, answers)      # answers: what probes have seen so far
while assessment.wanted: take the first look, add its Evidence to answers, assess again
diagnosis = conclude(assessment, meta)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Literal

from agent.dataclass import dataclass
from agent.diagnosis import Diagnosis, Finding, NotChecked, Possible, ProbeCost, RuledOut, Verdict
from agent.engine import remains
from agent.engine.entities import Entities
from agent.engine.findings import Onsets, actives
from agent.engine.graph import Active, Place, rooted
from agent.engine.rounds import Round, RoundCache
from agent.engine.schedule import looks
from agent.engine.trees import RuleSet, Tree
from agent.engine.walk import Answers, ProbeKey, ProbeRequest, Walk, Walker
from agent.model import Labels, Severity, Target, View

__all__ = ["Assessment", "Meta", "ProbeKey", "ProbeRequest", "Scope", "assess", "conclude", "verdict"]


@dataclass(frozen=True)
class Scope:
    """What is asked about. ``pids`` are the processes to walk (all of the target's tree; others end up in ``elsewhere``),
    ``trees`` limits the trees (none: all), ``onsets`` are beginnings the judge knows, by (tree, instance labels)."""

    target: Target = field(default_factory=Target)
    pids: tuple[int, ...] = ()
    trees: frozenset[str] = frozenset()
    onsets: Onsets = field(default_factory=dict)


@dataclass(frozen=True)
class Meta:
    """What a diagnosis says about itself; times are Unix seconds."""

    agent_version: str
    host: str
    started_at: float
    took_s: float
    source: Literal["daemon", "burst", "recording"]
    incident: str | None = None


@dataclass(frozen=True)
class Assessment:
    """How things stand. ``wanted`` looks can change the top root or name its culprit, in the order to take them; ``further``
    ones could only add another root. ``consequences`` are active causes that ride inside a root."""

    causes: tuple[Finding, ...] = ()
    elsewhere: tuple[Finding, ...] = ()
    consequences: tuple[Finding, ...] = ()
    possible: tuple[Possible, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    wanted: tuple[ProbeRequest, ...] = ()
    further: tuple[ProbeRequest, ...] = ()
    cost: tuple[ProbeCost, ...] = ()
    walks: tuple[Walk, ...] = ()
    target: Target = field(default_factory=Target)
    round: Round | None = None

    @property
    def verdict(self) -> Verdict:
        """The word for all of it."""
        return verdict(self.causes, self.possible)


def assess(rules: RuleSet, view: View, scope: Scope, answers: Answers, cache: RoundCache | None = None) -> Assessment:
    """Walk every tree of the scope on one view, whether or not its symptom fires, with what probes have answered so far."""
    round = Round(view, cache=cache)
    entities = Entities.of(round)
    target = _place(scope.target, entities)
    walker = Walker(round, entities, answers, scope.target, target.pids)
    trees = [t for t in rules.trees.values() if not scope.trees or t.name in scope.trees]
    walks = [walker.walk(tree, labels) for tree in trees for labels in _keys(tree, scope, target, entities)]
    roots, led = rooted(actives(walks, entities, scope.onsets))
    here = [r for r in roots if _reaches(r, target)]
    mine = [w for w in walks if target.overlaps(Place(w.labels, w.instance.labels, w.instance.own_pids))]
    named = {(a.cause.id, a.subject) for r in roots for a in (r, *r.led_to)}
    possible = remains.possibles(mine, named, round, scope.target)
    wanted, further = looks(rules, mine, here, entities, scope.target)
    return Assessment(
        causes=tuple(r.finding for r in here),
        elsewhere=tuple(r.finding for r in roots if r not in here),
        consequences=tuple(a.finding for a in led),
        possible=possible,
        ruled_out=remains.ruled_out(mine, {id_ for id_, _ in named} | {p.id for p in possible}),
        wanted=wanted,
        further=further,
        cost=tuple(ProbeCost(e.source, e.took_s, e.target_pause_s) for e in answers.values() if e.took_s or e.answers),
        walks=tuple(mine),
        target=scope.target,
        round=round,
    )


def conclude(assessment: Assessment, meta: Meta, stopped: str = "the time for closer looks was spent") -> Diagnosis:
    """The answer. Looks still wanted are listed as not checked because of ``stopped``."""
    skipped: dict[ProbeKey, str] = {r.key: "it could not change the root cause" for r in assessment.further}
    skipped |= {r.key: stopped for r in assessment.wanted}
    unchecked: tuple[NotChecked, ...] = ()
    if assessment.round is not None:
        unchecked = remains.not_checked(assessment.walks, skipped, assessment.round, assessment.target)
    return Diagnosis(
        agent_version=meta.agent_version,
        host=meta.host,
        started_at=meta.started_at,
        took_s=meta.took_s,
        source=meta.source,
        verdict=assessment.verdict,
        causes=assessment.causes,
        elsewhere=assessment.elsewhere,
        possible=assessment.possible,
        ruled_out=assessment.ruled_out,
        not_checked=unchecked,
        cost=assessment.cost,
        incident=meta.incident,
    )


def verdict(causes: Iterable[Finding], possible: Iterable[Possible]) -> Verdict:
    """The worst active severity; only notices are ok; nothing active but something possible at warning or above is unknown."""
    worst = max((f.severity for f in causes), default=None)
    if worst is not None and worst > Severity.NOTICE:
        return "critical" if worst is Severity.CRITICAL else "warning"
    if worst is None and any(p.severity > Severity.NOTICE for p in possible):
        return "unknown"
    return "ok"


def _place(target: Target, entities: Entities) -> Place:
    """The target as an entity; the host overlaps everything."""
    keys: Mapping[str, str | None] = {"cgroup": target.cgroup, "unit": target.unit, "gpu": target.uuid, "run": target.name}
    if target.kind == "process" and target.pid is not None:
        pid = str(target.pid)
        return Place((("pid", pid),), entities.instance((("pid", pid),)).labels, entities.own(pid))
    value = keys.get(target.kind) or None
    if value is None:
        return Place()
    if target.kind == "gpu":
        return Place((("uuid", value),), {"uuid": value}, entities.on_gpu.get(value, frozenset()))
    label = str(target.kind)
    pids = frozenset(pid for pid, known in entities.info.items() if known.get(label) == value)
    return Place(((label, value),), {label: value}, pids)


def _keys(tree: Tree, scope: Scope, target: Place, entities: Entities) -> list[Labels]:
    """The instances to walk: the scope's processes, the host, or of other entities those the target is on."""
    if tree.each == ("pid",) and entities.applies(tree):
        return [(("pid", str(pid)),) for pid in scope.pids]
    pids = frozenset(map(str, scope.pids))
    found = [Place(key, (i := entities.instance(key)).labels, i.own_pids) for key in entities.keys(tree, pids)]
    members = [Place((("pid", pid),), entities.instance((("pid", pid),)).labels) for pid in pids]
    return [place.key for place in found if not target.key or any(place.overlaps(p) for p in (target, *members))]


def _reaches(root: Active, target: Place) -> bool:
    """Does it, or something it leads to, touch the target? What is wrong with the host at large does only by what it leads to,
    or by whom it concerns or blames."""
    return any(a.place.overlaps(target) and (a.place.key or not target.key or _whom(a) & target.pids) for a in (root, *root.led_to))


def _whom(found: Active) -> frozenset[str]:
    return found.place.pids | {str(c.pid) for c in found.finding.culprits if c.pid is not None}
