"""Reading incident events: first only their heads, because a storm brings thousands that will be counted and never told one by one.

The table is that of :mod:`agent.incidents.tables`, which inserts an event in the transaction that changes its incident.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from agent.alerts.model import SEVERITIES
from agent.dataclass import dataclass
from agent.engine.incident import Incident, incident
from agent.model import Severity

_ROOT = '"causes":[{"id":"'
"""How the root cause begins in the text of an event. Looking for it takes a hundredth of parsing the text."""


@dataclass(frozen=True)
class Head:
    """The newest event of one incident: enough to know its group, or to leave it at that."""

    seq: int
    incident: int
    severity: Severity
    kind: str
    cause: str
    tree: str


def heads(at: sqlite3.Connection, after: int, most: int) -> tuple[int, list[Head]]:
    """The ``seq`` read up to, and the newest event of each incident among the next ``most`` events."""
    newest: dict[int, Head] = {}
    last = after
    columns = "SELECT seq, incident, severity, kind, told FROM incident_events WHERE seq > ? ORDER BY seq LIMIT ?"
    for last, number, severity, kind, text in at.execute(columns, (after, most)):  # one at a time: together they are megabytes
        newest[number] = Head(last, number, SEVERITIES[severity], kind, *_about(text))
    return last, sorted(newest.values(), key=lambda head: head.seq)


def _about(text: str) -> tuple[str, str]:
    """Root cause and, where none is known, the tree of the first symptom."""
    begin = text.find(_ROOT)
    if begin >= 0:
        begin += len(_ROOT)
        return text[begin : text.index('"', begin)], ""
    known = json.loads(text)
    return next((str(cause["id"]) for cause in known["causes"]), ""), next((str(c["tree"]) for c in known["complaints"]), "")


def told(at: sqlite3.Connection, seqs: Iterable[int]) -> list[Incident]:
    """The incidents as these events tell them."""
    rows = (at.execute("SELECT told FROM incident_events WHERE seq = ?", (seq,)).fetchone() for seq in seqs)
    return [incident(json.loads(row[0])) for row in rows if row is not None]
