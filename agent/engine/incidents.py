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

from agent.engine.graph import Place
from agent.engine.impact import union
from agent.engine.incident import Complaint, Ending, Incident, Key, Phase
from agent.engine.incidentbook import RELAPSE_S, Book, Draft, Seen, Standing, Step
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
    for incident in list(draft.known.values()):
        if incident.firing:
            _settle(draft, _stands(draft, incident, standing), passed, quiet)
    return draft.step(judged=True)


# ---------------------------------------------------------------------------------------------- symptoms come and go


def _fires(draft: Draft, seen: Seen) -> None:
    new = seen.complaint
    incident = _place_for(draft, new)
    if incident is None:
        incident = draft.begin(new)
    elif not incident.firing:
        incident = _reopen(draft, incident, new)
    back = any(_same(c, new) for c in incident.complaints if c.over is not None)
    if back or draft.fresh.get(incident.id) == "reopened":
        incident = replace(incident, returns=(*incident.returns, draft.now)[-RETURNS_KEPT:], calm=0.0)
    kept = [c for c in incident.complaints if c.key != new.key and not (c.over is not None and _same(c, new))]
    incident = replace(
        incident,
        complaints=(*kept, new)[-COMPLAINTS_KEPT:],
        since=min(incident.since, new.onset),
        impact=union(incident.impact, seen.impact),
    )
    if len(incident.complaints) > 1 or incident.id not in draft.fresh:  # else the opening says it
        draft.note(incident, "back" if back else "symptom", _sentence(new))
    draft.put(incident)


def _place_for(draft: Draft, new: Complaint) -> Incident | None:
    """The open incident it belongs to, or the one just closed that it is a relapse of."""
    for incident in draft.open:
        if any(_same(c, new) for c in incident.complaints) or any(shares(p, new.place) for p in _places(incident)):
            return incident
    closed = [
        i
        for i in draft.known.values()
        if i.closed is not None and i.ending in ("resolved", "gone") and draft.now - i.closed < RELAPSE_S
    ]
    return next((i for i in sorted(closed, key=lambda i: -(i.closed or 0)) if any(_same(c, new) for c in i.complaints)), None)


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
    return replace(again, acknowledged="", acknowledged_at=None)


def _ends(draft: Draft, key: Key, at: float, ending: Ending) -> None:
    for incident in list(draft.known.values()):
        if incident.flapping and ending == "gone":  # also of one that is over: whether it is quiet can no longer be asked
            after = tuple(replace(c, ended=ending) if c.key == key and c.over is not None else c for c in incident.complaints)
            incident = draft.put(replace(incident, complaints=after))
        if any(c.key == key for c in incident.active):
            done = [
                replace(c, over=at, ended=ending, clearing=False, missing=False) if c.key == key else c for c in incident.complaints
            ]
            draft.put(replace(incident, complaints=tuple(done)))
            if incident.firing:
                draft.note(incident, "over" if ending == "resolved" else "ended", _name(key), at=at)


def _stands(draft: Draft, incident: Incident, standing: Mapping[Key, Standing]) -> Incident:
    """Takes over what the judge knows of its symptoms, with a line for each change."""
    after: list[Complaint] = []
    for c in incident.complaints:
        now = standing.get(c.key) if c.over is None else None
        if now is not None and (now.missing, now.clearing) != (c.missing, c.clearing):
            if now.missing != c.missing:
                draft.note(incident, "no data" if now.missing else "data again", _name(c.key))
            c = replace(c, missing=now.missing, clearing=now.clearing)
        after.append(c)
    return replace(incident, complaints=tuple(after))


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
    again = f"came back ({len(incident.returns)} times so far): " if kind == "reopened" else ""
    return draft.tell(incident, kind, again + incident.title)


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


# ---------------------------------------------------------------------------------------------- in words


def title_of(incident: Incident) -> str:
    """What is wrong with whom, in a few words."""
    if incident.root is not None:
        return f"{incident.root['title']}: {_whom(place_of(incident.root['target']), incident.root['target'].get('name') or '')}"
    first = next(iter(incident.active or incident.complaints))
    return f"{first.tree} of {_whom(first.place, first.place.labels.get('comm', ''))}: {first.text}"


def _whom(place: Place, name: str) -> str:
    known = dict(place.key)
    if "pid" in known:
        return f"{name} (pid {known['pid']})".strip()
    return " ".join(f"{k}={v}" for k, v in place.key) or (name or "this host")


def _sentence(c: Complaint) -> str:
    return f"{_name(c.key)}: {c.text}" if c.text else _name(c.key)


def _name(key: Key) -> str:
    tree, labels = key
    return f"{tree} {' '.join(f'{k}={v}' for k, v in labels)}".strip()
