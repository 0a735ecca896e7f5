"""A process ends and its number is taken by another: nobody touches the other one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
INSIDE = """
import asyncio, json, os, signal, subprocess, time
from agent.actions import continue_process, cpu_affinity, renice, signal_process, stop_process
from agent.host import procs
from agent.host.clock import SystemClock
from agent.host.reach import Reach, WillNot
from agent.host.run import run
from agent.model import Target

def taken_again():
    first = subprocess.Popen(["sleep", "60"])
    target = Target("process", "sleep", first.pid, procs.start_time(first.pid))
    time.sleep(0.7)  # two that began within half a second of each other count as one
    first.kill()
    first.wait()
    for _ in range(50):
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(first.pid - 1))
        second = subprocess.Popen(["sleep", "60"])
        if second.pid == first.pid:
            return target, second
        second.kill()
        second.wait()
    raise SystemExit("the number was not taken again")

async def main():
    target, second = taken_again()
    reach = Reach(SystemClock(), run, "/nowhere", {})
    refused = []
    for kind in (signal_process, stop_process, continue_process, renice, cpu_affinity):
        action = kind.Action(target, reach, **({"cpus": "0"} if kind is cpu_affinity else {}))
        try:
            await action.check()
            await action.act()
        except WillNot as no:
            refused.append(no.message)
    with open(f"/proc/{second.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    print(json.dumps({"refused": refused, "alive": second.poll() is None, "state": fields[0], "nice": int(fields[16])}))
    second.kill()
    second.wait()

asyncio.run(main())
"""


@pytest.mark.real
def test_whoever_has_the_number_now_is_never_touched(tmp_path: Path) -> None:
    """Five actions on a process that ended, in a pid namespace in which its number went to another one."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a pid namespace")
    script = tmp_path / "inside.py"
    script.write_text(INSIDE)
    words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, str(script)]
    given = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=given)
    if "Operation not permitted" in done.stderr or "Read-only file system" in done.stderr:
        pytest.skip(f"no pid namespace here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["alive"], told["state"], told["nice"]) == (True, "S", 0)
    assert len(told["refused"]) == 5
