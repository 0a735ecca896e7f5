"""The daemon as a process of its own: its doors, its signals, its goodbye."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from agent.config import load
from agent.daemon import Daemon
from agent.engine.evaluate import JudgeState
from agent.host import agentsock
from agent.host.lane import aside
from agent.incidents.desk import Desk

TREE = """\
tree: looked
each: [pid]
symptom: {when: "process_resident_bytes > 1000GiB"}
checks:
  - {id: hot, cost: light, probe: pyspy, with: {seconds: 2}, expr: "hot_share > 50%"}
causes:
  looked.hotspot: {title: It computes in one place, require: [hot], support: {hot: 0.8}}
"""
LOADED = """\
tree: loaded
symptom: {when: "host_load1 >= 0", for: 0s, severity: notice}
checks:
  - {id: any, expr: "host_load1 >= 0"}
causes:
  loaded.load: {title: There is a load, support: {any: 0.8}}
"""
BUSY = "while True:\n    sum(i * i for i in range(1000))\n"
SLOWEST_S = 30.0

pytestmark = pytest.mark.real


@dataclass
class Running:
    """One daemon below a folder."""

    folder: Path
    process: subprocess.Popen[str] | None = None
    told: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "rules").mkdir(exist_ok=True)
        self.rule = self.folder / "rules" / "looked.yaml"
        self.rule.write_text(TREE)
        self.socket = str(self.folder / "agent.sock")
        paths = f"rules_dir: {self.folder}/rules\nstate_dir: {self.folder}/state\nsocket: {self.socket}\n"
        self.config = self.folder / "config.yaml"
        self.config.write_text(f"{paths}listen: 127.0.0.1:0\n")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(self.folder / "notify.sock"))
        self.manager.settimeout(SLOWEST_S)

    def start(self) -> subprocess.Popen[str]:
        """Start one, as a service manager does; it may refuse."""
        env = os.environ | {"NOTIFY_SOCKET": str(self.folder / "notify.sock"), "WATCHDOG_USEC": "3000000"}
        return subprocess.Popen(
            [sys.executable, "-m", "agent", "--config", str(self.config), "run"],
            env={key: value for key, value in env.items() if key != "JOURNAL_STREAM"},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def up(self) -> Running:
        """Start one and wait until it says that it is ready."""
        self.process = self.start()
        self.hear("READY=1")
        return self

    def hear(self, word: str) -> str:
        """What the service manager is told, up to this word."""
        while word.encode() not in (message := self.manager.recv(4096)):
            self.told.append(message)
        return message.decode()

    def status(self) -> dict[str, Any]:
        """``anfl.status/1``."""
        return agentsock.get(self.socket, "/v1/status")

    def page(self, accept: str = "") -> str:
        """/metrics."""
        request = urllib.request.Request(self.status()["metrics"], headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=SLOWEST_S) as answer:
            return str(answer.read().decode())

    def down(self) -> tuple[int, str, float]:
        """End it as a service manager does: exit code, log, seconds it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=SLOWEST_S)
        return self.process.returncode, log, time.monotonic() - began

    def close(self) -> None:
        """Whatever is left of it."""
        self.manager.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Running]:
    """A daemon, not yet started."""
    made = Running(tmp_path)
    yield made
    made.close()


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that computes."""
    made = subprocess.Popen([sys.executable, "-c", BUSY])
    yield made
    made.kill()
    made.wait()


def test_its_page_its_status_and_its_answers(agent: Running, busy: subprocess.Popen[bytes]) -> None:
    """Prometheus can read the page in both formats; a diagnosis tells its progress; the goodbye is clean."""
    agent.up()
    time.sleep(2.5)
    families = {family.name: family for family in plain(agent.page())}
    assert {"anfl_host_load1", "anfl_process_resident_bytes", "anfl_agent_collector_up"} <= set(families)
    strict = {family.name for family in openmetrics(agent.page("application/openmetrics-text"))}
    assert "anfl_host_load1" in strict
    assert all(sample.value == 1.0 for sample in families["anfl_agent_collector_up"].samples)

    status = agent.status()
    assert (status["schema"], status["rules"]["trees"], status["broken_plugins"]) == ("anfl.status/1", 1, [])
    assert agent.process is not None
    assert status["pid"] == agent.process.pid
    assert status["recorder"]["on"]

    lines = list(agentsock.stream(agent.socket, "/v1/diagnose", {"pid": busy.pid, "for_s": 2}))
    assert any("sampling" in line["progress"] for line in lines[:-1])
    assert any("pyspy" in line["progress"] for line in lines[:-1])
    found = lines[-1]["diagnosis"]
    assert (found["source"], [cause["id"] for cause in found["causes"]]) == ("daemon", ["looked.hotspot"])
    assert found["causes"][0]["artifacts"]
    assert agent.status()["diagnoses"] == [found]
    agent.hear("WATCHDOG=1")

    code, log, took = agent.down()
    assert (code, took < 5.0) == (0, True), log
    assert "Traceback" not in log
    said = [line for line in log.splitlines() if "not on this host" not in line]
    assert [line.split(None, 3)[2] for line in said] == ["INFO", "WARNING", "INFO"], log
    assert not os.path.exists(agent.socket)


def test_wrong_rules_do_not_replace_good_ones(agent: Running) -> None:
    """SIGHUP reads them again; a mistake is told with its place and the old rules stay."""
    agent.up()
    assert agent.process is not None
    agent.rule.write_text(TREE.replace("hot_share", "hot_shar"))
    agent.process.send_signal(signal.SIGHUP)
    assert "RELOADING=1" in agent.hear("RELOADING=1")
    agent.hear("READY=1")
    assert agent.status()["rules"] == {"trees": 1, "causes": 1, "last_reload_ok": False}
    more = "causes:\n  looked.other: {title: Another, require: [hot], support: {hot: 0.8}}"
    agent.rule.write_text(TREE.replace("causes:", more))
    agent.process.send_signal(signal.SIGHUP)
    agent.hear("READY=1")
    assert agent.status()["rules"] == {"trees": 1, "causes": 2, "last_reload_ok": True}
    code, log, _ = agent.down()
    assert code == 0
    told = [line for line in log.splitlines() if "not reloaded" in line]
    assert len(told) == 1
    assert f"{agent.rule}:5:" in told[0]
    assert "did you mean 'hot_share'?" in told[0]


def test_receivers_and_routes_are_taken_over_and_mistakes_are_not(agent: Running) -> None:
    """SIGHUP reads the configuration, too: what waits for a restart is said, a mistake changes nothing."""

    def receivers() -> list[tuple[str, str]]:
        return [(r["name"], r["type"]) for r in agentsock.get(agent.socket, "/v1/alerts")["receivers"]]

    def reloaded(more: str) -> bool:
        assert agent.process is not None
        agent.config.write_text(before + more)
        agent.process.send_signal(signal.SIGHUP)
        agent.hear("RELOADING=1")
        agent.hear("READY=1")
        return bool(agent.status()["rules"]["last_reload_ok"])

    agent.up()
    before = agent.config.read_text()
    assert receivers() == [("local", "file")]
    assert reloaded(
        f"receivers: [{{name: diary, path: {agent.folder}/diary.jsonl}}]\nalerts: {{routes: [{{receivers: [diary]}}]}}\n"
    )
    assert receivers() == [("diary", "file")]
    assert not reloaded("receivers: [{name: chat, path: /tmp/x}]\nalerts: {routes: [{receivers: [caht]}]}\n")
    assert receivers() == [("diary", "file")]
    assert reloaded("budget: {judge_every: 7s}\n")
    assert receivers() == [("local", "file")]
    code, log, _ = agent.down()
    assert code == 0
    assert f"receivers and routes were not reloaded, the old ones stay: {agent.config}:6:" in log
    assert "did you mean 'chat'?" in log
    assert "taken over by a restart only: budget" in log


def test_a_second_one_on_the_same_socket_is_refused_and_the_first_lives_on(agent: Running) -> None:
    """One clear message; no traceback."""
    agent.up()
    second = agent.start()
    _, log = second.communicate(timeout=SLOWEST_S)
    assert second.returncode == 1
    assert f"another agent answers on {agent.socket}" in log
    assert "Traceback" not in log
    assert agent.status()["uptime_s"] > 0
    agent.down()


def test_it_goes_within_five_seconds_even_in_the_middle_of_a_look(agent: Running, busy: subprocess.Popen[bytes]) -> None:
    """Whoever waits for the answer learns that it will not come; the process looked at lives on."""
    agent.rule.write_text(TREE.replace("seconds: 2", "seconds: 20"))
    agent.up()
    lines = agentsock.stream(agent.socket, "/v1/diagnose", {"pid": busy.pid, "for_s": 1})
    for line in lines:
        if "pyspy" in line["progress"]:
            break
    time.sleep(1.0)
    code, log, took = agent.down()
    assert (code, took < 5.0) == (0, True), log
    assert "Traceback" not in log
    assert list(lines)[-1]["error"]["message"] == "the agent was stopped"
    assert busy.poll() is None
    assert "\nState:\tT" not in Path(f"/proc/{busy.pid}/status").read_text()


def test_killed_it_leaves_a_socket_that_the_next_one_replaces(agent: Running) -> None:
    """Nobody has to clean up after a crash."""
    agent.up()
    assert agent.process is not None
    agent.process.kill()
    agent.process.communicate()
    assert os.path.exists(agent.socket)
    agent.up()
    assert agent.status()["uptime_s"] >= 0
    assert agent.down()[0] == 0


def test_an_incident_outlives_a_kill(agent: Running) -> None:
    """The next agent goes on with it, under its number, and tells nothing twice; its tree taken away, it ends."""

    def incidents(wanted: int) -> list[Any]:
        until = time.monotonic() + SLOWEST_S
        while time.monotonic() < until:
            found = agentsock.get(agent.socket, "/v1/incidents?closed_after=0")["incidents"]
            if sum(i["closed"] is None for i in found) == wanted and found:
                return list(found)
            time.sleep(0.2)
        raise AssertionError("no such incidents in time")

    second = agent.folder / "rules" / "loaded.yaml"
    second.write_text(LOADED)
    agent.config.write_text(agent.config.read_text() + "budget: {judge_every: 1s}\n")
    agent.up()
    [before] = incidents(1)
    assert agent.process is not None
    agent.process.kill()
    agent.process.communicate()
    agent.up()
    [after] = incidents(1)
    assert (after["id"], after["opened"], after["episode"]) == (1, before["opened"], 1)
    second.unlink()
    agent.process.send_signal(signal.SIGHUP)
    [over] = incidents(0)
    assert over["ending"] == "gone"
    assert [e["what"] for e in agentsock.get(agent.socket, "/v1/incident?id=1")["timeline"]].count("opened") == 1
    agent.down()


def test_nobody_is_answered_before_what_was_kept_is_read(agent: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """An acknowledgement that came in between was said to be kept, and was lost."""
    opened, asked = Desk.open, list[asyncio.Future[Any]]()

    async def slow(self: Desk) -> JudgeState:
        asked.append(asyncio.ensure_future(aside(lambda: agentsock.get(agent.socket, "/v1/status"))))
        asked[0].add_done_callback(lambda _: os.kill(os.getpid(), signal.SIGTERM))
        await asyncio.sleep(0.5)
        assert not asked[0].done()
        return await opened(self)

    async def main() -> Any:
        await daemon.run()
        return await asked[0]

    monkeypatch.setattr(Desk, "open", slow)
    daemon = Daemon(load(str(agent.config), {}))
    assert asyncio.run(main())["schema"] == "anfl.status/1"
