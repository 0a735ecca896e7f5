"""What killed the job? Asked after the agent that saw it was killed too."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent import past
from agent.engine import looks
from agent.engine.walk import ProbeKey
from agent.host import procs
from agent.model import Culprit, Evidence
from agent.store.recording import Recording
from tests.acceptance.command import Command
from tests.acceptance.conftest import Start
from tests.fakes.gpusim import Host
from tests.fakes.pasthour import MIB, Leak, record

AGENT = [sys.executable, "-m", "agent"]
LINES = (
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=j,mems_allowed=0,oom_memcg=/j,task_memcg=/j/s,"
    "task=mytrain,pid=4193301,uid=0\n"
    "Memory cgroup out of memory: Killed process 4193301 (mytrain) total-vm:9162kB, anon-rss:6700kB, file-rss:7kB, "
    "shmem-rss:0kB, UID:0\n"
)
PATIENCE_S = 60.0
QUIET = "listen: 127.0.0.1:0\n"
GROWS = """
import time
kept = [b"x" * (200 << 20)]
while True:
    kept.append(b"x" * 34952)
    time.sleep(1.0)
"""
RATE = 2 * MIB / 60


def until(met: Callable[[], bool]) -> None:
    """Wait for something that will be so."""
    end = time.monotonic() + PATIENCE_S
    while not met():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


@pytest.mark.real
def test_an_oom_kill_is_named_after_the_agent_was_killed_and_again_after_it_came_back(tmp_path: Path) -> None:
    """The recording holds the kernel's words; the next start says that the last one was cut short."""
    log, config = tmp_path / "kernel.log", tmp_path / "config.yaml"
    log.write_text("")
    config.write_text(
        f"state_dir: {tmp_path / 'state'}\nsocket: {tmp_path / 'agent.sock'}\nlisten: 127.0.0.1:0\n"
        f"collectors: {{kernel_log: {{path: {log}}}}}\nkernel_log: {{trust_user_records: true}}\n"
    )
    base = [*AGENT, "--config", str(config)]

    def killed() -> str:
        """Watch until a record is on disk, and die; what was said meanwhile."""
        said, before = tmp_path / "said", recorded()
        with said.open("wb") as out, subprocess.Popen([*base, "run"], stdout=out, stderr=out) as agent:
            until(lambda: "watches this host" in said.read_text())
            log.write_text(LINES)
            for _ in range(2):  # the record under way when the kernel spoke may hold nothing of it
                until(lambda b=before: recorded() != b)
                before = recorded()
            agent.kill()
        return said.read_text()

    def recorded() -> int:
        """Bytes of the recording."""
        return sum(p.stat().st_size for p in (tmp_path / "state" / "recording").rglob("*.rec"))

    def root() -> list[str]:
        """The causes of a moment ago."""
        done = subprocess.run([*base, "diagnose", "--at", "now", "--json"], capture_output=True, text=True, check=False)
        return [
            f"{c['id']} {c['culprits'][0]['name']}" for c in json.loads(done.stdout)["causes"] if c["id"].startswith("memory.oom")
        ]

    killed()
    assert root() == ["memory.oom-killed mytrain"]
    assert "the last recording ends unfinished" in killed()
    assert root() == ["memory.oom-killed mytrain"]


@pytest.mark.real
def test_a_gpu_that_was_lost_is_named_after_the_agent_was_killed(agent: Command, tmp_path: Path) -> None:
    """The node may be up again without its GPU: the recording says which one fell off, and when."""
    host = Host(tmp_path, gpus=2)
    watched = replace(agent, more=host.sim.environment())
    folder = agent.home / "state" / "recording"
    watching = watched.start("run", config=agent.config(f"{QUIET}state_dir: {agent.home}/state\nsocket: {agent.home}/agent.sock\n"))
    try:
        until(lambda: written(folder, "gpu_info"))
        host.break_("lost", 1)
        until(lambda: written(folder, "gpu_lost", 1.0))
    finally:
        watching.kill()
        watching.communicate()
    found = agent("diagnose", "--at", "now", "--json", config=agent.home / "config.yaml").json
    gpus = [c for c in found["causes"] if c["id"].startswith("gpu.")]
    assert gpus[0]["id"] == "gpu.fell-off-bus"
    assert gpus[0]["culprits"][0]["uuid"] == host.uuid(1)


