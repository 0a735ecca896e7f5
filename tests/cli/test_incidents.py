"""``anfl-agent incidents``: asks the agent, or reads its state file where none runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.engine.incident import Entry
from agent.host import agentsock
from agent.incidents import answers, tables
from agent.incidents.tables import Batch
from tests.cli.conftest import Call
from tests.fakes.incident import INCIDENT, LEAK, OLD


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The configuration of an agent that is gone and left its state."""
    db = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    for statement in (s for step in tables.ROOM.steps for s in step):
        db.execute(statement)
    tables.save(db, Batch(1, (LEAK, OLD), (), (Entry(3, 100.0, "opened"),)))
    db.close()
    config = tmp_path / "config.yaml"
    config.write_text(f"state_dir: {tmp_path}\nsocket: {tmp_path}/agent.sock\n")
    return config


def test_without_an_agent_its_state_file_is_read(call: Call, left: Path) -> None:
    """And that is said beside the answer."""
    done = call("--config", str(left), "incidents", "list")
    assert (done.code, done.out[:2]) == (1, "#3")
    assert "read from" in done.err
    assert call("--config", str(left), "incidents", "show", "3").code == 1
    assert call("--config", str(left), "incidents", "show", "1").code == 0


def test_json_is_alone_on_stdout(call: Call, left: Path) -> None:
    """Also for what is closed, and for an error."""
    done = call("--config", str(left), "incidents", "list", "--all", "--json")
    assert [i["id"] for i in json.loads(done.out)["incidents"]] == [3, 1]
    assert json.loads(call("--config", str(left), "incidents", "show", "3", "--json").out)["schema"] == "anfl.incident/1"
    wrong = call("--config", str(left), "incidents", "show", "99", "--json")
    assert (wrong.code, json.loads(wrong.out)["schema"]) == (2, "anfl.error/1")


def test_without_agent_and_state_there_is_nothing_to_say(call: Call, tmp_path: Path) -> None:
    """Exit 3: it is not known whether something is wrong."""
    config = tmp_path / "config.yaml"
    config.write_text(f"state_dir: {tmp_path}/none\nsocket: {tmp_path}/agent.sock\n")
    done = call("--config", str(config), "incidents", "list")
    assert done.code == 3
    assert "no agent runs here" in done.err


def test_only_the_agent_takes_words(call: Call, left: Path) -> None:
    """The file of an agent that is gone is never written."""
    done = call("--config", str(left), "incidents", "ack", "3")
    assert done.code == 3
    assert "no agent runs here" in done.err


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["ack", "3", "-m", "on it"], {"id": 3, "verb": "ack", "text": "on it"}),
        (["comment", "3", "hm"], {"id": 3, "verb": "comment", "text": "hm"}),
        (["assign", "3", "bob"], {"id": 3, "verb": "assign", "text": "bob"}),
        (["assign", "3"], {"id": 3, "verb": "assign", "text": ""}),
        (["close", "3"], {"id": 3, "verb": "close", "text": ""}),
    ],
)
def test_words_go_to_the_agent(call: Call, monkeypatch: pytest.MonkeyPatch, words: list[str], body: dict[str, Any]) -> None:
    """As they were typed."""
    asked: list[Any] = []

    def ask(path: str, method: str, route: str, told: Any, timeout: float) -> Iterator[dict[str, Any]]:
        asked.append((method, route, told))
        yield {"schema": "anfl.incident-word/1", **answers.summary(INCIDENT)}

    monkeypatch.setattr(agentsock, "ask", ask)
    done = call("incidents", *words)
    assert (done.code, done.out) == (0, "#3 diagnosed: Objects pile up\n")
    assert asked == [("POST", "/v1/incident", body)]
