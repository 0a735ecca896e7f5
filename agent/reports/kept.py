"""What the state file holds beside an incident itself: runs of playbooks, who was told, earlier incidents of the same cause."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from agent.alerts import tables as alert_tables
from agent.engine.incident import Incident
from agent.engine.report import when
from agent.incidents import answers
from agent.incidents import tables as incident_tables
from agent.model import JsonObject
from agent.remedy import answers as remedy_answers
from agent.remedy import tables as remedy_tables

RUNS_MOST = 5000
AUDIT_MOST = 5000
ALIKE_MOST = 20


def has(at: sqlite3.Connection, table: str) -> bool:
    """Whether the state file has that table: an older agent's may not."""
    return at.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone() is not None


def runs(at: sqlite3.Connection, incident: int | None = None) -> list[JsonObject]:
    """Runs of playbooks for one incident, or all, oldest first, each with its ``steps``: who did what when, and why."""
    if not has(at, "runs"):
        return []
    found = [remedy_answers.run(r) for r in remedy_tables.runs(at, most=RUNS_MOST) if incident in (None, r.incident)]
    if incident is None or not found:
        return found
    audit = remedy_tables.audit(at, AUDIT_MOST)
    return [{**run, "steps": [_step(r) for r in audit if _of_run(r["what"], run["id"])]} for run in found]


def _of_run(what: str, number: int) -> bool:
    return what.startswith(f"run {number} ")


def _step(record: Mapping[str, Any]) -> JsonObject:
    body = record["body"]
    why = body.get("why") or body.get("what") or ""
    said = "; ".join(map(str, why)) if isinstance(why, list) else str(why)
    return {"time": when(record["time"]), "who": record["who"], "what": record["what"].split(" ", 2)[2], "why": said}


def messages(at: sqlite3.Connection, incident: int) -> list[JsonObject]:
    """Messages about an incident: to whom, when, and whether they arrived. Of those that arrived, only the newest are kept."""
    if not has(at, "alert_outbox"):
        return []
    found = []
    for row in alert_tables.read_rows(at, "1 = 1"):
        if any(str(alert.get("incident")) == str(incident) for alert in row.payload.get("alerts", ())):
            said = {"to": row.address, "state": row.state, "title": row.payload.get("title", ""), "error": row.error}
            found.append({"made": when(row.made), "arrived": when(row.done) if row.done else None, **said})
    return found


def alike(at: sqlite3.Connection, incident: Incident) -> list[JsonObject]:
    """Other incidents with the same root cause that are still kept, newest first."""
    root = incident.root
    if root is None:
        return []
    known = incident_tables.incidents(at, closed_after=0.0, most=incident_tables.KEEP_CLOSED)
    same = [i for i in known if i.id != incident.id and i.root is not None and i.root["id"] == root["id"]]
    return [{k: answers.summary(i)[k] for k in ("id", "opened", "closed", "ending", "title")} for i in same[:ALIKE_MOST]]
