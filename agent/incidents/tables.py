"""Incidents in the state file: written with what is to be told of them in one transaction, read back, pruned.

**For whoever tells people (alerts):** ``incident_events`` is a transactional outbox. In the same transaction as a change of an
incident its :class:`agent.engine.incident.IncidentEvent` is inserted; a kill loses neither or both, and an event is never inserted
twice (``(incident, n)`` is unique). A consumer keeps the ``seq`` of the last event it has dealt with in a table of its own and
moves it in the same transaction as what it makes of the events::

    def take(to: sqlite3.Connection) -> int:
        after = cursor(to)                                 # of a table of yours
        for event in tables.events_after(to, after, most=100):
            ...INSERT INTO outbox..., set the cursor to event.seq
    await state.write(take)                                # again until nothing comes

``Desk.listen(call)`` calls on the event loop after each commit that held events: a hint to look, not the truth. Event ids are made
from the identity of the state file, so they never come back, even if incident numbers do because the file was lost. Events
are kept for ``KEEP_EVENTS_S``; ``current(at, id)`` is the incident as it stands now.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from agent.dataclass import dataclass
from agent.engine.incident import Entry, Incident, IncidentEvent, incident, plain
from agent.model import JsonObject, Severity
from agent.store.database import BITS
from agent.store.state import Room

KEEP_EVENTS_S = 7 * 86400.0
KEEP_CLOSED_S = 90 * 86400.0
KEEP_CLOSED = 5_000
KEEP_ENTRIES = 500
"""Lines of a timeline; the first hundred are never dropped: how it began is what people ask for."""
KEEP_FIRST_ENTRIES = 100
KEEP_DIAGNOSES = 5

ROOM = Room(
    "incidents",
    (
        (
            "CREATE TABLE incidents (id INTEGER PRIMARY KEY, phase TEXT NOT NULL, opened REAL NOT NULL, updated REAL NOT NULL,"
            " closed REAL, body TEXT NOT NULL)",
            "CREATE INDEX incidents_open ON incidents (closed)",
            "CREATE TABLE incident_events (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
            " incident INTEGER NOT NULL, n INTEGER NOT NULL, kind TEXT NOT NULL, time REAL NOT NULL, severity TEXT NOT NULL,"
            " reason TEXT NOT NULL,"
            " told TEXT NOT NULL, UNIQUE (incident, n))",
            "CREATE TABLE incident_timeline (incident INTEGER NOT NULL, n INTEGER NOT NULL, time REAL NOT NULL, what TEXT NOT NULL,"
            " text TEXT NOT NULL, who TEXT NOT NULL, PRIMARY KEY (incident, n)) WITHOUT ROWID",
            "CREATE TABLE incident_diagnoses (incident INTEGER NOT NULL, time REAL NOT NULL, body TEXT NOT NULL,"
            " PRIMARY KEY (incident, time))",
            "CREATE TABLE incident_desk (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        ),
    ),
)


@dataclass(frozen=True)
class Batch:
    """What one step changed, to be kept all or nothing. ``number`` counts batches for ever, so that a second try is none."""

    number: int
    incidents: tuple[Incident, ...] = ()
    events: tuple[IncidentEvent, ...] = ()
    entries: tuple[Entry, ...] = ()
    diagnoses: tuple[tuple[int, float, JsonObject], ...] = ()


def event_id(identity: str, incident: int, n: int, kind: str, time: float) -> str:
    """An event's id. The time is part of it: state that was only in memory when the agent was killed may count anew from before."""
    return hashlib.sha256(f"{identity}|{incident}|{n}|{kind}|{time:.3f}".encode()).hexdigest()[:32]


# ---------------------------------------------------------------------------------------------- writing


def save(to: sqlite3.Connection, batch: Batch) -> bool:
    """Keep a batch; False if that was done before."""
    if batch.number <= saved(to):
        return False
    to.execute("INSERT OR REPLACE INTO incident_desk VALUES ('saved', ?)", (str(batch.number),))
    for one in batch.incidents:
        row = (one.id, one.phase, one.opened, one.updated, one.closed, _dumps(plain(one)))
        to.execute("INSERT OR REPLACE INTO incidents VALUES (?, ?, ?, ?, ?, ?)", row)
    for e in batch.events:
        told = (e.id, e.incident, e.n, e.kind, e.time, e.severity.word, e.reason, _dumps(plain(e.told)))
        to.execute(
            "INSERT INTO incident_events (id, incident, n, kind, time, severity, reason, told) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            told,
        )
    for entry in batch.entries:
        _write(to, entry)
    for number, time, diagnosis in batch.diagnoses:
        to.execute("INSERT OR REPLACE INTO incident_diagnoses VALUES (?, ?, ?)", (number, time, _dumps(diagnosis)))
        to.execute(
            "DELETE FROM incident_diagnoses WHERE incident = ? AND time NOT IN"
            " (SELECT time FROM incident_diagnoses WHERE incident = ? ORDER BY time DESC LIMIT ?)",
            (number, number, KEEP_DIAGNOSES),
        )
    return True


def save_all(to: sqlite3.Connection, batches: Iterable[Batch]) -> int:
    """Keep several; how many of them were new."""
    return sum(save(to, batch) for batch in batches)


