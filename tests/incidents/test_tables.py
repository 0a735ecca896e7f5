"""Incidents in the state file: kept with what is to be told of them, once, and read back as they were."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from agent.engine.incident import Entry, Incident, IncidentEvent
from agent.incidents import tables
from agent.incidents.tables import Batch
from tests.fakes.incident import INCIDENT


@pytest.fixture
def db() -> sqlite3.Connection:
    """The room's tables, empty."""
    made = sqlite3.connect(":memory:", isolation_level=None)
    for step in tables.ROOM.steps:
        for statement in step:
            made.execute(statement)
    return made


def event(n: int = 1, told: Incident = INCIDENT, time: float = 100.0) -> IncidentEvent:
    """Something that happened to an incident."""
    (made,) = tables.numbered("identity", [IncidentEvent("", told.id, n, "opened", time, told.severity, "it began", told)])
    return made


def test_an_incident_is_read_back_as_it_was(db: sqlite3.Connection) -> None:
    """Nothing of it is lost on the way through the file."""
    tables.save(db, Batch(1, (INCIDENT,), (event(),)))
    assert tables.current(db, 3) == INCIDENT
    (kept,) = tables.events_after(db, 0)
    assert kept == replace(event(), seq=1)


def test_a_batch_is_kept_once(db: sqlite3.Connection) -> None:
    """A second try, after an answer that never came, changes nothing."""
    batch = Batch(1, (INCIDENT,), (event(),), (Entry(3, 100.0, "opened"),))
    assert [tables.save(db, batch), tables.save(db, batch)] == [True, False]
    assert len(tables.timeline(db, 3)) == len(tables.events_after(db, 0)) == 1


def test_events_come_in_the_order_of_their_commits(db: sqlite3.Connection) -> None:
    """A consumer that remembers the last one gets those after it and no other, and none comes back after pruning."""
    for n in (1, 2, 3):
        tables.save(db, Batch(n, (), (event(n),)))
    assert [e.n for e in tables.events_after(db, 1)] == [2, 3]
    tables.prune(db, 100.0 + tables.KEEP_EVENTS_S + 1)
    tables.save(db, Batch(4, (), (event(4, time=1e9),)))
    assert [e.seq for e in tables.events_after(db, 3)] == [tables.last_seq(db)] == [4]


def test_the_id_of_an_event_is_its_own_and_lasts() -> None:
    """The same event has the same id whenever it is made; another has another."""
    assert event() == event()
    ids = {event().id, event(2).id, event(time=101.0).id, event(told=replace(INCIDENT, id=4)).id}
    ids.add(tables.numbered("another", [event()])[0].id)
    assert len(ids) == 5


def test_a_long_timeline_keeps_how_it_began(db: sqlite3.Connection) -> None:
    """A flapping incident does not fill the disk."""
    for n in range(tables.KEEP_ENTRIES + 50):
        tables.save(db, Batch(n + 1, (), (), (Entry(3, float(n), "back", str(n)),)))
    kept = [int(e.text) for e in tables.timeline(db, 3)]
    assert len(kept) == tables.KEEP_ENTRIES
    assert kept[: tables.KEEP_FIRST_ENTRIES] == list(range(tables.KEEP_FIRST_ENTRIES))
    assert kept[-1] == tables.KEEP_ENTRIES + 49


def test_old_incidents_are_forgotten_but_no_number_comes_back(db: sqlite3.Connection) -> None:
    """Closed ones go after their time; open ones and the newest stay."""
    closed = [replace(INCIDENT, id=i, phase="closed", closed=200.0) for i in (1, 2, 4)]
    tables.save(db, Batch(1, (*closed, INCIDENT), (), (Entry(1, 1.0, "opened"), Entry(4, 1.0, "opened"))))
    tables.prune(db, 200.0 + tables.KEEP_CLOSED_S + 1)
    assert [i.id for i in tables.incidents(db, closed_after=0.0)] == [4, 3]
    assert tables.last_id(db) == 4
    assert tables.timeline(db, 1) == []
    assert len(tables.timeline(db, 4)) == 1


def test_only_the_last_diagnoses_are_kept(db: sqlite3.Connection) -> None:
    """Newest first."""
    for n in range(tables.KEEP_DIAGNOSES + 3):
        tables.save(db, Batch(n + 1, diagnoses=((3, float(n), {"n": n}),)))
    assert [d["n"] for d in tables.diagnoses(db, 3)] == [7, 6, 5, 4, 3]


def test_what_an_earlier_agent_wrote_is_read(db: sqlite3.Connection) -> None:
    """A field that it did not know has its default; one that is no longer known is passed over."""
    tables.save(db, Batch(1, (INCIDENT,)))
    db.execute("UPDATE incidents SET body = json_set(json_remove(body, '$.assigned'), '$.formerly', 1)")
    assert tables.current(db, 3) == INCIDENT
