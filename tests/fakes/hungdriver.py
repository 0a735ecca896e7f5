"""A whole agent beside a GPU driver that hangs for real: the process that calls NVML sleeps in state D, where no signal helps.

Run as root in a mount namespace of its own: ``unshare -m --propagation private python tests/fakes/hungdriver.py FOLDER GPUS
PERIODS``, where the periods are those of health before. Prints one JSON
object with what was seen; the last thing it does is to stop the agent while the driver hangs again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent import app
from agent.app import Agent
from agent.config import parse_config
from agent.host import nvml
from tests.fakes.deadmount import DeadMount
from tests.fakes.gpusim import Host

PERIOD_S = 1.0
UNTIL_S = 40.0
INTO_THE_MOUNT = """
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
int nanosleep(const struct timespec *t, struct timespec *left) {
    struct stat about;
    (void)t; (void)left;
    return stat(getenv("ANFL_DEAD"), &about) && 0;
}
"""
"""What the simulated library waits with while it hangs: it looks into the dead mount instead."""
CONFIG = """
rules_dir: {folder}/rules
state_dir: {folder}/state
socket: {folder}/agent.sock
collectors:
  gpu: {{interval: {period}s, library: {library}, deadline: {deadline}s}}
  gpu_health: {{interval: {period}s}}
  filesystem: {{enabled: false}}
"""
RULES = """\
tree: none
symptom: {when: 'host_cpus < 0'}
checks: [{id: few, expr: 'host_cpus < 0'}]
causes: {none.few: {title: Few, require: [few], support: {few: 0.9}}}
"""


class Lateness:
    """How late the loop comes back to a task that sleeps 5 ms, at worst; what its threads waited for a processor is not ours."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            due, waited = time.monotonic() + 0.005, run_delay()
            await asyncio.sleep(0.005)
            late = time.monotonic() - due
            if late > self.worst:
                self.worst = max(self.worst, late - (run_delay() - waited))


def run_delay() -> float:
    """Seconds the threads of this process have waited for a processor, all together."""
    total = 0
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/self/task/{task}/schedstat").read_text().split()[1])
    return total / 1e9


class Run:
    """The agent at work, and what its ring holds."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.rounds: list[float] = []

    def note(self) -> None:
        """After every round."""
        self.rounds.append(time.monotonic())
        self.agent.after_round()

    def last(self, name: str) -> list[float]:
        """Newest values of a series."""
        return [value for _, value in self.agent.ring.latest(name).values()]

    async def until(self, wanted: Callable[[], bool]) -> float:
        """Seconds until that is so."""
        began = time.monotonic()
        while not wanted():
            if time.monotonic() - began > UNTIL_S:
                raise TimeoutError
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    def late_rounds(self) -> float:
        """The longest time between two rounds, in periods."""
        return max(b - a for a, b in zip(self.rounds, self.rounds[1:], strict=False)) / PERIOD_S


def states(parent: int) -> str:
    """The states of a process's children."""
    found = ""
    for task in os.listdir(f"/proc/{parent}/task"):
        with contextlib.suppress(OSError):  # a thread or a child may end meanwhile
            for pid in Path(f"/proc/{parent}/task/{task}/children").read_text().split():
                found += Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return found


async def scenario(host: Host, mount: DeadMount, agent: Agent, gpus: int, periods: int) -> dict[str, Any]:
    """Healthy, hanging, recovered, hanging again."""
    run, late, seen = Run(agent), Lateness(), {}
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(agent.watch.run(run.note)), group.create_task(late.watch())]
        await run.until(lambda: len(run.last("gpu_utilization_ratio")) == gpus)
        await late_from(late, run, seen, periods)
        host.break_("hang", {"gpu": 1})
        seen["noticed_s"] = await run.until(lambda: run.last("nvml_hung") == [1.0])
        seen["others_s"] = await run.until(lambda: len(fresh(run, "gpu_utilization_ratio")) == gpus - 1)
        seen["states"] = states(os.getpid())
        await asyncio.sleep(max(1, periods // 3) * PERIOD_S)
        host.mend()
        mount.answer()
        seen["recovered_s"] = await run.until(lambda: run.last("nvml_hung") == [0.0] and len(fresh(run, "gpu_lost")) == gpus)
        seen["late_ms"], seen["late_rounds"] = late.worst * 1e3, run.late_rounds()
        seen["down"] = sorted(s.name for s in agent.watch.states() if s.state == "down")
        mount.fall_silent()
        host.break_("hang")
        await run.until(lambda: run.last("nvml_hung") == [1.0])
        for task in tasks:
            task.cancel()
    return seen


async def late_from(late: Lateness, run: Run, seen: dict[str, Any], periods: int) -> None:
    """How late loop and rounds are on this machine anyway; from now on they are counted anew."""
    late.worst, run.rounds = 0.0, run.rounds[-1:]
    await asyncio.sleep(periods * PERIOD_S)
    seen["late_ms_healthy"], seen["late_rounds_healthy"] = late.worst * 1e3, run.late_rounds()
    late.worst, run.rounds = 0.0, run.rounds[-1:]


def fresh(run: Run, name: str) -> list[float]:
    """Values of series that were told within the last two periods."""
    now = run.agent.ring.now
    return [value for at, value in run.agent.ring.latest(name).values() if now - at < 2 * PERIOD_S + 0.5]


def main(folder: Path, gpus: int, periods: int) -> None:
    """Set all up, run, print, stop."""
    (folder / "dead").mkdir()
    (folder / "rules").mkdir()
    (folder / "rules" / "none.yaml").write_text(RULES)
    (folder / "wait.c").write_text(INTO_THE_MOUNT)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / "wait.so", folder / "wait.c"], check=True)
    host, mount = Host(folder, gpus), DeadMount(folder / "dead")
    os.environ.update(host.sim.environment(), LD_PRELOAD=str(folder / "wait.so"), ANFL_DEAD=str(folder / "dead" / "x"))
    text = CONFIG.format(folder=folder, library=host.library, period=PERIOD_S, deadline=nvml.CALL_S)
    agent = app.build(parse_config(text, str(folder / "config.yaml")), burst=True)
    seen = asyncio.run(scenario(host, mount, agent, gpus, periods))
    began = time.monotonic()
    agent.close()
    print(
        json.dumps(seen | {"close_s": time.monotonic() - began, "stopping_at": time.time(), "left": states(os.getpid())}),
        flush=True,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
