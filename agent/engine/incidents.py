"""The life of incidents. Pure: (book, what was judged or found or said, now) → what changed, and what is to be told of it.

open → diagnosed → (remediating) → recovering → closed, and open again on a relapse within ``RELAPSE_S``. One that came back
``FLAPS`` times within ``FLAP_WINDOW_S`` is flapping: it is told of once, stays open while it comes and goes, and ends when it was
known quiet for ``CALM_S``, or goes on as a lasting one when it stood that long.

An incident ends when the judge knows each of its symptoms to be over (missing data holds the symptom, so it holds the
incident), or has seen the entity end. Every ``opened`` and ``reopened`` is followed by exactly one end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.engine.graph import Place
from agent.engine.impact import union, without
from agent.engine.incident import Complaint, Ending, Incident, Key, Phase
from agent.engine.incidentbook import RELAPSE_S, Book, Draft, Seen, Standing, Step
from agent.engine.naming import name_of, sentence, title_of
from agent.engine.overlap import home, place_of, shares
from agent.model import Severity

FLAPS = 3
FLAP_WINDOW_S = 3600.0
CALM_S = 1800.0
RETURNS_KEPT = 20
LONGEST_ROUND_S = 60.0
"""Time between two rounds that counts as watched; what lies between the end of an agent and its next start does not."""
COMPLAINTS_KEPT = 100
_SEVERITY = {severity.word: severity for severity in Severity}


def judged(
    book: Book,
    now: float,
    seen: Sequence[Seen],
    standing: Mapping[Key, Standing],
    quiet: frozenset[Key] = frozenset(),
) -> Step:
    """One round of the judge. ``seen`` are its changes in their order, ``standing`` all symptoms that fire now, ``quiet`` those of
    ``book.watched`` that are known to be over still, or whose entity was seen to end."""
    draft = Draft(book, now)
    for one in seen:
        if one.change.to == "firing":
            _fires(draft, one)
        elif one.change.to in ("resolved", "gone"):
            _ends(draft, one.complaint.key, one.change.time, one.change.to)
    passed = min(max(0.0, now - book.at), LONGEST_ROUND_S) if book.at else 0.0
    for incident in draft.open:
        after = _stands(draft, incident, standing)
        if after is not incident or draft.touched(incident) or incident.flapping or not incident.active:
            _settle(draft, after, passed, quiet)
    return draft.step(judged=True)


# ---------------------------------------------------------------------------------------------- symptoms come and go


def _fires(draft: Draft, seen: Seen) -> None:
    new = seen.complaint
    incident = _place_for(draft, new)
    if incident is None:
        incident = draft.begin(new)
    elif not incident.firing:
        incident = _reopen(draft, incident, new)
    before = incident.complaints
    back = any(c.over is not None and _same(c, new) for c in before)
    if back or draft.fresh.get(incident.id) == "reopened":
        incident = replace(incident, returns=(*incident.returns, draft.now)[-RETURNS_KEPT:], calm=0.0)
    if back or new.key in draft.holders:
        before = tuple(c for c in before if c.key != new.key and not (c.over is not None and _same(c, new)))
    incident = replace(
        incident,
        complaints=_bounded((*before, new)),
        since=min(incident.since, new.onset),
        impact=without(union(incident.impact, seen.impact), incident.blamed),
    )
    if len(incident.complaints) > 1 or incident.id not in draft.fresh:  # else the opening says it
        draft.note(incident, "back" if back else "symptom", sentence(new))
    draft.holders[new.key] = incident.id
    draft.found_at(draft.put(incident), new.place)


def _bounded(complaints: tuple[Complaint, ...]) -> tuple[Complaint, ...]:
    """All that are active, and the last of those that are over."""
    if len(complaints) <= COMPLAINTS_KEPT:
        return complaints
    over = [c for c in complaints if c.over is not None]
    dropped = {id(c) for c in over[: len(complaints) - COMPLAINTS_KEPT]}
    return tuple(c for c in complaints if id(c) not in dropped)


def _place_for(draft: Draft, new: Complaint) -> Incident | None:
    """The open incident it belongs to, or the one just closed that it is a relapse of."""
    near = draft.near(new.place)
    for incident in near:
        if incident.firing and (_knows(incident, new) or any(shares(p, new.place) for p in _places(incident))):
            return incident
    closed = [i for i in near if i.closed is not None and i.ending in ("resolved", "gone") and draft.now - i.closed < RELAPSE_S]
    return next((i for i in sorted(closed, key=lambda i: -(i.closed or 0)) if _knows(i, new)), None)


def _knows(incident: Incident, new: Complaint) -> bool:
    return any(_same(c, new) for c in incident.complaints)


def _same(old: Complaint, new: Complaint) -> bool:
    """The same symptom on the same entity, or on the successor of its process."""
    if old.tree != new.tree:
        return False
    if old.labels == new.labels and (old.start is None or new.start is None or old.start == new.start):
        return True
    where = home(new.place)
    return where is not None and where == home(old.place)


def _places(incident: Incident) -> Iterable[Place]:
    """Where it is: its symptoms, but those whose entity has ended, and what its root cause is about."""
    yield from (c.place for c in incident.complaints if c.ended != "gone")
    if incident.root is not None and incident.active:
        yield place_of(incident.root["target"])


def _reopen(draft: Draft, incident: Incident, new: Complaint) -> Incident:
    """A further episode. What was wrong before is in the timeline; the cause known from then holds until it is looked into anew."""
    draft.fresh[incident.id] = "reopened"
    again = replace(incident, phase="open", closed=None, ending="", episode=incident.episode + 1, since=new.onset, complaints=())
    return replace(again, plea="", plea_link="", acknowledged="", acknowledged_at=None)


def _ends(draft: Draft, key: Key, at: float, ending: Ending) -> None:
    if ending == "gone":  # also of one that is over: whether it is quiet can no longer be asked
        for incident in [i for i in draft.open if i.flapping and any(c.key == key and c.over is not None for c in i.complaints)]:
            draft.put(_with(incident, key, ended=ending))
    number = draft.holders.pop(key, None)
    if number is not None:
        incident = draft.put(_with(draft.known[number], key, over=at, ended=ending, clearing=False, missing=False))
        if incident.firing:
            draft.note(incident, "over" if ending == "resolved" else "ended", name_of(key), at=at)


def _with(incident: Incident, key: Key, **changes: Any) -> Incident:
    return replace(incident, complaints=tuple(replace(c, **changes) if c.key == key else c for c in incident.complaints))


def _stands(draft: Draft, incident: Incident, standing: Mapping[Key, Standing]) -> Incident:
    """Takes over what the judge knows of its symptoms, with a line for each change; the same object where there is none."""
    changed: dict[int, Complaint] = {}
    for n, c in enumerate(incident.complaints):
        now = standing.get(c.key) if c.over is None else None
        if now is None or (now.missing, now.clearing) == (c.missing, c.clearing):
            continue
        if now.missing != c.missing:
            draft.note(incident, "no data" if now.missing else "data again", name_of(c.key))
        changed[n] = replace(c, missing=now.missing, clearing=now.clearing)
    if not changed:
        return incident
    return replace(incident, complaints=tuple(changed.get(n, c) for n, c in enumerate(incident.complaints)))


# ---------------------------------------------------------------------------------------------- and incidents with them


def _settle(draft: Draft, incident: Incident, passed: float, quiet: frozenset[Key]) -> None:
    """Severity, flapping, phase and end after a round."""
    incident = _flap(draft, _told(draft, _weigh(draft, incident)), passed, quiet)
    if not incident.active and not incident.flapping and not incident.remedies:
        close(draft, incident, _ending(incident))
        return
    phase = phase_of(incident)
    if phase != incident.phase and "recovering" in (phase, incident.phase):
        draft.note(incident, "better" if phase == "recovering" else "not over", "")
    draft.put(replace(incident, phase=phase))


def severity_of(incident: Incident) -> Severity:
    """The worst of what is active and of the root cause; what it last was when nothing is."""
    if not incident.active:
        return incident.severity
    found = [c.severity for c in incident.active]
    return max(found) if incident.root is None else max(*found, _SEVERITY[incident.root["severity"]])


def _weigh(draft: Draft, incident: Incident) -> Incident:
    severity = severity_of(incident)
    before, fresh = incident.severity, incident.id in draft.fresh
    incident = replace(incident, severity=severity, worst=max(severity, incident.worst) if incident.version else severity)
    if severity != before and not fresh:
        return draft.tell(incident, "changed", f"severity: {before.word} → {severity.word}")
    return incident


def _told(draft: Draft, incident: Incident) -> Incident:
    """Openings are told when their severity is known."""
    kind = draft.fresh.pop(incident.id, None)
    if kind is None:
        return incident
    incident = replace(incident, title=title_of(incident), phase=phase_of(incident))
    again = f"for the {incident.episode}. time: " if kind == "reopened" else ""
    figures = next((f": {c.text}" for c in incident.active or incident.complaints if c.text), "")
    return draft.tell(incident, kind, f"{again}{incident.title}{figures}")


def _flap(draft: Draft, incident: Incident, passed: float, quiet: frozenset[Key]) -> Incident:
    recent = sum(draft.now - at < FLAP_WINDOW_S for at in incident.returns)
    if not incident.flapping:
        if recent < FLAPS:
            return incident
        return draft.tell(
            replace(incident, flapping=True, calm=0.0, phase="flapping"), "flapping", f"came back {recent} times within an hour"
        )
    if incident.active:
        if draft.now - max(incident.returns, default=0.0) < CALM_S:
            return replace(incident, calm=0.0)
        steady = replace(incident, flapping=False, returns=(), calm=0.0)
        return draft.tell(replace(steady, phase=phase_of(steady)), "settled", "no longer comes and goes: it lasts")
    known = all(c.ended == "gone" or c.key in quiet for c in incident.complaints)
    calm = incident.calm + passed if known else incident.calm
    return replace(incident, calm=calm, flapping=calm < CALM_S)


def phase_of(incident: Incident) -> Phase:
    """The phase of an incident that is not over."""
    if incident.flapping:
        return "flapping"
    if incident.remedies:
        return "remediating"
    if all(c.clearing for c in incident.active):
        return "recovering"
    return "diagnosed" if incident.root is not None else "open"


def _ending(incident: Incident) -> Ending:
    """As the last of its symptoms ended; one that is known to be over says more than one whose entity is gone."""
    last = max((c.over or 0.0 for c in incident.complaints), default=0.0)
    return "gone" if all(c.ended == "gone" for c in incident.complaints if (c.over or 0.0) >= last) else "resolved"


def close(draft: Draft, incident: Incident, ending: Ending, reason: str = "", who: str = "", into: int | None = None) -> Incident:
    """The end of an incident, told."""
    assert ending
    said = reason or {"resolved": "over: known to be well again", "gone": "what it was about has ended"}.get(ending, ending)
    shut = replace(incident, phase="closed", closed=draft.now, ending=ending, flapping=False, calm=0.0, merged_into=into)
    return draft.tell(shut, ending, said, who)
