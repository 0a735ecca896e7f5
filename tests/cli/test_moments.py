"""Moments from the command line: ``incident 3`` is one, wherever one is asked for."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from agent.cli._moments import BEFORE_S, moment_of
from agent.config import Config
from agent.engine.report import when
from agent.errors import UsageError
from agent.model import labels
from tests.cli.conftest import Call
from tests.reports.worlds import CASE, CLOSED, ONSET, OPENED, START, course, fill, record


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Of an agent that left an incident and a recording."""
    db = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    fill(db, (CASE,))
    db.close()
    record(tmp_path / "recording", course(1200, 5, lambda t: {("host_load1", labels()): t}))
    (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}\nsocket: {tmp_path}/agent.sock\n")
    return Config(state_dir=str(tmp_path))


@pytest.mark.parametrize("said", ["incident 3", "Incident #3", "#3", " incident3 "])
def test_an_incident_is_the_moment_its_cause_was_named(config: Config, said: str) -> None:
    """What led to it is at hand then; where a stretch is asked for it is that of the incident and what came before it."""
    assert moment_of("--at", said, config) == OPENED + 20
    assert moment_of("--since", said, config, "began") == ONSET - BEFORE_S
    assert moment_of("--until", said, config, "ended") == CLOSED


def test_anything_else_is_a_moment_as_people_write_it(config: Config) -> None:
    """What is neither is refused with the option's name and both forms; so is an incident that there is not."""
    assert moment_of("--at", when(START), config) == START
    with pytest.raises(UsageError, match=r"--at: 'soon' is no moment: write 03:12.*, or 'incident 3'"):
        moment_of("--at", "soon", config)
    with pytest.raises(UsageError, match="99"):
        moment_of("--at", "incident 99", config)


def test_a_diagnosis_of_an_incident_says_of_which_moment_it_is(config: Config, call: Call, tmp_path: Path) -> None:
    """A time of day alone could be that of another day."""
    given = ("--config", str(tmp_path / "config.yaml"), "diagnose", "-q", "--at", "incident 3")
    assert "from recording of 2023-11-14 22:23:50 UTC" in call(*given).out
    assert json.loads(call(*given, "--json").out)["source"] == "recording"


def test_the_stretch_of_an_incident_is_exported(config: Config, call: Call, tmp_path: Path) -> None:
    """One word for both ends."""
    given = ("--config", str(tmp_path / "config.yaml"), "record", "export", str(tmp_path / "out.rec"))
    done = call(*given, "--since", "incident 3", "--until", "incident 3")
    assert (done.code, (tmp_path / "out.rec").exists()) == (0, True)
