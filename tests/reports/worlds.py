"""A host's past for reports: a state file with incidents, runs and messages, and a recording."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.alerts import tables as alert_tables
from agent.engine.incident import Entry, Incident
from agent.engine.trees import RuleSet
from agent.incidents import tables as incident_tables
from agent.incidents.tables import Batch
from agent.model import Event, JsonObject, Kind, Labels, Metric, Sample, Series, Target, labels
from agent.remedy import tables as remedy_tables
from agent.remedy.model import Phase, Run
from agent.reports.case import Sources
from agent.store.recorder import Recorder
from agent.store.recording import Recording
from agent.store.ring import Ring
from tests.fakes.incident import CAUSE, COMPLAINT, HOSTILE, INCIDENT

START = 1_700_000_000.0
ONSET, OPENED, CLOSED = START + 600, START + 610, START + 900
SECRET = "hunter2hunter2"
LEAK: JsonObject = {
    **CAUSE,
    "title": "Memory grows from one place <script>alert(1)</script>",
    "evidence": [
        {"check": "anon_grows", "answer": "true", "says": f"grows with --password {SECRET}", "source": "memray", "took_s": 1.0},
        {"check": "one_site", "answer": "unknown", "says": "not looked", "source": "", "took_s": 0.0},
    ],
    "artifacts": [{"kind": "flamegraph", "path": "/nowhere/flame.svg"}],
    "sop": ["memory cleanup"],
    "playbook": "recycle-worker",
}
CASE: Incident = replace(
    INCIDENT,
    opened=OPENED,
    since=ONSET,
    updated=CLOSED,
    closed=CLOSED,
    phase="closed",
    ending="resolved",
    title=f"Memory grows {HOSTILE}",
    complaints=(replace(COMPLAINT, onset=ONSET, fired=OPENED, text="process_anonymous_bytes grows", over=CLOSED),),
    causes=(LEAK,),
    possible=({"id": "memory.native-leak", "confidence": {"lo": 0.1, "hi": 0.6}, "missing": ["x"], "try": "look closer"},),
    ruled_out=({"id": "memory.fd-leak", "because": "no"}, {"id": "memory.thread-leak", "because": "no"}),
    not_checked=({"id": "memory.native", "because": "gdb is missing", "try": "apt-get install gdb"},),
    acknowledged="ada",
    acknowledged_at=OPENED + 30,
)
RUN = Run(
    id=0, playbook="recycle-worker", digest="d", group="g", incident=3, cause="memory.python-leak", key=("memory", labels(pid=7)),
    target=Target("process", "trainer", 7), mode="auto", phase=Phase.PROPOSED, created=OPENED + 5, updated=OPENED + 5,
    expires=CLOSED,
)  # fmt: skip
METRICS = {
    m.name: m
    for m in (
        Metric("process_anonymous_bytes", Kind.GAUGE, "bytes", "", ("pid",)),
        Metric("host_cpu_busy_seconds_total", Kind.COUNTER, "seconds", ""),
    )
}


def state(*incidents: Incident, run: bool = True, message: bool = True) -> sqlite3.Connection:
    """A state file in memory; the first incident was acknowledged, a playbook was refused for it, a message did not arrive."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    fill(db, incidents, run=run, message=message)
    return db


def fill(db: sqlite3.Connection, incidents: Iterable[Incident], *, run: bool = True, message: bool = True) -> None:
    """The same for a file."""
    for room in (incident_tables.ROOM, remedy_tables.ROOM, alert_tables.ROOM):
        for statement in (s for step in room.steps for s in step):
            db.execute(statement)
    entries = (
        Entry(3, OPENED, "opened"),
        Entry(3, OPENED + 20, "diagnosed", "it leaks"),
        Entry(3, OPENED + 30, "acknowledged", "on it", "ada"),
    )
    incident_tables.save(db, Batch(1, tuple(incidents), (), entries))
    if run:
        made = remedy_tables.insert(db, RUN, "agent")
        remedy_tables.move(db, made, Phase.DENIED, OPENED + 6, "guard", reason="the allow list is empty")
    if message:
        payload = json.dumps({"title": "it leaks", "alerts": [{"incident": "3"}]})
        row = ("e1", "pager", "g", "pending", OPENED + 21, OPENED + 30, 2, None, 0, "connection refused", None, payload, "[]")
        db.execute("INSERT INTO alert_outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def record(folder: Path, rows: Iterable[tuple[float, dict[tuple[str, Labels], float]]], events: Iterable[Event] = ()) -> Recording:
    """A recording of these readings."""
    ring, handles = Ring(keep=1e9), dict[tuple[str, Labels], Series]()
    recorder, waiting = Recorder(str(folder), ring, {"host": "n1"}), sorted(events, key=lambda e: e.time)
    written = 0.0
    for time, row in rows:
        due = [e for e in waiting if e.time <= time]
        waiting = waiting[len(due) :]
        ring.add(time, [*due, *(Sample(handles.setdefault(k, Series(*k)), v) for k, v in row.items())])
        if time - written >= 240.0:  # a recorder takes what is younger than 5 min
            recorder.write(recorder.gather(time))
            written = time
    recorder.write(recorder.gather(ring.now))
    recorder.close("test")
    return Recording(str(folder))


def course(seconds: int, step: float, of: Callable[[float], dict[tuple[str, Labels], float]]) -> Iterable[tuple[float, Any]]:
    """Readings from :data:`START` on; ``of`` gets the seconds since then."""
    return ((START + t * step, of(t * step)) for t in range(int(seconds / step) + 1))


def sources(recording: Recording, rules: RuleSet | None = None) -> Sources:
    """Where a report takes its facts from."""
    return Sources(recording, rules or RuleSet(), METRICS, "n1", "/var/lib/x/state.db")
