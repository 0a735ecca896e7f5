"""Actions and what they are for: the victim's delay, the orphan's end, the node's state. On throw-away targets."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.actions import cgroup_limit, kill_gpu_orphans
from agent.host import procstat, targets
from agent.host.lane import aside
from agent.host.reach import Reach
from agent.model import Target

CPU = Path("/sys/fs/cgroup/cpu")
SPIN = "while True: pass"
ROUNDS = 4
WAKES = """
import time
worst = []
for _ in range(60):
    began = time.monotonic(); time.sleep(0.005); sum(range(20000)); worst.append(time.monotonic() - began - 0.005)
print(sorted(worst)[len(worst) // 2])
"""


@pytest.fixture
def noisy() -> Iterator[Target]:
    """A process that takes the CPU it shares with the victim, in a cgroup of its own."""
    own = CPU / f"anfl-test-{os.getpid()}"
    try:
        own.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup of version 1 for the CPU can be made here: {error.strerror}")
    spinning = subprocess.Popen(["taskset", "-c", "0", sys.executable, "-c", SPIN + "\n"])
    try:
        (own / "cgroup.procs").write_text(str(spinning.pid))
        (own / "cpu.shares").write_text("20480")
        yield targets.process(spinning.pid)
    finally:
        spinning.kill()
        spinning.wait()
        for _ in range(50):
            try:
                own.rmdir()
                break
            except OSError:
                time.sleep(0.02)


def delay() -> float:
    """How long the victim's request takes, the median, in seconds."""
    done = subprocess.run(["taskset", "-c", "0", sys.executable, "-c", WAKES], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.real
@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")
async def test_a_bound_neighbour_gives_the_victim_its_time_back_and_undo_takes_it_again(noisy: Target, reach: Reach) -> None:
    """With the cgroup's own quota; measured at the victim, anew where the machine was too busy with others to tell."""
    action = cgroup_limit.Action(noisy, reach, cpus=0.05)
    await action.check()
    for _ in range(ROUNDS):
        before = await aside(delay, 60.0)
        done = await action.act()
        assert await action.verify(done) is True
        bound = await aside(delay, 60.0)
        await action.undo(done)
        lifted = await aside(delay, 60.0)
        quota = next((CPU / f"anfl-test-{os.getpid()}").glob("cpu.cfs_quota_us"))
        assert await aside(quota.read_text) == "-1\n"
        if bound < before / 2 and bound < lifted / 2:
            return
    pytest.fail(f"the victim waited {before:.4f} s before, {bound:.4f} bound, {lifted:.4f} afterwards")


ORPHAN = """
import os, sys
pid = os.fork()
if pid:
    print(pid, flush=True)
    os._exit(0)
os.setsid()
os.close(1)
import time
time.sleep(60)
"""


HOLDS = "import sys, time; held = open(sys.argv[1]); time.sleep(60)"
LEFT = """
import os, sys, time
device = open(sys.argv[1])
if os.fork():
    time.sleep(0.2)
    os._exit(0)
os.close(1)
time.sleep(60)
"""


@pytest.mark.real
async def test_what_a_dead_holder_left_behind_is_ended_by_its_session_and_the_device(
    reach: Reach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver still names the dead one; its worker holds the memory. A stranger that holds the device too is left alone."""
    device = tmp_path / "nvidia0"
    device.write_text("")
    monkeypatch.setattr(kill_gpu_orphans.Action, "devices", f"{tmp_path}/nvidia[0-9]*")
    words = [sys.executable, "-c", LEFT, str(device)]
    holder = await aside(lambda: subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True))
    stranger = await aside(lambda: subprocess.Popen([sys.executable, "-c", HOLDS, str(device)], start_new_session=True))
    try:
        await aside(lambda: holder.communicate(timeout=10))
        told = {"causes": [{"id": "gpu.orphan-memory", "culprits": [{"kind": "process", "pid": holder.pid}]}]}
        action = kill_gpu_orphans.Action(Target("gpu", "GPU 0"), Reach(reach.clock, reach.run, "", told), grace=1.0, age=0.0)
        (left,) = await aside(action._orphans)
        await action.check()
        assert await action.act() == {"ended": [left.pid]}
        assert stranger.poll() is None
    finally:
        stranger.kill()
        await aside(stranger.wait)


@pytest.mark.real
async def test_an_orphan_that_the_diagnosis_names_is_ended_and_nobody_else(reach: Reach) -> None:
    """The other one has a parent that cares."""
    started = await aside(lambda: subprocess.run([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True, check=True))
    orphan = int(started.stdout)
    child = await aside(lambda: subprocess.Popen(["sleep", "60"]))
    try:
        if (await aside(lambda: procstat.stat(orphan))).ppid != 1:
            pytest.skip("orphans go to another reaper here")
        told = {"causes": [{"id": "gpu.orphan-memory", "culprits": [{"pid": orphan}, {"pid": child.pid}]}]}
        action = kill_gpu_orphans.Action(Target("gpu", "GPU 0"), Reach(reach.clock, reach.run, "", told), grace=1.0, age=0.0)
        await action.check()
        assert await action.act() == {"ended": [orphan]}
        assert child.poll() is None
    finally:
        child.kill()
        await aside(child.wait)
        with contextlib.suppress(ProcessLookupError):
            os.kill(orphan, signal.SIGKILL)
