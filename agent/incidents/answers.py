"""Incidents as people and programs read them (``anfl.incidents/1``, ``anfl.incident/1``), from a connection to the state."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from agent.engine.incident import Complaint, Entry, Incident
from agent.engine.report import when
from agent.errors import UsageError
from agent.incidents import tables
from agent.model import JsonObject

LISTED_MOST = 1000
Visible = Callable[[Incident], bool]


def everything(incident: Incident) -> bool:
    """Whoever may know all of the host."""
    return True


def of_user(name: str) -> Visible:
    """What concerns only this user's processes."""
    return lambda incident: incident.impact.users == (name,)


def listing(at: sqlite3.Connection, *, closed_after: float | None = None, visible: Visible = everything) -> JsonObject:
    """``anfl.incidents/1``: open incidents and those closed after that time, newest first."""
    found = tables.incidents(at, closed_after=closed_after, most=LISTED_MOST)
    return {"schema": "anfl.incidents/1", "incidents": [summary(i) for i in found if visible(i)]}


def one(at: sqlite3.Connection, number: int, visible: Visible = everything) -> JsonObject:
    """``anfl.incident/1``: all that is known of one. UsageError where there is none, or none that one may see."""
    incident = tables.current(at, number)
    if incident is None or not visible(incident):
        raise no_such(number)
    last = next(iter(tables.diagnoses(at, number)), None)
    return {
        "schema": "anfl.incident/1",
        **summary(incident),
        "complaints": [_complaint(c) for c in incident.complaints],
        "causes": list(incident.causes),
        "possible": list(incident.possible),
        "ruled_out": list(incident.ruled_out),
        "not_checked": list(incident.not_checked),
        "impact": {**vars(incident.impact), "processes": [vars(p) for p in incident.impact.processes]},
        "timeline": [_entry(e) for e in tables.timeline(at, number)],
        "diagnosis": last,
    }


def no_such(number: int) -> UsageError:
    """For a number that no incident has."""
    return UsageError(f"there is no incident {number}", help="'anfl-agent incidents list --all' shows those there are")


def summary(incident: Incident) -> JsonObject:
    """One entry of ``incidents``."""
    root = incident.root
    return {
        "id": incident.id,
        "phase": incident.phase,
        "severity": incident.severity.word,
        "worst": incident.worst.word,
        "title": incident.title,
        "cause": root["id"] if root else None,
        "culprit": next(iter(root["culprits"]), None) if root else None,
        "target": root["target"] if root else None,
        "opened": when(incident.opened),
        "since": when(incident.since),
        "updated": when(incident.updated),
        "closed": _time(incident.closed),
        "ending": incident.ending or None,
        "episode": incident.episode,
        "flapping": incident.flapping,
        "missing": any(c.missing for c in incident.active),
        "symptoms": sorted({c.tree for c in incident.active}),
        "users": list(incident.impact.users),
        "acknowledged": incident.acknowledged or None,
        "acknowledged_at": _time(incident.acknowledged_at),
        "assigned": incident.assigned or None,
        "merged_into": incident.merged_into,
    }


def _complaint(c: Complaint) -> JsonObject:
    return {
        "tree": c.tree,
        "labels": dict(c.labels),
        "severity": c.severity.word,
        "since": when(c.onset),
        "text": c.text,
        "missing": c.missing,
        "clearing": c.clearing,
        "over": _time(c.over),
        "ended": c.ended or None,
    }


def _entry(entry: Entry) -> JsonObject:
    return {"time": when(entry.time), "what": entry.what, "text": entry.text, "who": entry.who or None}


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else when(seconds)
