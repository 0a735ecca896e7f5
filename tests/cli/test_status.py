"""``anfl-agent status``: the running agent in a few lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.host import agentsock
from tests.cli.conftest import Call

HOSTILE = "no such\x1b[2J device\u202e"


def status(**more: Any) -> dict[str, Any]:
    """``anfl.status/1`` of an agent that is well."""
    return {
        "schema": "anfl.status/1",
        "agent_version": "0.1.0",
        "pid": 7,
        "uptime_s": 600.0,
        "metrics": "http://127.0.0.1:9477/metrics",
        "rules": {"trees": 5, "causes": 30, "last_reload_ok": True},
        "collectors": [{"name": "cpu", "state": "up", "why": "", "seconds": 0.001}],
        "broken_plugins": [],
        "history": {"series": 1500, "bytes": 7 << 20, "now": "2026-01-01T00:00:00Z"},
        "cost": {"cpu_seconds": 6.0, "peak_bytes": 50 << 20, "over_budget": False},
        "symptoms": [],
        "diagnoses": [],
    } | more


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the agent answers."""
    answer = status()
    monkeypatch.setattr(agentsock, "get", lambda path, route: answer)
    return answer


def test_an_agent_that_is_well_takes_a_few_lines(call: Call, told: dict[str, Any]) -> None:
    """Its address, its cost, its rules, its sources."""
    done = call("status")
    assert done.code == 0
    assert "up 10 min · http://127.0.0.1:9477/metrics" in done.out
    assert "0.60 CPU s/min · peak 50 MiB · 1500 series in 7.0 MiB" in done.out
    assert "sources   1 up\n" in done.out
    assert "symptoms  none" in done.out


def test_what_fires_and_what_is_down_is_shown_and_told_by_the_exit_code(call: Call, told: dict[str, Any]) -> None:
    """Text of others is cleaned."""
    told["symptoms"] = [{"tree": "memory", "labels": {"pid": "3"}, "phase": "firing", "since": "2026-01-01T00:00:00Z"}]
    told["collectors"] += [{"name": "disk", "state": "down", "why": HOSTILE, "seconds": 0.0}]
    told["broken_plugins"] = [{"name": "gpu", "why": "ImportError: x"}]
    told["rules"]["last_reload_ok"] = False
    told["diagnoses"] = [{"started_at": "2026-01-01T00:00:00Z", "verdict": "warning", "causes": [{"id": "memory.python-leak"}]}]
    done = call("status")
    assert done.code == 1
    assert "memory pid=3 firing since" in done.out
    assert "disk down: no such" in done.out
    assert "broken    gpu: ImportError: x" in done.out
    assert "the last reload failed" in done.out
    assert "warning  memory.python-leak" in done.out
    assert not {"\x1b", "\u202e"} & set(done.out)


def test_gpus_take_one_line_and_only_those_in_trouble_are_named(call: Call, told: dict[str, Any]) -> None:
    """On a host without GPUs there is none."""
    assert "nvml" not in call("status").out
    gpus = [{"gpu": str(n), "uuid": f"GPU-{n}", "state": "lost" if n == 3 else "ok"} for n in range(8)]
    told["nvml"] = {"status": "up", "why": HOSTILE, "mismatch": True, "driver": "580.95.05", "gpus": gpus}
    out = call("status").out
    assert "nvml      up · 8 GPUs · driver 580.95.05 · another library on disk" in out
    assert "GPU 3 lost" in out
    assert "GPU 2" not in out
    assert not {"\x1b", "\u202e"} & set(out)


def test_json_is_the_agents_own_answer(call: Call, told: dict[str, Any]) -> None:
    """Nothing added, nothing left out."""
    assert json.loads(call("status", "--json").out) == told


def test_no_agent_to_ask_is_no_verdict(call: Call) -> None:
    """Exit 3, with the way to start one."""
    done = call("status")
    assert (done.code, "no agent runs here" in done.err, "anfl-agent run" in done.err) == (3, True, True)


def test_state_in_memory_and_what_was_lost_are_told(call: Call, told: dict[str, Any]) -> None:
    """A state that is well and a host without incidents take no line."""
    well = {"path": "/x/state.db", "kept_in": "file", "trouble": None, "bytes": 4096, "losses": []}
    told |= {"state": well, "incidents": {"open": 0, "unacknowledged": 0, "critical": 0, "warning": 0, "notice": 0}}
    assert "state " not in call("status").out
    assert "incidents" not in call("status").out
    lost = {"at": 0.0, "why": f"the state file was damaged {HOSTILE}", "kept": "/x/state.db.corrupt-1"}
    told |= {"state": {**well, "kept_in": "memory", "trouble": "disk full", "losses": [lost]}}
    told |= {"incidents": {"open": 3, "unacknowledged": 2, "critical": 1, "warning": 2, "notice": 0}}
    out = call("status").out
    assert "state     in memory only, a kill loses it: disk full" in out
    assert "state     lost 1970-01-01T00:00:00.000Z: the state file was damaged" in out
    assert "what is left: /x/state.db.corrupt-1" in out
    assert "incidents 3 open: 1 critical, 2 warning, 2 nobody has acknowledged" in out
    assert "\x1b[2J" not in out


def test_receivers_that_get_nothing_are_told_with_the_reason(call: Call, told: dict[str, Any]) -> None:
    """The others are counted."""
    known = {"name": "chat", "state": "ok", "why": "", "last_delivery": None}
    told["alerts"] = {
        "open": 1,
        "waiting": 2,
        "parked": 1,
        "receivers": [known, {**known, "name": "hook", "state": "parked", "why": "401"}],
    }
    assert "alerts    1 receivers ok · 2 messages wait · hook parked: 401\n" in call("status").out


def test_a_recorder_that_records_nothing_is_told_with_the_mend(call: Call, told: dict[str, Any]) -> None:
    """One that works is not worth a line; one that is off is said to be so."""
    told["recorder"] = {"on": True, "path": "/r", "trouble": None, "last": "2026-01-01T00:00:00Z", "bytes": 7.0}
    assert "recorder" not in call("status").out
    told["recorder"]["trouble"] = f"recording /r: {HOSTILE}"
    out = call("status").out
    assert "recorder  nothing is recorded since 2026-01-01T00:00:00Z: recording /r: no such" in out
    assert "make room" in out
    assert not {"\x1b", "\u202e"} & set(out)
    told["recorder"]["last"] = None
    assert "nothing is recorded since the start" in call("status").out
    told["recorder"] = {"on": False}
    assert "recorder  off:" in call("status").out
