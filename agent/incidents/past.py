"""What was before this agent started: the book as it was kept last, and whose end nobody saw."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from agent.engine.evaluate import JudgeState, SymptomState
from agent.engine.incident import Complaint, Incident
from agent.engine.incidentbook import RELAPSE_S, Book
from agent.engine.incidents import phase_of
from agent.errors import AgentError
from agent.host import procs
from agent.incidents import tables


def read(at: sqlite3.Connection, now: float) -> tuple[Book, int]:
    """The book, and the number of the last batch kept in it."""
    kept = tables.incidents(at, closed_after=now - RELAPSE_S)
    fired_on = [i for i in tables.closed_by_people(at) if i.active]
    found = {i.id: _at_rest(i) for i in sorted((*kept, *fired_on), key=lambda i: i.id)}
    return Book(tables.last_id(at) + 1, 0.0, found), tables.saved(at)


def _at_rest(incident: Incident) -> Incident:
    """No playbook is at work on it: one that is taken up again says so."""
    calm = replace(incident, remedies=0)
    return replace(calm, phase=phase_of(calm)) if incident.remedies and incident.firing else calm


def ended(book: Book) -> list[Complaint]:
    """Symptoms whose process ended while nobody watched. Asks the host, so it blocks."""
    asked = [c for i in book.incidents.values() for c in i.complaints if c.over is None or i.flapping]
    return [c for c in asked if _has_ended(c)]


def judgement(book: Book, now: float) -> JudgeState:
    """What the judge is to go on with: what fired then is taken to fire still, without data, until it is judged again."""
    firing = [c for i in book.incidents.values() for c in i.active]
    return JudgeState(now, {c.key: SymptomState("firing", c.onset, now, missing=True, fired=c.fired) for c in firing})


def _has_ended(c: Complaint) -> bool:
    """Only of a process can that be said."""
    pid = dict(c.labels).get("pid", "")
    if not pid.isdecimal():
        return False
    if c.start is not None:
        return not procs.still(int(pid), c.start)
    try:
        procs.state(int(pid))
    except AgentError:
        return True
    return False