def _write(to: sqlite3.Connection, entry: Entry) -> None:
    """One more line; of a timeline that is full, the oldest line after the first ones goes."""
    last, count = to.execute(
        "SELECT coalesce(max(n), 0), count(*) FROM incident_timeline WHERE incident = ?", (entry.incident,)
    ).fetchone()
    row = (entry.incident, last + 1, entry.time, entry.what, entry.text, entry.who)
    to.execute("INSERT INTO incident_timeline VALUES (?, ?, ?, ?, ?, ?)", row)
    if count >= KEEP_ENTRIES:
        to.execute(
            "DELETE FROM incident_timeline WHERE incident = ? AND n ="
            " (SELECT min(n) FROM incident_timeline WHERE incident = ? AND n > ?)",
            (entry.incident, entry.incident, KEEP_FIRST_ENTRIES),
        )


def prune(to: sqlite3.Connection, now: float) -> None:
    """Forget what is old: events after a week, closed incidents after 90 days or when there are too many; never the newest one."""
    to.execute("DELETE FROM incident_events WHERE time < ?", (now - KEEP_EVENTS_S,))
    old = to.execute(
        "SELECT id FROM incidents WHERE closed IS NOT NULL AND id < (SELECT max(id) FROM incidents) AND (closed < ? OR id NOT IN"
        " (SELECT id FROM incidents WHERE closed IS NOT NULL ORDER BY closed DESC LIMIT ?))",
        (now - KEEP_CLOSED_S, KEEP_CLOSED),
    ).fetchall()
    for table, column in (("incidents", "id"), ("incident_timeline", "incident"), ("incident_diagnoses", "incident")):
        to.executemany(f"DELETE FROM {table} WHERE {column} = ?", old)


def remember(to: sqlite3.Connection, key: str, value: str) -> None:
    """Keep one of the desk's own notes."""
    to.execute("INSERT OR REPLACE INTO incident_desk VALUES (?, ?)", (key, value))


# ---------------------------------------------------------------------------------------------- reading


def saved(at: sqlite3.Connection) -> int:
    """Number of the last batch kept."""
    return int(recall(at, "saved") or 0)


def recall(at: sqlite3.Connection, key: str) -> str | None:
    """One of the desk's own notes."""
    row = at.execute("SELECT value FROM incident_desk WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def last_id(at: sqlite3.Connection) -> int:
    """The highest number an incident has."""
    return int(at.execute("SELECT coalesce(max(id), 0) FROM incidents").fetchone()[0])


def incidents(at: sqlite3.Connection, *, closed_after: float | None = None, most: int = 1000) -> list[Incident]:
    """Open incidents, and those closed after that time, newest first. Without a time: open ones only."""
    limit = float("inf") if closed_after is None else closed_after
    rows = at.execute("SELECT body FROM incidents WHERE closed IS NULL OR closed > ? ORDER BY id DESC LIMIT ?", (limit, most))
    return [incident(json.loads(body)) for (body,) in rows]


def closed_by_people(at: sqlite3.Connection) -> list[Incident]:
    """Those a person closed, newest first: something may fire on in them."""
    rows = at.execute(
        "SELECT body FROM incidents WHERE closed IS NOT NULL AND json_extract(body, '$.ending') = 'closed' ORDER BY id DESC"
    )
    return [incident(json.loads(body)) for (body,) in rows]


def current(at: sqlite3.Connection, number: int) -> Incident | None:
    """One incident as it stands; None where there is none, nor can be."""
    if number.bit_length() > BITS:
        return None
    row = at.execute("SELECT body FROM incidents WHERE id = ?", (number,)).fetchone()
    return None if row is None else incident(json.loads(row[0]))


def timeline(at: sqlite3.Connection, number: int) -> list[Entry]:
    """All that happened to an incident, oldest first."""
    rows = at.execute("SELECT incident, time, what, text, who FROM incident_timeline WHERE incident = ? ORDER BY n", (number,))
    return [Entry(*row) for row in rows]


def diagnoses(at: sqlite3.Connection, number: int) -> list[JsonObject]:
    """The last diagnoses of an incident (``anfl.diagnosis/1``), newest first."""
    rows = at.execute("SELECT body FROM incident_diagnoses WHERE incident = ? ORDER BY time DESC", (number,))
    return [json.loads(body) for (body,) in rows]


def events_after(at: sqlite3.Connection, seq: int, most: int = 100) -> list[IncidentEvent]:
    """Events committed after ``seq``, in their order."""
    rows = at.execute(
        "SELECT id, incident, n, kind, time, severity, reason, told, seq FROM incident_events WHERE seq > ? ORDER BY seq LIMIT ?",
        (seq, most),
    )
    return [_event(row) for row in rows]


def last_seq(at: sqlite3.Connection) -> int:
    """``seq`` of the newest event there ever was: where a consumer that wants no past begins."""
    row = at.execute("SELECT seq FROM sqlite_sequence WHERE name = 'incident_events'").fetchone()
    return 0 if row is None else int(row[0])


def _event(row: Sequence[Any]) -> IncidentEvent:
    id_, number, n, kind, time, severity, reason, told, seq = row
    return IncidentEvent(id_, number, n, kind, time, Severity[severity.upper()], reason, incident(json.loads(told)), seq)


def numbered(identity: str, events: Iterable[IncidentEvent]) -> tuple[IncidentEvent, ...]:
    """The same with their ids."""
    return tuple(replace(e, id=event_id(identity, e.incident, e.n, e.kind, e.time)) for e in events)


def _dumps(value: JsonObject) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