def written(folder: Path, name: str, least: float = 0.0) -> bool:
    """Whether a reading of at least that much is on disk."""
    last = Recording(str(folder)).instant(time.time())
    return any(key[0] == name and value >= least for key, (_, value) in last.items())


# ---------------------------------------------------------------------------------------------- a leak that began an hour ago


def asked(agent: Command, pid: int) -> dict[str, Any]:
    """The diagnosis of a moment ago."""
    found: dict[str, Any] = agent("diagnose", "--at", "now", "--pid", str(pid), "--json", config=agent.home / "config.yaml").json
    return found


def rate_told(diagnosis: dict[str, Any]) -> float:
    """Bytes a second, as the evidence of the root cause says it."""
    says = next(e["says"] for e in diagnosis["causes"][0]["evidence"] if e["check"] == "anon_grows")
    number = re.search(r"= ([\d.]+) KiB/s", says)
    assert number, says
    return float(number[1]) * 1024


@pytest.mark.parametrize("ended", ["SIGTERM", ""], ids=["restarted", "killed"])
def test_a_leak_of_an_hour_is_named_with_its_rate_across_the_end_of_the_agent(agent: Command, ended: str) -> None:
    """Neither life saw all of it: the trend is in the files. Nobody looked where it is, so nothing more is claimed."""
    now = time.time()
    folder, leak = agent.home / "state" / "recording", Leak(4193301, now - 3600, RATE)
    record(folder, leak, now - 3600, now - 1200, ended=ended)
    record(folder, leak, now - 1190, now - 2)
    found = asked(agent, leak.pid)
    assert [c["id"] for c in found["causes"]] == ["memory.leak-unlocalised"]
    assert found["causes"][0]["culprits"] == []
    assert rate_told(found) == pytest.approx(RATE, rel=0.1)
    assert any(past.GONE in n["because"] for n in found["not_checked"])


def test_what_memray_saw_before_the_agent_was_killed_names_the_line(agent: Command) -> None:
    """The look is in the recording; the process may be gone."""
    now = time.time()
    folder, leak = agent.home / "state" / "recording", Leak(4193301, now - 3600, RATE)
    saw = Evidence(
        "memray",
        answers={
            "verdict": "leak",
            "leak_share": 0.93,
            "leak_rate": RATE,
            "task_share": 0.0,
            "thread_share": 0.0,
            "open_share": 0.0,
        },
        culprits={"leak_share": (Culprit("code", "remember", file="/srv/app.py", line=42, function="remember", share=0.93),)},
    )
    look = looks.event(ProbeKey("memray", leak.pid, (), ""), saw, now - 400)
    record(folder, leak, now - 3600, now - 300, events=[look])
    record(folder, leak, now - 290, now - 2)
    root = asked(agent, leak.pid)["causes"][0]
    assert (root["id"], root["culprits"][0]["file"], root["culprits"][0]["line"]) == ("memory.python-leak", "/srv/app.py", 42)
    assert "memory.leak-unlocalised" in root["consequences"]


@pytest.mark.real
def test_a_real_leak_is_named_after_the_agent_that_saw_its_end_was_killed(agent: Command, patient: Start) -> None:
    """An hour in the files, its last seconds from the process itself; the agent goes without a word."""
    leaking = patient(sys.executable, "-c", GROWS)
    until(lambda: anonymous(leaking.pid) > 200 * MIB)
    folder, now = agent.home / "state" / "recording", time.time()
    leak = Leak(leaking.pid, now - 3600, RATE, anonymous(leaking.pid) - 3600 * RATE, procs.start_time(leaking.pid))
    record(folder, leak, now - 3600, now - 5)
    before = files(folder)
    watching = agent.start("run", config=agent.config(f"{QUIET}state_dir: {agent.home}/state\nsocket: {agent.home}/agent.sock\n"))
    try:
        until(lambda: files(folder) > before)
    finally:
        watching.kill()
        watching.communicate()
    found = asked(agent, leaking.pid)
    assert found["causes"][0]["id"] == "memory.leak-unlocalised"
    assert found["causes"][0]["target"]["pid"] == leaking.pid
    assert rate_told(found) == pytest.approx(RATE, rel=0.15)


def anonymous(pid: int) -> float:
    """Its anonymous memory in bytes."""
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return float(found[1]) * 1024 if found else 0.0


def files(folder: Path) -> int:
    """Files of a recording."""
    return len([*folder.rglob("*.rec")])
