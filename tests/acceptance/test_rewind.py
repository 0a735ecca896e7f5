"""What killed the job? Asked after the agent that saw it was killed too."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

AGENT = [sys.executable, "-m", "agent"]
LINES = (
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=j,mems_allowed=0,oom_memcg=/j,task_memcg=/j/s,"
    "task=mytrain,pid=4193301,uid=0\n"
    "Memory cgroup out of memory: Killed process 4193301 (mytrain) total-vm:9162kB, anon-rss:6700kB, file-rss:7kB, "
    "shmem-rss:0kB, UID:0\n"
)
PATIENCE_S = 60.0


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
            until(lambda: recorded() != before)
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
