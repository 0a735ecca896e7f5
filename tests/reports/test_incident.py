"""Incidents as text: the worst first, nothing from outside reaches the terminal raw."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from agent.engine.incident import Entry, Incident
from agent.incidents import answers, tables
from agent.incidents.tables import Batch
from agent.reports.incident import duration, listing, page
from tests.fakes.incident import HOSTILE, LEAK, OLD, SLOW

NOW = 4000.0


def told(incident: Incident, *entries: Entry) -> Any:
    """``anfl.incident/1`` of it."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    for statement in (s for step in tables.ROOM.steps for s in step):
        db.execute(statement)
    tables.save(db, Batch(1, (incident,), (), entries))
    return answers.one(db, incident.id)


def test_the_worst_that_is_open_comes_first() -> None:
    """One line each; what is over comes last."""
    lines = listing([answers.summary(i) for i in (OLD, SLOW, LEAK)], NOW).split("\n")
    assert [line[:3] for line in lines] == ["#3 ", "#9 ", "#1 "]
    assert "critical  diagnosed     1 h 5 min" in lines[0]
    assert lines[0].endswith("seen by ada")
    assert lines[1].endswith("came 3 times")
    assert "50 min ago" in lines[2]
    assert listing([], NOW) == "no open incidents"


def test_a_page_has_all_of_it() -> None:
    """Cause, evidence, who suffers and what happened."""
    text = page(told(LEAK, Entry(3, 100.0, "opened"), Entry(3, 150.0, "acknowledged", "on it", "ada")), NOW)
    for words in (
        "#3 CRITICAL · diagnosed · opened 1970-01-01T00:01:40.000Z, 1 h 5 min ago",
        "ROOT CAUSE  memory.python-leak",
        "/nowhere/app.py:42 in remember",
        "Evidence  3 MiB/s",
        "GPU GPU-1 · user ada",
        "and 2 more",
        "1970-01-01 00:02:30  acknowledged [ada]: on it",
    ):
        assert words in text


def test_nothing_hostile_reaches_the_terminal() -> None:
    """Names and comments come from outside."""
    text = page(told(LEAK, Entry(3, 1.0, "comment", HOSTILE, HOSTILE)), NOW) + listing([answers.summary(LEAK)], NOW)
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_long_timeline_is_cut_at_its_beginning() -> None:
    """And says so."""
    text = page(told(LEAK, *(Entry(3, float(n), "back") for n in range(50))), NOW)
    assert "20 earlier lines" in text
    assert text.count("back") == 30


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (40, "40 s"), (720, "12 min"), (12000, "3 h 20 min"), (187200, "2 d 4 h")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    """Two figures at most."""
    assert duration(seconds) == text
