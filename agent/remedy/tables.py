"""Runs in the state file: each edge of a run and its audit record are one transaction, chained so that a gap shows.

What was reserved counts as done, whatever became of it: the attempt is in the table before anything is touched.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from agent.model import JsonObject, Target
from agent.remedy.guard import BREAKER_WINDOW_S, STORM_WINDOW_S
from agent.remedy.model import ACTING, EDGES, OVER, House, Phase, Run, Tally
from agent.store.audit import Entry, canonical, link
from agent.store.database import BITS
from agent.store.state import Loss, Room

KEEP_S = 180 * 86400.0
UNCLOSED_S = 86400.0
"""How far back one looks for runs whose end nobody heard of; older ones are of another day's incident."""

ROOM = Room(
    "remedy",
    (
        (
            "CREATE TABLE runs (id INTEGER PRIMARY KEY AUTOINCREMENT, playbook TEXT NOT NULL, grp TEXT NOT NULL, kin TEXT NOT NULL,"
            " incident INTEGER NOT NULL, phase TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL, reserved_at REAL,"
            " body TEXT NOT NULL)",
            "CREATE INDEX runs_phase ON runs (phase)",
            "CREATE INDEX runs_group ON runs (grp, kin, reserved_at)",
            "CREATE TABLE audit (seq INTEGER PRIMARY KEY, time REAL NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,"
            " body TEXT NOT NULL, hash TEXT NOT NULL)",
            "CREATE TABLE switches (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        ),
        (
            "CREATE TABLE codes (who TEXT PRIMARY KEY, counter INTEGER NOT NULL, wrong INTEGER NOT NULL, at REAL NOT NULL)"
            " WITHOUT ROWID",
            "CREATE TABLE sealed (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL)",
        ),
    ),
)


class IllegalEdge(Exception):
    """A run was to go where no edge leads, or somebody else moved it first."""


# ---------------------------------------------------------------------------------------------- writing


def insert(to: sqlite3.Connection, run: Run, who: str) -> Run:
    """A new proposal; its number is given here."""
    row = (run.playbook, run.group, run.kin, run.incident, run.phase, run.created, run.updated, run.reserved_at, _body(run))
    columns = "playbook, grp, kin, incident, phase, created, updated, reserved_at, body"
    given = to.execute(f"INSERT INTO runs ({columns}) VALUES (?,?,?,?,?,?,?,?,?)", row).lastrowid
    made = replace(run, id=int(given or 0))
    record(
        to, run.created, who, f"run {made.id} {run.phase}", {"playbook": run.playbook, "target": run.identity, "why": run.reason}
    )
    return made


def move(to: sqlite3.Connection, before: Run, phase: Phase, now: float, who: str, **changes: Any) -> Run:
    """One edge, with its audit record. IllegalEdge if there is none, or the run is not where ``before`` says."""
    if phase not in EDGES.get(before.phase, ()):
        raise IllegalEdge(f"run {before.id} cannot go from {before.phase} to {phase}")
    after = replace(before, phase=phase, updated=now, **changes)
    done = to.execute(
        "UPDATE runs SET phase = ?, updated = ?, reserved_at = ?, body = ? WHERE id = ? AND phase = ? AND updated = ?",
        (phase, now, after.reserved_at, _body(after), before.id, before.phase, before.updated),
    )
    if done.rowcount != 1:
        raise IllegalEdge(f"run {before.id} is no longer {before.phase}")
    record(to, now, who, f"run {before.id} {phase}", {"step": after.step, "why": after.reason})
    return after


def record(to: sqlite3.Connection, time: float, who: str, what: str, body: Mapping[str, Any]) -> None:
    """One audit record; its hash covers the one before."""
    seq, before = head(to)
    _record(to, seq + 1, before, time, who, what, body)


def _record(to: sqlite3.Connection, seq: int, before: str, time: float, who: str, what: str, body: Mapping[str, Any]) -> None:
    text = canonical(body)
    to.execute("INSERT INTO audit VALUES (?,?,?,?,?,?)", (seq, time, who, what, text, link(before, seq, time, who, what, text)))


def mark_sealed(to: sqlite3.Connection, seq: int) -> None:
    """So far the audit file is known to reach: what is shorter later was cut."""
    to.execute("INSERT OR REPLACE INTO sealed VALUES (1, ?)", (seq,))


def meet(to: sqlite3.Connection, now: float, who: str, last: Entry | None) -> str:
    """Compare with the last record of the audit file; what is wrong, in words, is recorded too. "" if all is as it should be.

    A file that is behind gets what it lacks afterwards. One that is ahead, or tells something else, goes on from its own end, and
    nothing is done until a person has said that this is known: what was done before is not.
    """
    marked = to.execute("SELECT seq FROM sealed").fetchone() or (0,)
    seq, digest = (last.seq, last.hash) if last is not None else (0, "")
    same = to.execute("SELECT hash FROM audit WHERE seq = ?", (seq,)).fetchone()
    if seq and same != (digest,):
        why = "the audit file knows more than the state, or something else: the state was lost, or put back"
        _record(to, max(seq, head(to)[0]) + 1, digest, now, who, "state lost", {"why": why})
        switch(to, "lost", {"since": now, "why": why}, now, who)
        return why
    if seq < marked[0]:
        why = f"the audit file ended at record {seq}, it reached {marked[0]} before: written again from the state"
        record(to, now, who, "audit mended", {"had": seq, "lacked": marked[0] - seq})
        return why
    return ""


def entries(at: sqlite3.Connection, after: int) -> list[Entry]:
    """The audit records behind that one."""
    rows = at.execute("SELECT seq, time, who, what, body, hash FROM audit WHERE seq > ? ORDER BY seq", (after,))
    return [Entry(*row) for row in rows]


def note(to: sqlite3.Connection, before: Run, now: float, who: str, **changes: Any) -> Run:
    """Something becomes known of a run that stays in its phase. IllegalEdge if it has moved on."""
    after = replace(before, updated=now, **changes)
    done = to.execute(
        "UPDATE runs SET updated = ?, body = ? WHERE id = ? AND phase = ? AND updated = ?",
        (now, _body(after), before.id, before.phase, before.updated),
    )
    if done.rowcount != 1:
        raise IllegalEdge(f"run {before.id} is no longer {before.phase}")
    record(to, now, who, f"run {before.id} noted", {k: list(v) if isinstance(v, tuple) else v for k, v in changes.items()})
    return after


def switch(to: sqlite3.Connection, name: str, value: JsonObject | None, now: float, who: str) -> None:
    """Set or clear something that holds for all playbooks: ``pause``, ``breaker``."""
    if value is None:
        to.execute("DELETE FROM switches WHERE name = ?", (name,))
    else:
        to.execute("INSERT OR REPLACE INTO switches VALUES (?, ?)", (name, json.dumps(value)))
    record(to, now, who, f"{name} {'off' if value is None else 'on'}", value or {})


# ---------------------------------------------------------------------------------------------- reading


def get(at: sqlite3.Connection, number: int) -> Run | None:
    """One run; None where there is none, nor can be."""
    if number.bit_length() > BITS:
        return None
    row = at.execute("SELECT id, phase, updated, body FROM runs WHERE id = ?", (number,)).fetchone()
    return None if row is None else _run(row)


def runs(at: sqlite3.Connection, phases: Iterable[Phase] | None = None, most: int = 1000) -> list[Run]:
    """Runs in these phases (all), newest last."""
    wanted = tuple(phases) if phases is not None else tuple(Phase)
    marks = ",".join("?" * len(wanted))
    rows = at.execute(
        f"SELECT id, phase, updated, body FROM runs WHERE phase IN ({marks}) ORDER BY id DESC LIMIT ?",
        (*wanted, most),
    )
    return [_run(row) for row in reversed(rows.fetchall())]


def unclosed(at: sqlite3.Connection, now: float) -> list[Run]:
    """Runs that ended without help, after which neither a rung was climbed nor people called: a crash may have come between.

    Of those that never acted only the higher rungs matter: they were to help where another did not.
    """
    ended = (Phase.FAILED, Phase.ESCALATED, Phase.DENIED, Phase.EXPIRED, Phase.CANCELLED)
    rows = at.execute(
        "SELECT id, phase, updated, body FROM runs WHERE phase IN (?,?,?,?,?) AND updated > ?"
        " AND json_extract(body, '$.closed') IS NOT 1 AND (phase IN (?,?) OR json_extract(body, '$.rung') > 0) ORDER BY id",
        (*ended, now - UNCLOSED_S, Phase.FAILED, Phase.ESCALATED),
    )
    return [_run(row) for row in rows.fetchall()]


def prune(to: sqlite3.Connection, now: float) -> None:
    """Runs that ended long ago go; the audit stays whole."""
    marks = ",".join("?" * len(OVER))
    to.execute(f"DELETE FROM runs WHERE phase IN ({marks}) AND updated < ?", (*sorted(OVER), now - KEEP_S))


def tally(at: sqlite3.Connection, run: Run, now: float) -> Tally:
    """What the guard must know of the past, read in the transaction in which it decides.

    For a dry run what it would have done counts as if it had: it would have taken at least the time that success must last.
    """
    dry = run.mode == "dry-run"
    begun = f"CASE WHEN {int(dry)} AND phase = 'would' THEN updated ELSE reserved_at END"
    mine = at.execute(
        f"SELECT {begun}, phase, updated, json_extract(body, '$.verify_until') FROM runs WHERE grp = ? AND kin = ?"
        f" AND {begun} IS NOT NULL ORDER BY 1",
        (run.group, run.kin),
    ).fetchall()
    over = [(until or updated) if phase == Phase.WOULD else updated for _, phase, updated, until in mine if Phase(phase) in OVER]
    ends = [end for end in over if end <= now or not dry]
    in_incident = at.execute(
        f"SELECT count(*) FROM runs WHERE grp = ? AND incident = ? AND {begun} IS NOT NULL", (run.group, run.incident)
    ).fetchone()[0]
    since = _reset_at(at, now - BREAKER_WINDOW_S)
    counted = f"SELECT count(*) FROM runs WHERE {begun} > ? AND json_extract(body, '$.quiet') IS NOT 1"
    acted = at.execute(counted, (since,)).fetchone()[0]
    failed = at.execute(f"{counted} AND phase IN (?, ?)", (since, Phase.FAILED, Phase.ESCALATED)).fetchone()[0]
    proposed = at.execute(
        "SELECT count(DISTINCT incident) FROM runs WHERE created > ? AND phase != ?", (now - STORM_WINDOW_S, Phase.DENIED)
    ).fetchone()[0]
    running = runs(at, ACTING) + (_would_run(at, now) if dry else [])
    return Tally(tuple(row[0] for row in mine), max(ends, default=None), in_incident, tuple(running), acted, failed, proposed)


def _would_run(at: sqlite3.Connection, now: float) -> list[Run]:
    rows = at.execute(
        "SELECT id, phase, updated, body FROM runs WHERE phase = ? AND json_extract(body, '$.verify_until') > ? ORDER BY id",
        (Phase.WOULD, now),
    )
    return [_run(row) for row in rows.fetchall()]


def switches(at: sqlite3.Connection) -> dict[str, JsonObject]:
    """All that is set."""
    return {name: json.loads(value) for name, value in at.execute("SELECT name, value FROM switches")}


def house(at: sqlite3.Connection, now: float, losses: Iterable[Loss], volatile: str = "") -> House:
    """How the host stands. State that was lost holds everything up until a person said that this is known (switch ``fresh``)."""
    known = switches(at)
    pause, breaker, fresh = known.get("pause"), known.get("breaker"), known.get("fresh")
    lost = [Loss(known["lost"]["since"], known["lost"]["why"])] if "lost" in known else []
    unknown = [loss for loss in (*losses, *lost) if fresh is None or loss.at > fresh["since"]]
    return House(
        paused=pause["why"] if pause is not None and pause["until"] > now else "",
        tripped=breaker["why"] if breaker is not None else "",
        lost_state=unknown[-1].why if unknown else "",
        volatile=volatile,
    )


def _reset_at(at: sqlite3.Connection, since: float) -> float:
    """A breaker that was reset by hand counts anew from then."""
    row = at.execute("SELECT max(time) FROM audit WHERE what = 'breaker off'").fetchone()
    return max(since, row[0] or since)


def audit(at: sqlite3.Connection, most: int = 200) -> list[JsonObject]:
    """The newest records, oldest first."""
    rows = at.execute("SELECT seq, time, who, what, body, hash FROM audit ORDER BY seq DESC LIMIT ?", (most,)).fetchall()
    return [
        {"seq": seq, "time": time, "who": who, "what": what, "body": json.loads(body), "hash": hash_}
        for seq, time, who, what, body, hash_ in reversed(rows)
    ]


def broken_link(at: sqlite3.Connection) -> int | None:
    """The first audit record that does not fit the one before, or is missing; None if the chain is whole."""
    before, expected = "", 1
    for seq, time, who, what, body, hash_ in at.execute("SELECT seq, time, who, what, body, hash FROM audit ORDER BY seq"):
        if what == "state lost":  # begun anew: it is bound to the end of the audit file, which knows the rest
            before, expected = hash_, seq + 1
            continue
        if seq != expected or hash_ != link(before, seq, time, who, what, body):
            return int(expected)
        before, expected = hash_, seq + 1
    return None


def head(at: sqlite3.Connection) -> tuple[int, str]:
    """Number and hash of the last audit record: what a cut tail would change."""
    return at.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone() or (0, "")


def _body(run: Run) -> str:
    plain = asdict(run)
    return json.dumps({k: v for k, v in plain.items() if k not in ("id", "phase", "updated")}, separators=(",", ":"))


def _run(row: tuple[int, str, float, str]) -> Run:
    number, phase, updated, body = row
    known: dict[str, Any] = json.loads(body)
    tree, pairs = known["key"]
    known["key"] = (tree, tuple((k, v) for k, v in pairs))
    known["target"] = Target(**known["target"])
    if known.get("sufferer"):
        known["sufferer"] = Target(**known["sufferer"])
    known["undo"], known["approvals"] = tuple(known["undo"]), tuple(known["approvals"])
    return Run(**known, id=number, phase=Phase(phase), updated=updated)
