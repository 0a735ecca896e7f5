"""What people do with an incident: acknowledge, comment, assign, close. Pure; every word is a line of the timeline."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from agent.engine.incident import Incident
from agent.engine.incidentbook import Book, Draft, Step
from agent.engine.incidents import close, phase_of
from agent.errors import UsageError

Verb = Literal["ack", "comment", "assign", "close"]
VERBS: tuple[Verb, ...] = ("ack", "comment", "assign", "close")
LONGEST = 2000


def said(book: Book, now: float, incident: Incident, verb: Verb, who: str, text: str = "") -> Step:
    """One word of ``who``. UsageError where it makes no sense: an incident that is closed can only be commented on and assigned.

    ``incident`` need not be in the book: old ones are read from the file. ``assign`` takes a name in ``text``, or nothing.
    """
    if len(text) > LONGEST:
        raise UsageError(f"at most {LONGEST} characters")
    draft = Draft(book, now)
    if verb in ("ack", "close") and not incident.firing:
        raise UsageError(f"incident {incident.id} is closed ({incident.ending})")
    if verb == "comment":
        if not text:
            raise UsageError("a comment needs a text")
        draft.note(incident, "comment", text, who)
        return draft.step()
    if verb == "assign":
        draft.put(replace(incident, assigned=text))
        draft.note(incident, "assigned", text or "nobody", who)
    elif verb == "ack":
        _acknowledge(draft, incident, who, text)
    else:
        close(draft, incident, "closed", text or f"closed by {who}", who)
    return draft.step()


def _acknowledge(draft: Draft, incident: Incident, who: str, text: str) -> None:
    """The first one counts; whoever joins later is in the timeline."""
    if incident.acknowledged:
        draft.note(incident, "acknowledged", text, who)
        return
    seen = replace(incident, acknowledged=who, acknowledged_at=draft.now)
    draft.tell(seen, "acknowledged", text or f"{who} looks after it", who)


def remedy(book: Book, now: float, number: int, what: str, *, begins: bool) -> Step:
    """A playbook begins or ends its work on an incident, which is not closed meanwhile."""
    draft = Draft(book, now)
    incident = book.incidents.get(number)
    if incident is not None:
        after = replace(incident, plea="", plea_link="", remedies=max(0, incident.remedies + (1 if begins else -1)))
        draft.put(replace(after, phase=phase_of(after)) if after.firing else after)
        draft.note(incident, "remedy begins" if begins else "remedy ends", what)
    return draft.step()


def plea(book: Book, now: float, number: int, kind: Literal["asked", "given_up"], text: str, link: str = "") -> Step:
    """People are asked to do something about an incident; once it is over nobody is."""
    draft = Draft(book, now)
    incident = book.incidents.get(number)
    if incident is not None and incident.firing:
        draft.tell(replace(incident, plea=text, plea_link=link, pleas=incident.pleas + 1), kind, text)
    return draft.step()
