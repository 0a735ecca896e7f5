"""``anfl-agent report``: from the files an agent left, in the form that was asked for."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

import pytest

from agent.model import labels
from tests.cli.conftest import Call, Done
from tests.reports.worlds import CASE, START, course, fill, record


@pytest.fixture
def left(call: Call, tmp_path: Path) -> Call:
    """Calls with the configuration of an agent that is gone and left state and recording."""
    db = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    fill(db, (CASE,))
    db.close()
    record(tmp_path / "recording", course(1200, 10, lambda t: {("host_load1", labels()): t}))
    config = tmp_path / "config.yaml"
    config.write_text(f"state_dir: {tmp_path}\nsocket: {tmp_path}/agent.sock\n")

    def run(*args: str) -> Done:
        return call("--config", str(config), "report", *args)

    return run


def test_a_report_is_markdown_unless_the_file_says_otherwise(left: Call, tmp_path: Path) -> None:
    """The form goes by --format, then by the file's name."""
    assert left("incident", "3", "-q").out.startswith("# Incident 3: Memory grows")
    for name, begins in (("a.html", "<!DOCTYPE html>"), ("a.json", "{"), ("a.txt", "# Incident")):
        done = left("incident", "3", "-q", "-o", str(tmp_path / name))
        assert (done.code, done.out) == (0, "")
        assert (tmp_path / name).read_text("utf-8").startswith(begins)
    assert not [*tmp_path.glob("*.part")]


def test_json_is_alone_on_stdout(left: Call) -> None:
    """Also for an error."""
    assert json.loads(left("incident", "3", "--json").out)["schema"] == "anfl.report-incident/1"
    assert json.loads(left("day", "--until", str_of(START + 1200), "--json").out)["schema"] == "anfl.report-period/1"
    wrong = left("incident", "99", "--json")
    assert (wrong.code, json.loads(wrong.out)["schema"]) == (2, "anfl.error/1")
    assert left("incident", "3", "--json", "--format", "md").code == 2


def str_of(moment: float) -> str:
    """A moment as the command line takes it."""
    from agent.engine.report import when

    return when(moment)


def test_a_recording_from_elsewhere_needs_no_state_file(left: Call, tmp_path: Path) -> None:
    """Its host is named."""
    (tmp_path / "state.db").unlink()
    done = left("week", "-q", "--until", str_of(START + 1200), "--recording", str(tmp_path / "recording"))
    assert (done.code, done.out[:17]) == (0, "# One week on n1\n")
    assert left("week", "-q").code == 3


def test_a_file_that_cannot_be_written_is_said(left: Call, tmp_path: Path) -> None:
    """One message, no half of a file."""
    done = left("incident", "3", "-q", "-o", str(tmp_path / "none" / "a.md"))
    assert done.code == 1
    assert "cannot write" in done.err


def test_markdown_needs_no_plotting_library(left: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is imported for a page with charts alone."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert left("incident", "3", "-q").code == 0
