"""The tables of this room in the state file, and the changes to them.

A change of the pipeline (cursor, alerts, messages) is one transaction, and so is the end of an attempt (row, what the address has
been told): a kill between any two lines of code leaves either the one or the other.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from agent.alerts.model import Alert, Mark, Row
from agent.alerts.plan import Ledger
from agent.alerts.silences import Silence
from agent.model import JsonObject
from agent.store.state import Room

KEEP_DONE = 200
"""Messages that arrived, kept for ``alerts list``."""

ROOM = Room(
    "alerts",
    (
        (
            "CREATE TABLE alert_notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
            "CREATE TABLE alert_open (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID",
            "CREATE TABLE alert_told (grp TEXT NOT NULL, address TEXT NOT NULL, alert TEXT NOT NULL, body TEXT NOT NULL,"
            " PRIMARY KEY (grp, address, alert)) WITHOUT ROWID",
            "CREATE TABLE alert_last (grp TEXT NOT NULL, address TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (grp, address))"
            " WITHOUT ROWID",
            "CREATE TABLE alert_outbox (event TEXT NOT NULL, address TEXT NOT NULL, grp TEXT NOT NULL, state TEXT NOT NULL,"
            " made REAL NOT NULL, next_at REAL NOT NULL, attempts INTEGER NOT NULL, first_failure REAL, unsure INTEGER NOT NULL,"
            " error TEXT NOT NULL, done REAL, payload TEXT NOT NULL, marks TEXT NOT NULL, PRIMARY KEY (event, address))",
            "CREATE INDEX alert_outbox_state ON alert_outbox (state, done)",
            "CREATE TABLE alert_silences (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID",
            "CREATE TABLE alert_health (address TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID",
            "CREATE TABLE alert_digest (alert TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID",
        ),
    ),
)


class Writes:
    """Statements that are carried out together, in order, in one transaction."""

    def __init__(self) -> None:
        self._todo: list[tuple[str, tuple[Any, ...]]] = []

    def __bool__(self) -> bool:
        return bool(self._todo)

    def __call__(self, to: sqlite3.Connection) -> None:
        """Carry them out."""
        for statement, values in self._todo:
            to.execute(statement, values)

    def note(self, key: str, value: str) -> None:
        """A value of our own, such as the cursor."""
        self._do("INSERT OR REPLACE INTO alert_notes VALUES (?, ?)", key, value)

    def alert(self, alert: Alert) -> None:
        """An alert as it stands."""
        self._do("INSERT OR REPLACE INTO alert_open VALUES (?, ?)", alert.id, _dumps(alert.to_json()))

    def forget(self, alert: str) -> None:
        """Nobody needs to hear of it any more."""
        self._do("DELETE FROM alert_open WHERE id = ?", alert)
        self._do("DELETE FROM alert_told WHERE alert = ?", alert)

    def told(self, group: str, address: str, mark: Mark) -> None:
        """An address has been told."""
        self._do("INSERT OR REPLACE INTO alert_told VALUES (?, ?, ?, ?)", group, address, mark.alert, _dumps(mark.to_json()))

    def last(self, group: str, address: str, at: float) -> None:
        """When an address was last told of a group."""
        self._do("INSERT OR REPLACE INTO alert_last VALUES (?, ?, ?)", group, address, at)

    def forget_last(self, group: str, address: str) -> None:
        """The group is over there."""
        self._do("DELETE FROM alert_last WHERE grp = ? AND address = ?", group, address)

    def row(self, row: Row) -> None:
        """A message as it stands."""
        self._do(
            "INSERT OR REPLACE INTO alert_outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(row.event, row.address, row.group, row.state, row.made, row.next_at, row.attempts, row.first_failure),
            *(int(row.unsure), row.error, row.done, _dumps(row.payload), json.dumps([m.to_json() for m in row.marks])),
        )

    def drop(self, row: Row) -> None:
        """A message that is not to be sent after all, or that another one takes the place of."""
        self._do("DELETE FROM alert_outbox WHERE event = ? AND address = ?", row.event, row.address)

    def tidy(self) -> None:
        """Of those that arrived only the newest are kept."""
        self._do(
            "DELETE FROM alert_outbox WHERE state = 'done' AND done <= (SELECT done FROM alert_outbox WHERE state = 'done'"
            " ORDER BY done DESC LIMIT 1 OFFSET ?)",
            KEEP_DONE,
        )

    def silence(self, silence: Silence) -> None:
        """A silence, new or changed."""
        self._do("INSERT OR REPLACE INTO alert_silences VALUES (?, ?)", silence.id, _dumps(silence.to_json()))

    def forget_silence(self, id_: str) -> None:
        """One that ended long ago."""
        self._do("DELETE FROM alert_silences WHERE id = ?", id_)

    def health(self, address: str, body: JsonObject) -> None:
        """How an address does."""
        self._do("INSERT OR REPLACE INTO alert_health VALUES (?, ?)", address, _dumps(body))

    def forget_health(self, address: str) -> None:
        """An address that is configured no more."""
        self._do("DELETE FROM alert_health WHERE address = ?", address)

    def digest(self, alert: str, body: JsonObject | None) -> None:
        """A line of the next digest, or None: it has been told."""
        if body is None:
            self._do("DELETE FROM alert_digest WHERE alert = ?", alert)
        else:
            self._do("INSERT OR REPLACE INTO alert_digest VALUES (?, ?)", alert, _dumps(body))

    def _do(self, statement: str, *values: Any) -> None:
        self._todo.append((statement, values))


class Kept:
    """All that was kept, read at start; nothing without a connection."""

    def __init__(self, at: sqlite3.Connection | None = None) -> None:
        self.ledger = Ledger()
        self.rows: list[Row] = []
        self.silences: dict[str, Silence] = {}
        self.health: dict[str, JsonObject] = {}
        self.digest: dict[str, JsonObject] = {}
        self.notes: dict[str, str] = {}
        if at is not None:
            self._read(at)

    def _read(self, at: sqlite3.Connection) -> None:
        for id_, body in at.execute("SELECT id, body FROM alert_open"):
            self.ledger.alerts[id_] = Alert.from_json(json.loads(body))
        for group, address, alert, body in at.execute("SELECT grp, address, alert, body FROM alert_told"):
            self.ledger.told.setdefault(group, {}).setdefault(address, {})[alert] = Mark.from_json(json.loads(body))
        self.ledger.last = {(group, address): when for group, address, when in at.execute("SELECT * FROM alert_last")}
        self.rows = list(read_rows(at, "state != 'done'"))
        self.silences = {id_: Silence.from_json(json.loads(body)) for id_, body in at.execute("SELECT * FROM alert_silences")}
        self.health = {a: json.loads(body) for a, body in at.execute("SELECT * FROM alert_health")}
        self.digest = {a: json.loads(body) for a, body in at.execute("SELECT * FROM alert_digest")}
        self.notes = dict(at.execute("SELECT key, value FROM alert_notes"))


def read_rows(at: sqlite3.Connection, where: str, values: Iterable[Any] = ()) -> Iterable[Row]:
    """Messages, oldest first."""
    columns = "event, address, grp, state, made, next_at, attempts, first_failure, unsure, error, done, payload, marks"
    for found in at.execute(f"SELECT {columns} FROM alert_outbox WHERE {where} ORDER BY made, event", tuple(values)):
        event, address, group, state, made, next_at, attempts, failed, unsure, error, done, payload, marks = found
        told = tuple(Mark.from_json(m) for m in json.loads(marks))
        yield Row(
            event, address, group, state, made, next_at, json.loads(payload), told, attempts, failed, bool(unsure), error, done
        )  # fmt: skip


def last_done(at: sqlite3.Connection, most: int) -> list[Row]:
    """The messages that arrived last, oldest first."""
    found = at.execute("SELECT done FROM alert_outbox WHERE state = 'done' ORDER BY done DESC LIMIT 1 OFFSET ?", (most,)).fetchone()
    return sorted(read_rows(at, "state = 'done' AND done > ?", found or (0.0,)), key=lambda row: row.done or 0.0)


def _dumps(value: JsonObject) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
