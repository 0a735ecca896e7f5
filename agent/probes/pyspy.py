"""pyspy: samples the Python stacks for a few seconds and names who burns the CPU, holds the interpreter lock or blocks the loop.

Samples alone overstate (sleepers look active at times), so every share is weighted with the CPU time the kernel counted per thread.
The target is not stopped. Garbage collection has no frame of its own in Python stacks: its time shows at the allocating line.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import ClassVar, Literal

from agent.errors import AgentError, Refused
from agent.host import procs, pyspy, threads
from agent.host.procstat import stat
from agent.host.threads import Look
from agent.model import Artifact, Cost, Evidence, Metric, Target, Tools
from agent.probes._files import keep_stacks
from agent.probes._guard import answer, guarded, in_lane, pid_of, python_of
from agent.probes._profile import Found, Window, is_loop, judge, on_cpu
from agent.stacks import Stack, ThreadDump

LOOP_LOOKS_PER_S = 50
GROUPS = ("hot_share", "gil_share", "loop_blocked_share", "gc_share")
BUSIEST = 3


@dataclass
class Probe:
    """Settings: ``seconds`` of sampling (1 to 30), ``mode`` (``both``, ``wall``, ``gil``), ``subprocesses`` (the three busiest)."""

    seconds: float = 4.0
    mode: Literal["both", "wall", "gil"] = "both"
    subprocesses: bool = False

    cost: ClassVar[Cost] = "light"
    needs: ClassVar[tuple[str, ...]] = ("py-spy",)
    answers: ClassVar[tuple[Metric, ...]] = (
        answer("hot_share", "ratio", "Share of the CPU time burnt that the hottest own function owns, callees included"),
        answer("hot_cores", "cores", "CPU cores the hottest own function burns"),
        answer("gil_share", "ratio", "Share of the time the interpreter lock is held"),
        answer("gil_top_share", "ratio", "Share of the lock's held time that falls to the thread that holds it most"),
        answer("gil_top_cores", "cores", "CPU cores the thread that holds the lock most burns"),
        answer("loop_blocked_share", "ratio", "Share of the time an asyncio loop's thread sleeps inside a callback"),
        answer("loop_blocked_longest_s", "seconds", "Longest stretch seen without a turn of the asyncio loop, mostly asleep"),
        answer("loop_busy_share", "ratio", "Share of the time an asyncio loop's thread is on a CPU"),
        answer("gc_share", "ratio", "Share of the time spent in garbage collection"),
        answer("python_threads", "", "Python threads"),
    )

    async def look(self, target: Target, tools: Tools) -> Evidence:
        """Sample; never raises for a target that vanished or refuses."""
        return await guarded("pyspy", lambda: self._look(target, tools))

    async def _look(self, target: Target, tools: Tools) -> Evidence:
        if tools.gentle:
            raise Refused("--gentle forbids reading the target's memory", help="leave out --gentle to sample its stacks")
        pid = pid_of(target)
        pids = await in_lane("pyspy", lambda: busiest(pid) if self.subprocesses else [python_of(pid)], 5.0)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._window(member)) for member in pids]
        windows = [window for window in (task.result() for task in tasks) if isinstance(window, Window)]
        if not windows:
            raise next(result for result in (task.result() for task in tasks) if isinstance(result, AgentError))
        found = merge([judge(window) for window in windows])
        artifacts, missing = self._keep(windows, tools)
        if missing:
            found.says["artifacts"] = missing
        pause = sum(r.pause_s for w in windows for r in (w.wall, w.gil, w.idle) if r)
        return Evidence("pyspy", found.answers, found.culprits, found.says, tuple(artifacts), target_pause_s=round(pause, 3))

    async def _window(self, pid: int) -> Window | AgentError:
        """One process over the window; its error if it cannot be looked at (the others still are)."""
        try:
            dump = await pyspy.dump(pid)
            return await self._measure(pid, dump)
        except AgentError as error:
            return error

    async def _measure(self, pid: int, dump: list[ThreadDump]) -> Window:
        loops = tuple(thread.tid for thread in dump if thread.tid and is_loop(thread.frames))
        count = stat(pid).threads
        seconds = min(30.0, max(1.0, self.seconds))
        wall, gil = self.mode != "gil", self.mode != "wall"
        async with asyncio.TaskGroup() as group:
            kernel = group.create_task(in_lane("pyspy-proc", lambda: watch(pid, loops, seconds), seconds + 5))
            walls = group.create_task(_maybe(wall, pid, seconds, count))
            gils = group.create_task(_maybe(gil, pid, seconds, count, gil=True))
            idles = group.create_task(_maybe(wall and bool(loops), pid, seconds, count, idle=True))
        took, cpu, wakes, looks = kernel.result()
        names = {thread.tid: thread.name for thread in dump if thread.tid}
        return Window(pid, took, cpu, wakes, names, len(dump), loops, looks, walls.result(), gils.result(), idles.result())

    def _keep(self, windows: list[Window], tools: Tools) -> tuple[list[Artifact], str]:
        """Keep the weighted stacks of the process that burnt most; an idle one leaves nothing to see."""
        window = max(windows, key=lambda w: w.cores)
        stacks: list[Stack] = on_cpu(window)
        title = f"process {window.pid}: {window.cores:.2f} cores over {window.seconds:.1f} s"
        return keep_stacks(tools.artifacts_dir, f"pyspy-{window.pid}", stacks, title=title, unit="CPU seconds", scale=1000.0)


async def _maybe(
    wanted: bool, pid: int, seconds: float, count: int, *, gil: bool = False, idle: bool = False
) -> pyspy.Recording | None:
    return await pyspy.record(pid, seconds=seconds, threads=count, gil=gil, idle=idle) if wanted else None


def watch(
    pid: int, loops: tuple[int, ...], seconds: float
) -> tuple[float, dict[int, float], dict[int, float], dict[int, list[Look]]]:
    """Per-thread CPU seconds and voluntary switches over the window, and many looks at the loops' threads."""
    began = time.monotonic()
    before = {thread.tid: thread for thread in procs.threads(pid)}
    looks: dict[int, list[Look]] = {tid: [] for tid in loops}
    while (left := began + seconds - time.monotonic()) > 0:
        for seen in threads.look(pid, list(loops)):
            looks[seen.tid].append(seen)
        time.sleep(min(left, 1 / LOOP_LOOKS_PER_S if loops else seconds))
    after = procs.threads(pid)
    took = time.monotonic() - began
    cpu = {t.tid: t.cpu_seconds - (before[t.tid].cpu_seconds if t.tid in before else 0.0) for t in after}
    wakes = {t.tid: float(t.voluntary - (before[t.tid].voluntary if t.tid in before else 0)) for t in after}
    return took, cpu, wakes, looks


