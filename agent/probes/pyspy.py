"""pyspy: samples the Python stacks for a few seconds and names who burns the CPU, holds the interpreter lock or blocks the loop.

Samples alone overstate (sleepers look active at times), so every share is weighted with the CPU time the kernel counted per thread.
The target is not stopped. Garbage collection has no frame in Python stacks (its time shows at the allocating line), so the
interpreter's own flag is read for it; with an unknown interpreter the answer is unknown.
"""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar, Literal, NamedTuple

from agent.dataclass import dataclass
from agent.errors import AgentError, NotApplicable
from agent.host import gcflag, procs, pyspy, threads
from agent.host.lane import once
from agent.host.procstat import NoSuchProcess, stat
from agent.host.threads import Look
from agent.model import Artifact, Cost, Evidence, Metric, Target, Tools
from agent.probes import _records
from agent.probes._files import keep_stacks
from agent.probes._found import Found, Window
from agent.probes._guard import answer, guarded, pid_of, python_of
from agent.probes._loops import is_loop
from agent.probes._profile import judge, on_cpu
from agent.stacks import Stack

LOOKS_PER_S = 50
GROUPS = ("hot_share", "gil_share", "loop_blocked_share", "gc_share")
BUSIEST = 3


@dataclass
class Probe:
    """Settings: ``seconds`` of sampling (1 to 30), ``mode`` (``both``, ``wall``, ``gil``), ``subprocesses`` (the three busiest).

    The samplers take an eighth of a core together, by what the first look cost: a process of hundreds of threads is seen a few
    times only, over up to twice the seconds, and the answers say so. ``blocking`` stops the target for each sample, at most 4 %
    of the time: exact stacks of very short calls, refused by the door where it could hurt.
    """

    seconds: float = 4.0
    mode: Literal["both", "wall", "gil"] = "both"
    subprocesses: bool = False
    blocking: bool = False

    cost: ClassVar[Cost] = "light"
    needs: ClassVar[tuple[str, ...]] = ("py-spy",)
    answers: ClassVar[tuple[Metric, ...]] = (
        answer("hot_share", "ratio", "Share of the CPU time burnt that the hottest own function owns, callees included"),
        answer("hot_cores", "cores", "CPU cores the hottest own function burns"),
        answer("gil_share", "ratio", "Share of the time the interpreter lock is held"),
        answer("gil_top_share", "ratio", "Share of the lock's held time that falls to the thread that holds it most"),
        answer("gil_top_cores", "cores", "CPU cores the thread that holds the lock most burns"),
        answer("gil_place_share", "ratio", "Share of the lock's held time that falls to one own function, over all threads"),
        answer("gil_victims", "", "Threads that keep asking for the lock and hold it less than 15 % of the held time"),
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
        pids = await once("probe-pyspy", lambda: self._pids(target), 5.0)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._window(member, tools)) for member in pids]
        windows = [window for window in (task.result() for task in tasks) if isinstance(window, Window)]
        if not windows:
            raise next(result for result in (task.result() for task in tasks) if isinstance(result, AgentError))
        found = await once("probe-pyspy", lambda: merge([judge(window) for window in windows]), 10.0)
        artifacts, missing = await once("probe-pyspy", lambda: self._keep(windows, tools), 10.0)
        if missing:
            found.says["artifacts"] = missing
        pause = sum(r.pause_s for w in windows for r in (w.wall, w.gil, w.idle) if r)
        return Evidence("pyspy", found.answers, found.culprits, found.says, tuple(artifacts), target_pause_s=round(pause, 3))

    def _pids(self, target: Target) -> list[int]:
        pid = pid_of(target)
        return busiest(pid) if self.subprocesses else [python_of(pid)]

    async def _window(self, pid: int, tools: Tools) -> Window | AgentError:
        """One process over the window; its error if it cannot be looked at (the others still are)."""
        try:
            return await self._measure(pid, await pyspy.dump(pid), tools)
        except AgentError as error:
            return error
        except ExceptionGroup as several:  # the target ended under all of them
            known, unknown = several.split(AgentError)
            if unknown is not None or known is None:
                raise
            return _first(known)

    async def _measure(self, pid: int, first: pyspy.Snapshot, tools: Tools) -> Window:
        loops = tuple(thread.tid for thread in first.threads if thread.tid and is_loop(thread.frames))
        asked, blocking = min(30.0, max(1.0, self.seconds)), self.blocking and not tools.gentle
        plan = await _records.plan(pid, first, seconds=asked, mode=self.mode, loop=bool(loops), blocking=blocking)
        async with asyncio.TaskGroup() as group:
            kernel = group.create_task(once("probe-pyspy-proc", lambda: watch(pid, loops, plan.seconds), plan.seconds + 5))
            records = group.create_task(_records.take(plan))
        seen, (wall, gil, idle) = kernel.result(), records.result()
        names = {thread.tid: thread.name for thread in first.threads if thread.tid}
        return Window(
            pid, seen.seconds, seen.cpu, seen.wakes, names, len(first.threads), loops, seen.looks, wall, gil, idle, seen.collecting
        )

    def _keep(self, windows: list[Window], tools: Tools) -> tuple[list[Artifact], str]:
        """Keep the weighted stacks of the process that burnt most; an idle one leaves nothing to see."""
        window = max(windows, key=lambda w: w.cores)
        stacks: list[Stack] = on_cpu(window)
        title = f"process {window.pid}: {window.cores:.2f} cores over {window.seconds:.1f} s"
        return keep_stacks(tools.artifacts_dir, f"pyspy-{window.pid}", stacks, title=title, unit="CPU seconds", scale=1000.0)


