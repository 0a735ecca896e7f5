"""``anfl-agent diagnose``: whom it asks, and how the answer is handed on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import app
from agent.cli import diagnose
from agent.errors import Refused
from agent.host import agentsock
from tests.cli.conftest import Call

FOUND: dict[str, Any] = {
    "schema": "anfl.diagnosis/1",
    "agent_version": "0.1.0",
    "host": "n1",
    "took_s": 3.0,
    "source": "daemon",
    "verdict": "ok",
    "causes": [],
    "elsewhere": [],
    "possible": [],
    "ruled_out": [],
    "not_checked": [],
    "cost": {"probes": []},
}


class Agent:
    """What is there to ask: a running agent, or one that samples here; both remember what they were asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs = True
        self.lines: list[dict[str, Any]] = [{"progress": "sampling 0 of 15 s"}, {"diagnosis": FOUND}]
        self.asked: list[dict[str, Any]] = []
        self.burst: list[app.Request] = []
        monkeypatch.setattr(agentsock, "reach", self._reach)
        monkeypatch.setattr(agentsock, "stream", self._stream)
        monkeypatch.setattr(app, "build", lambda config, *, burst: self)

    def _reach(self, path: str) -> None:
        if not self.runs:
            raise agentsock.Unavailable("the agent is gone and left its socket behind", where=path)

    def _stream(self, path: str, route: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.asked.append(body)
        yield from self.lines

    async def diagnose(self, request: app.Request, progress: object) -> dict[str, Any]:
        self.burst.append(request)
        return FOUND | {"source": "burst"}

    def close(self) -> None:
        return


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    """One that runs."""
    return Agent(monkeypatch)


def test_the_running_agent_is_asked_first(call: Call, agent: Agent) -> None:
    """With all that was typed; its progress goes to stderr."""
    done = call("diagnose", "memory", "--pid", "7", "--for", "1m", "--deep")
    assert (done.code, "from daemon" in done.out) == (0, True)
    assert done.err == "… sampling 0 of 15 s\n"
    [asked] = agent.asked
    assert {key: asked[key] for key in ("trees", "pid", "for_s", "deep", "gentle")} == {
        "trees": ["memory"],
        "pid": 7,
        "for_s": 60.0,
        "deep": True,
        "gentle": False,
    }
    assert not agent.burst


@pytest.mark.parametrize("options", [["--local"], []])
def test_else_it_samples_here(call: Call, agent: Agent, options: list[str]) -> None:
    """On request, or where none can be asked."""
    agent.runs = bool(options)
    done = call("diagnose", "memory", "--pid", "7", *options)
    assert "from burst" in done.out
    assert agent.burst == [app.Request(trees=("memory",), pid=7)]
    assert not agent.asked


def test_a_socket_that_leads_nowhere_is_mentioned(call: Call, agent: Agent, tmp_path: Path) -> None:
    """Where there is none at all, nothing is said."""
    agent.runs = False
    config = tmp_path / "config.yaml"
    config.write_text(f"socket: {tmp_path}/agent.sock\n")
    assert call("--config", str(config), "diagnose").err == ""
    (tmp_path / "agent.sock").write_text("")
    assert "left its socket behind" in call("--config", str(config), "diagnose").err
    assert call("--config", str(config), "diagnose", "--json").err == ""


def test_what_the_agent_may_not_tell_this_user_is_looked_at_here(
    call: Call, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as this user's own rights go."""
    config = tmp_path / "config.yaml"
    config.write_text(f"socket: {tmp_path}/agent.sock\n")
    (tmp_path / "agent.sock").write_text("")

    def refuse(path: str, route: str, body: object) -> Iterator[dict[str, Any]]:
        raise Refused("not allowed: the host is everybody's")
        yield

    monkeypatch.setattr(agentsock, "stream", refuse)
    done = call("--config", str(config), "diagnose")
    assert (done.code, "from burst" in done.out) == (0, True)
    assert done.err.startswith("… not allowed: the host is everybody's")


def test_an_error_of_the_agent_is_ours(call: Call, agent: Agent) -> None:
    """With its own exit code; an answer that breaks off is no verdict."""
    agent.lines = [{"error": {"message": "no tree 'x'", "help": "try y", "exit_code": 2}}]
    done = call("diagnose", "x")
    assert (done.code, done.err) == (2, "anfl-agent: no tree 'x'\n  help: try y\n")
    agent.lines = [{"progress": "sampling"}]
    done = call("diagnose", "-q")
    assert (done.code, "ended its answer early" in done.err) == (3, True)


@pytest.mark.parametrize(("verdict", "code", "plugin"), [("ok", 0, 0), ("warning", 1, 1), ("critical", 1, 2), ("unknown", 3, 3)])
def test_the_verdict_is_the_exit_code(call: Call, agent: Agent, verdict: str, code: int, plugin: int) -> None:
    """Ours, and that of monitoring plug-ins; JSON is the diagnosis alone."""
    agent.lines = [{"diagnosis": FOUND | {"verdict": verdict}}]
    assert call("diagnose").code == code
    done = call("diagnose", "--plugin")
    assert (done.code, done.out) == (plugin, f"ANFL {verdict.upper()} - nothing found | took=3.0s\n")
    done = call("diagnose", "--json")
    assert (done.code, json.loads(done.out)["verdict"], done.err) == (code, verdict, "")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--recording", "case"], 2, "--recording needs --at"),
        (["--plugin", "--json"], 3, "ANFL UNKNOWN - --json and --plugin exclude each other"),
        (["--pid", "1", "--gpu", "0"], 2, "name one of --pid"),
    ],
)
def test_options_that_contradict_each_other_are_a_usage_error(
    call: Call, agent: Agent, options: list[str], code: int, words: str
) -> None:
    """None of them is left out silently."""
    done = call("diagnose", *options)
    assert (done.code, words in done.out + done.err) == (code, True)


def test_durations_carry_units() -> None:
    """Plain numbers are seconds."""
    kind = diagnose.Duration()
    assert [kind.convert(text, None, None) for text in ("15s", "5m", "1h30m", "2")] == [15.0, 300.0, 5400.0, 2.0]


def test_what_is_no_number_is_no_pid(call: Call) -> None:
    """Said in words an operator knows."""
    done = call("diagnose", "--pid", "python3")
    assert done.code == 2
    assert "'python3' is not a valid pid" in done.err
