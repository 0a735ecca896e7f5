"""What a diagnosis means for incidents: which one it explains, its root cause, which incidents turn out to be one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from agent.engine.impact import neighbours, of_causes, union, without
from agent.engine.incident import Incident, Key
from agent.engine.incidentbook import Book, Draft, Step
from agent.engine.incidents import close, phase_of, severity_of
from agent.engine.naming import title_of
from agent.engine.overlap import place_of, shares
from agent.engine.trees import RuleSet
from agent.model import JsonObject

_THINGS = frozenset({"process", "device", "gpu", "mount", "link", "cgroup", "unit", "peer"})
"""Kinds of culprits that are one thing on a host; a line of code may be at work in many programs."""

Leads = Callable[[str], tuple[str, ...]]
"""All causes a cause may bring about, directly or through others."""


def diagnosed(
    book: Book,
    now: float,
    diagnosis: JsonObject,
    key: Key | None,
    leads: Leads,
    who: str = "",
    victims: frozenset[str] = frozenset(),
) -> tuple[Step, int | None]:
    """A diagnosis that was made for the symptom ``key``, or asked for by ``who``; the number of the incident it belongs to, if
    there is one. A diagnosis alone opens no incident: nothing would tell when it is over. ``victims`` are causes whose culprits
    are those they happened to."""
    draft = Draft(book, now)
    incident = _owner(book, diagnosis, key)
    if incident is None:
        return draft.step(), None
    reaching = [cause for cause in diagnosis["causes"] if reaches(cause, incident)]
    known = replace(
        incident,
        looked=now,
        possible=tuple(diagnosis["possible"]),
        ruled_out=tuple(diagnosis["ruled_out"]),
        not_checked=tuple(diagnosis["not_checked"]),
    )
    if reaching:
        _explain(draft, incident, known, reaching, leads, who, victims)
    else:
        _unexplained(draft, incident, known, who)
    return draft.step(), incident.id


def not_diagnosed(book: Book, now: float, key: Key, why: str) -> Step:
    """Nobody looks for the cause of a symptom, or did in vain: whoever waits for it need not wait any longer."""
    draft = Draft(book, now)
    incident = book.holder(key)
    if incident is not None and not incident.ready:
        _unexplained(draft, incident, replace(incident, looked=now), "", why)
    return draft.step()


def led_to(rules: RuleSet, cause: str) -> tuple[str, ...]:
    """All causes one may bring about, directly or through others."""
    found: dict[str, None] = {}
    todo = [cause]
    while todo:
        known = rules.causes.get(todo.pop())
        new = [c for c in known.leads_to if c not in found] if known else []
        found |= dict.fromkeys(new)
        todo += new
    return tuple(found)


def reaches(cause: JsonObject, incident: Incident) -> bool:
    """Does a cause bear on an incident: is it about the same entity, or does it explain one of its symptoms?"""
    place, symptoms = place_of(cause["target"]), set(cause["symptoms"])
    suffering = incident.active or incident.complaints
    return any(shares(place, c.place) or (c.tree in symptoms and place.overlaps(c.place)) for c in suffering)


def _owner(book: Book, diagnosis: JsonObject, key: Key | None) -> Incident | None:
    """The incident that has the symptom, had it until a moment ago, or that the diagnosis bears on most."""
    if key is not None:
        ended = [i for _, i in sorted(book.incidents.items(), reverse=True) if any(c.key == key for c in i.complaints)]
        return book.holder(key) or next(iter(ended), None)
    return next((i for cause in diagnosis["causes"] for i in book.open if reaches(cause, i)), None)


# ---------------------------------------------------------------------------------------------- a root cause


def _explain(
    draft: Draft, before: Incident, known: Incident, causes: list[JsonObject], leads: Leads, who: str, victims: frozenset[str]
) -> None:
    root, old = causes[0], before.root
    if old is not None and not _unseats(root, old, known.possible):
        draft.put(known)
        draft.note(known, "looked again", f"the root cause stays {old['id']}: this look could not check it", who)
        return
    after = replace(known, causes=tuple(causes), leads_to=leads(root["id"]))
    blamed = neighbours(root, known.complaints, victims)
    after = replace(after, impact=without(union(known.impact, of_causes(causes, victims)), blamed), blamed=tuple(sorted(blamed)))
    after = replace(after, title=title_of(after), severity=severity_of(after))
    after = replace(after, worst=max(after.worst, after.severity))
    if not after.firing:
        draft.put(replace(after, severity=before.severity))
        draft.note(after, "explained", _says(root), who)
        return
    after = replace(after, phase=phase_of(after))
    if any(other.id < after.id and other.active and _one(after, other) for other in draft.open):
        draft.put(after)  # it ends in another one, which tells of the cause
        draft.note(after, "explained", _says(root), who)
    elif old is None:
        after = draft.tell(after, "diagnosed", _says(root), who)
    elif (old["id"], old["target"]) != (root["id"], root["target"]):
        after = draft.tell(after, "changed", f"root cause: {_says(root)}; formerly {old['id']}", who)
    elif after.severity != before.severity:
        after = draft.tell(after, "changed", f"severity: {before.severity.word} → {after.severity.word}", who)
    else:
        draft.put(after)
        draft.note(after, "looked again", f"the root cause stays {root['id']}", who)
    _merge(draft, after)


def _unseats(new: JsonObject, old: JsonObject, possible: Sequence[JsonObject]) -> bool:
    """A look that could not check the known cause, a gentle one say, does not replace it by something less sure."""
    unchecked = any(p["id"] == old["id"] for p in possible)
    return not (unchecked and new["confidence"]["lo"] < old["confidence"]["lo"])


def _unexplained(draft: Draft, before: Incident, known: Incident, who: str, why: str = "") -> None:
    may = ", ".join(p["id"] for p in known.possible[:3])
    said = why or ("nothing was proven" + (f"; possible: {may}" if may else ""))
    if before.firing and before.looked is None:
        draft.tell(known, "inconclusive", said, who)
    else:
        draft.put(known)
        draft.note(known, "looked again", said, who)


def _says(root: JsonObject) -> str:
    culprit = next(iter(root["culprits"]), None)
    if culprit is None:
        return f"{root['id']}: {root['title']}"
    place = f"{culprit['file']}:{culprit['line']}" if culprit.get("file") else f"{culprit['kind']} {culprit['name']}".strip()
    return f"{root['id']}: {root['title']}: {place}"


# ---------------------------------------------------------------------------------------------- several that are one


def _merge(draft: Draft, explained: Incident) -> None:
    """Incidents with the same root cause, or with a consequence of it, become one: that with the lowest number."""
    for other in draft.open:
        explained = draft.known[explained.id]
        if other.id != explained.id and explained.firing and other.active and _one(explained, other):
            first, second = sorted((explained, other), key=lambda i: i.id)
            _join(draft, first, second, explained)


def _one(explained: Incident, other: Incident) -> bool:
    root = explained.root
    assert root is not None
    place = place_of(root["target"])
    if other.root is not None:
        there = place_of(other.root["target"])
        if other.root["id"] == root["id"]:
            return shares(place, there) or bool(_blamed(root) & _blamed(other.root))
        return other.root["id"] in root["consequences"] and place.overlaps(there)
    return any(shares(place, c.place) for c in other.active) or (
        all(c.tree in root["symptoms"] and place.overlaps(c.place) for c in other.active)
    )


def _blamed(cause: JsonObject) -> set[tuple[Any, ...]]:
    """Who else than the sufferer is to blame: two that suffer from one neighbour, or one disk, have one root cause."""
    own = cause["target"].get("pid")
    return {
        (c["kind"], c["pid"]) if c.get("pid") else (c["kind"], c["name"], c.get("uuid"), c.get("pci"), c.get("address"))
        for c in cause["culprits"]
        if c["kind"] in _THINGS and not (own and c.get("pid") == own)
    }


def _join(draft: Draft, first: Incident, second: Incident, explained: Incident) -> None:
    """The second one ends in the first, which takes over all that it has, and the root cause unless it knows that one already."""
    speaks = explained if _news(first, explained) else first
    blamed = {*first.blamed, *second.blamed} - {cause["target"].get("pid") for cause in (first.root, second.root) if cause}
    joined = replace(
        first,
        complaints=(*first.complaints, *second.active),
        causes=speaks.causes,
        possible=speaks.possible,
        ruled_out=speaks.ruled_out,
        not_checked=speaks.not_checked,
        leads_to=speaks.leads_to,
        looked=explained.looked,
        since=min(first.since, second.since),
        impact=without(union(first.impact, second.impact), blamed),
        blamed=tuple(sorted(blamed)),
        acknowledged=first.acknowledged or second.acknowledged,
        acknowledged_at=first.acknowledged_at or second.acknowledged_at,
        assigned=first.assigned or second.assigned,
        remedies=first.remedies + second.remedies,
    )
    joined = replace(joined, severity=severity_of(joined), title=title_of(joined), phase=phase_of(joined))
    joined = replace(joined, worst=max(joined.worst, joined.severity))
    said = f"#{second.id} is part of this: {joined.causes[0]['id']}"
    if joined.severity != first.severity or first.root is None or first.root["id"] != joined.causes[0]["id"]:
        draft.tell(joined, "diagnosed" if first.root is None else "changed", said)
    else:
        draft.put(joined)
        draft.note(joined, "took in", said)
    over = tuple(replace(c, over=draft.now, ended="merged") for c in second.complaints)
    close(draft, replace(second, complaints=over, remedies=0), "merged", f"is part of #{first.id}", into=first.id)


def _news(first: Incident, explained: Incident) -> bool:
    """Whether the root cause says more than the same of another sufferer."""
    old, new = first.root, explained.root
    assert new is not None
    return old is None or old["id"] != new["id"] or old["target"] == new["target"]