def _first(group: BaseExceptionGroup[AgentError]) -> AgentError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


class Watched(NamedTuple):
    """What the kernel and the collector's flag said: sums per thread, looks at the loops' threads, share of looks collecting."""

    seconds: float
    cpu: dict[int, float]
    wakes: dict[int, float]
    looks: dict[int, list[Look]]
    collecting: float | None


def watch(pid: int, loops: tuple[int, ...], seconds: float) -> Watched:
    """Look 50 times a second; :class:`NoSuchProcess` if the target ends meanwhile."""
    began = time.monotonic()
    before = {thread.tid: thread for thread in procs.threads(pid)}
    looks: dict[int, list[Look]] = {tid: [] for tid in loops}
    flag, collecting, turns = _flag(pid), 0, 0
    while (left := began + seconds - time.monotonic()) > 0:
        for seen in threads.look(pid, list(loops)):
            looks[seen.tid].append(seen)
        if stat(pid).state in "ZX":
            raise NoSuchProcess(pid)
        turns, collecting = turns + 1, collecting + (flag is not None and gcflag.read(flag).collecting)
        time.sleep(min(left, 1 / LOOKS_PER_S))
    after = procs.threads(pid)
    cpu = {t.tid: t.cpu_seconds - (before[t.tid].cpu_seconds if t.tid in before else 0.0) for t in after}
    wakes = {t.tid: float(t.voluntary - (before[t.tid].voluntary if t.tid in before else 0)) for t in after}
    return Watched(time.monotonic() - began, cpu, wakes, looks, collecting / turns if flag is not None and turns else None)


def _flag(pid: int) -> gcflag.Place | None:
    try:
        return gcflag.locate(pid)
    except (AgentError, OSError):
        return None


def busiest(pid: int) -> list[int]:
    """The Python processes of the tree that burn most CPU over 0.3 s, the root among them where it is Python."""
    first = {member: _cpu(member) for member in procs.tree(pid)}
    time.sleep(0.3)
    burnt = {member: _cpu(member) - before for member, before in first.items() if _python(member)}
    if not burnt:
        raise NotApplicable(f"neither process {pid} nor its children run Python", help="name a Python process with --pid")
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