def busiest(pid: int) -> list[int]:
    """The Python processes of the tree that burn most CPU over 0.3 s, the root among them where it is Python."""
    first = {member: _cpu(member) for member in procs.tree(pid)}
    time.sleep(0.3)
    burnt = {member: _cpu(member) - before for member, before in first.items() if _python(member)}
    if not burnt:
        raise Refused(f"neither process {pid} nor its children run Python", help="name a Python process with --pid")
    ranked = sorted(burnt, key=lambda member: (-burnt[member], member != pid))[:BUSIEST]
    return ranked if pid in ranked or pid not in burnt else [*ranked[:-1], pid]


def _cpu(pid: int) -> float:
    try:
        return stat(pid).cpu_seconds
    except AgentError:
        return 0.0


def _python(pid: int) -> bool:
    try:
        return procs.python_minor(pid) is not None
    except AgentError:
        return False


def merge(parts: list[Found]) -> Found:
    """Several processes as one: each group of answers from the process where it is worst, thread counts added up."""
    whole = Found()
    for part in sorted(parts, key=lambda found: _number(found.answers.get("hot_cores"))):
        whole.answers.update(part.answers), whole.culprits.update(part.culprits), whole.says.update(part.says)
    for group in GROUPS:
        prefix = group.split("_")[0] + "_"
        worst = max(parts, key=lambda found: _number(found.answers.get("hot_cores" if prefix == "hot_" else group)))
        for name in [n for n in whole.answers if n.startswith(prefix)]:
            whole.put(name, worst.answers.get(name), worst.says.get(name, ""), worst.culprits.get(name, ()))  # type: ignore[arg-type]
    whole.answers["python_threads"] = sum(_number(part.answers.get("python_threads")) for part in parts)
    return whole


def _number(value: float | bool | str | None) -> float:
    return float(value) if isinstance(value, int | float) else -1.0
