"""Which closer look next: those that could still change the top root, cheapest and most telling first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from agent.diagnosis import Confidence
from agent.engine.confidence import EPSILON, active, possible
from agent.engine.entities import Entities
from agent.engine.findings import gives_culprit, place_of
from agent.engine.graph import Active
from agent.engine.trees import Cause, RuleSet
from agent.engine.walk import Outcome, ProbeKey, ProbeRequest, Walk
from agent.model import Severity, Target

_COST = {"free": 0, "light": 1, "heavy": 2}

Looks = tuple[ProbeRequest, ...]


def looks(
    rules: RuleSet, walks: Sequence[Walk], roots: Sequence[Active], entities: Entities, target: Target
) -> tuple[Looks, Looks]:
    """(wanted, further): looks that can change the top root or name its culprit, and those that could only add another root."""
    wanted: dict[ProbeKey, ProbeRequest] = {}
    further: dict[ProbeKey, ProbeRequest] = {}
    for walk in walks:
        for outcome in walk.outcomes.values():
            if outcome.wanted is None:
                continue
            bears = [c for c in walk.tree.causes if outcome.check.id in walk.tree.bearing[c.id]]
            open_ = [c for c in bears if _open(c, walk, outcome, roots)]
            changing = [c for c in open_ if not roots or _changes_top(rules, c, walk, outcome, roots[0])]
            if open_:
                about = entities.process(str(outcome.wanted.pid)) if outcome.wanted.pid is not None else target
                request = ProbeRequest(
                    outcome.wanted,
                    outcome.check.cost,
                    about,
                    (f"{walk.tree.name}.{outcome.check.id}",),
                    tuple(c.id for c in open_),
                    outcome.weight,
                )
                _add(wanted if changing else further, request)
    rest = {key: request for key, request in further.items() if key not in wanted}
    return _ordered(wanted.values()), _ordered(rest.values())


def _open(cause: Cause, walk: Walk, outcome: Outcome, roots: Sequence[Active]) -> bool:
    """Can this look still tell anything about the cause: make it active, felt, or name its culprit?"""
    confidence = walk.confidence(cause)
    mine = _same(cause, walk, roots)
    if mine is not None:
        unfelt = outcome.check.id in cause.felt_by and mine.finding.severity < cause.severity
        rises = mine in roots[1:] and active(confidence) and confidence.hi > confidence.lo + EPSILON
        return unfelt or rises or (not mine.finding.culprits and gives_culprit(cause, outcome))
    return possible(confidence)


def _changes_top(rules: RuleSet, cause: Cause, walk: Walk, outcome: Outcome, top: Active) -> bool:
    if _same(cause, walk, [top]) is not None:
        return True
    place = place_of(walk)
    if top.place.overlaps(place):
        if cause.id in _downstream(rules, top.cause.id):
            return False
        if top.cause.id in cause.leads_to:
            return True
    return _outranks(_best_severity(cause, walk), walk.confidence(cause), top)


def _outranks(severity: Severity, confidence: Confidence, top: Active) -> bool:
    if severity != top.finding.severity:
        return severity > top.finding.severity
    return confidence.hi >= top.finding.confidence.lo - EPSILON


def _best_severity(cause: Cause, walk: Walk) -> Severity:
    """What it would be if the unknown turned out for the worst."""
    unfelt = cause.felt_by and all(walk.outcomes[name].truth is False for name in cause.felt_by)
    return Severity.NOTICE if unfelt else cause.severity


def _same(cause: Cause, walk: Walk, roots: Sequence[Active]) -> Active | None:
    """The finding this cause already is, on this very subject; its consequences count too."""
    every = (a for root in roots for a in (root, *root.led_to))
    return next((a for a in every if a.cause.id == cause.id and a.subject == walk.subject), None)


def _downstream(rules: RuleSet, start: str) -> set[str]:
    """All causes a cause leads to, by the rules."""
    todo, seen = [start], set[str]()
    while todo:
        for name in rules.causes[todo.pop()].leads_to:
            if name in rules.causes and name not in seen:
                seen.add(name)
                todo.append(name)
    return seen


def _add(requests: dict[ProbeKey, ProbeRequest], new: ProbeRequest) -> None:
    """One look for all who want it."""
    old = requests.get(new.key)
    if old is not None:
        new = replace(
            old,
            cost=max(old.cost, new.cost, key=_COST.__getitem__),
            checks=tuple(dict.fromkeys((*old.checks, *new.checks))),
            causes=tuple(dict.fromkeys((*old.causes, *new.causes))),
            weight=max(old.weight, new.weight),
        )
    requests[new.key] = new


def _ordered(requests: Iterable[ProbeRequest]) -> Looks:
    return tuple(sorted(requests, key=lambda r: (_COST[r.cost], -len(r.causes), -r.weight, r.key.probe, str(r.key))))
