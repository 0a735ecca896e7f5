"""Walks → findings: a cause that is active for several processes of one subject becomes one finding with all their culprits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agent.diagnosis import Finding
from agent.engine.confidence import active
from agent.engine.context import GPU_LABELS
from agent.engine.entities import CHAIN, Entities
from agent.engine.graph import Active, Place
from agent.engine.joins import MOST_CULPRITS
from agent.engine.rounds import Live
from agent.engine.says import culprit, names_in, unit_in
from agent.engine.trees import Cause
from agent.engine.walk import Outcome, Walk
from agent.model import Artifact, Culprit, Evidence, Labels, Target

Onsets = Mapping[tuple[str, Labels], float]


def place_of(walk: Walk) -> Place:
    """Where a walk stands."""
    own = walk.tree.concerns or walk.instance.labels.keys() & {"pid", "uuid"}
    pids = walk.instance.own_pids if own else frozenset[str]()
    return Place(walk.labels, walk.instance.labels, pids)


def actives(walks: Sequence[Walk], entities: Entities, onsets: Onsets) -> list[Active]:
    """Every active cause, merged over the processes of a subject; the surest process speaks for it."""
    groups: dict[tuple[str, str], list[Walk]] = {}
    causes: dict[str, Cause] = {}
    for walk in walks:
        for cause in walk.tree.causes:
            if active(walk.confidence(cause)):
                causes[cause.id] = cause
                groups.setdefault((cause.id, walk.subject), []).append(walk)
    return [_active(causes[id_], group, entities, onsets) for (id_, _), group in groups.items()]


def _active(cause: Cause, group: list[Walk], entities: Entities, onsets: Onsets) -> Active:
    group = sorted(group, key=lambda w: (-w.severity(cause), -w.confidence(cause).lo, -_weight(w, cause), w.labels))
    best = group[0]
    fires = frozenset((w.tree.name, w.labels) for w in group if w.fires)
    began = [onsets[key] for key in ((w.tree.name, w.labels) for w in group) if key in onsets]
    lines = [best.outcomes[name] for name in cause.checks]
    seen = [o.evidence for w in group for name in cause.checks if (o := w.outcomes[name]).evidence is not None and o.truth]
    finding = Finding(
        id=cause.id,
        title=cause.title,
        severity=best.severity(cause),
        confidence=best.confidence(cause),
        target=_target(cause, group, entities),
        since=min(began, default=None),
        symptoms=(best.tree.name,) if fires else (),
        culprits=_unique(c for walk in group for c in culprits(cause, walk, entities)),
        evidence=tuple(o.line() for o in lines),
        sop=cause.sop or best.tree.sop,
        advice=cause.advice,
        playbook=cause.playbook,
        artifacts=_artifacts(e for e in seen if e is not None),
    )
    return Active(cause, finding, place_of(best), best.subject, fires)


def _target(cause: Cause, group: list[Walk], entities: Entities) -> Target:
    """One process, or the root of the subject that several belong to."""
    if len(group) > 1 and "pid" in group[0].instance.labels and cause.target in (None, "process"):
        return entities.process(group[0].subject)
    return entities.target(cause, group[0].instance)


def culprits(cause: Cause, walk: Walk, entities: Entities) -> tuple[Culprit, ...]:
    """Those the cause names (checks, answers, labels, info series); where it names none, of its required and supporting checks,
    in their order. A cause that knows whom to blame and finds nobody there blames nobody: the sum over the sufferer's own tree
    says how little it burns."""
    if cause.culprit:
        return _unique(c for name in cause.culprit for c in _named(name, walk, entities))
    checks = dict.fromkeys((*cause.require, *cause.support))
    return _unique(c for name in checks for c in _of_check(walk.outcomes[name], entities))


def gives_culprit(cause: Cause, outcome: Outcome) -> bool:
    """Would the check's answer name somebody to blame?"""
    names = cause.culprit or (*cause.require, *cause.support)
    return outcome.check.id in names or any(a in names for a in outcome.check.expr.answers)


def _named(name: str, walk: Walk, entities: Entities) -> Iterable[Culprit]:
    if name in walk.outcomes:
        return _of_check(walk.outcomes[name], entities)
    if name in CHAIN or name in walk.instance.labels:
        kept = {name, *(GPU_LABELS if name == "pid" or name in GPU_LABELS else ())}  # a GPU is named by all three
        made = culprit(tuple((k, v) for k, v in sorted(walk.instance.labels.items()) if k in kept), entities)
        return [made] if made else []
    if live := entities.round.live(name):
        return _listed(live, walk, entities)
    return [c for o in walk.outcomes.values() if o.evidence is not None for c in o.evidence.culprits.get(name, ())]


def _listed(live: Live, walk: Walk, entities: Entities) -> list[Culprit]:
    """Everybody an info series names, as far as it is about the instance: who is on the GPU, who holds the old driver."""
    here = {k: v for k, v in walk.instance.labels.items() if k in GPU_LABELS}
    mine = [labels for labels, named in live if all(named.get(k, v) == v for k, v in here.items())]
    return [c for labels in mine[:MOST_CULPRITS] if (c := culprit(labels, entities)) is not None]


def _of_check(outcome: Outcome, entities: Entities) -> Iterable[Culprit]:
    """A true check's: first whom the probe names for the answers it uses, then the label sets that stood out."""
    if outcome.truth is not True or outcome.result is None:
        return []
    evidence, expr = outcome.evidence, outcome.check.expr
    told = [c for name in names_in(expr, expr.answers) for c in evidence.culprits.get(name, ())] if evidence else []
    folds = [t for t in outcome.result.terms if "_of" in t.text.partition("(")[0]]
    first = folds[0] if folds else None
    # of a maximum only the greatest is to blame; of a sum, all that add to it
    ranked = outcome.result.culprits[:1] if first is not None and first.text.startswith("max_of") else outcome.result.culprits
    unit = unit_in(expr, first) if first is not None else ""
    stood_out = [culprit(ls, entities, first if i == 0 else None, unit) for i, ls in enumerate(ranked)]
    return [*told, *(c for c in stood_out if c is not None)]


def _unique(found: Iterable[Culprit]) -> tuple[Culprit, ...]:
    """Each once, in order; the first mention has the figures."""
    kept: dict[object, Culprit] = {}
    for c in found:
        kept.setdefault((c.kind, c.name, c.file, c.line, c.function, c.pid, c.uuid, c.pci, c.address), c)
    return tuple(kept.values())


def _artifacts(seen: Iterable[Evidence]) -> tuple[Artifact, ...]:
    return tuple(dict.fromkeys(a for e in seen for a in e.artifacts))


def _weight(walk: Walk, cause: Cause) -> float:
    return max((walk.outcomes[name].weight for name in cause.checks), default=0.0)
