"""The door to py-spy: gentle by rule.

Blocking py-spy stops every thread for every sample (200 threads at 100 Hz made the target 12.9 times slower) and a blocking dump of
a process in uninterruptible sleep hangs for ever. So a target is stopped only where the caller asks for it and it has at most 16
threads, all healthy; dumps never stop it; the rate falls with the threads, and with what a look costs (``pyspy_pace``).
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

from agent.dataclass import dataclass
from agent.errors import AgentError, NotApplicable, Refused, Unavailable
from agent.host.lane import once
from agent.host.procs import kernel_thread, python_minor, tracer
from agent.host.procstat import NoSuchProcess, NotPermitted, Stat, stat
from agent.host.pthread import LEAST_ADDRESS, by_address
from agent.host.pyspy_pace import DROPPED
from agent.host.run import Completed, run
from agent.host.text import clean
from agent.host.threads import inner_ids, nested, task_ids
from agent.stacks import Stack, ThreadDump, parse_dump, parse_raw, rooted, total

MANY_THREADS = 16
"""Above this many threads only memory reads, never a stop."""
THREAD_SAMPLES_PER_S = 2000
SLOWEST, SLOWEST_GIL, FASTEST = 5, 20, 100
TRIES = 3
MEMORY = 2 << 30
"""Address space of the sampler: it maps the target's binaries."""
_SAMPLES = re.compile(rb"Samples: (\d+) Errors: (\d+)")


@dataclass(frozen=True)
class Recording:
    """What a record brought. ``rounds`` is how often it looked; ``cpu_s`` what the sampler burnt; ``pause_s`` an upper bound."""

    stacks: tuple[Stack, ...]
    rounds: int
    errors: int
    took_s: float
    cpu_s: float
    pause_s: float


@dataclass(frozen=True)
class Snapshot:
    """Every thread's stack at one moment; ``cpu_s`` and ``took_s`` are what the sampler needed, torn tries counted in."""

    threads: tuple[ThreadDump, ...]
    cpu_s: float
    took_s: float

    @property
    def frames(self) -> int:
        """How much there was to read."""
        return sum(len(thread.frames) for thread in self.threads)


def find() -> str:
    """The py-spy beside our interpreter, else the one on PATH; :class:`Unavailable` if there is none."""
    beside = os.path.join(os.path.dirname(sys.executable), "py-spy")
    found = beside if os.access(beside, os.X_OK) else shutil.which("py-spy")
    if found is None:
        raise Unavailable("py-spy is not installed", help=f"{sys.executable} -m pip install py-spy")
    return found


def rate(threads: int, *, gil: bool = False) -> int:
    """Samples per second for a target with that many threads: at most 2,000 stacks a second, but never below 5 rounds.

    A round that reads only the holder of the interpreter lock costs a twentieth: never below 20.
    """
    return round(min(FASTEST, max(SLOWEST_GIL if gil else SLOWEST, THREAD_SAMPLES_PER_S / max(1, threads))))


def must_not_block(threads: int, state: str, traced_by: int) -> bool:
    """True where stopping the target for a sample would hang or hurt."""
    return threads > MANY_THREADS or state in "DTt" or traced_by != 0


def check(pid: int) -> Stat:
    """The target's stat; :class:`Refused` or a child of AgentError with the reason if py-spy cannot read it."""
    now = stat(pid)
    if now.state in "ZX":
        raise Refused(f"process {pid} has ended and waits to be reaped", help="look at its parent")
    if kernel_thread(pid):
        raise Refused(f"process {pid} is a kernel thread", help="py-spy reads Python programs only")
    if now.state != "D" and python_minor(pid) is None:
        raise NotApplicable(
            f"process {pid} is not a Python program", help="name the Python process itself, for example a child of this one"
        )
    return now


async def record(
    pid: int,
    *,
    seconds: float,
    threads: int,
    per_second: int = 0,
    gil: bool = False,
    idle: bool = False,
    blocking: bool = False,
) -> Recording:
    """Sample for ``seconds`` (rounded to whole ones) at the policy rate, or at most ``per_second``.

    ``gil`` keeps only the holder of the interpreter lock, ``idle`` also keeps threads that sleep.
    """
    gentle = await once("pyspy-door", lambda: not blocking or must_not_block(threads, check(pid).state, tracer(pid)), 5.0)
    policy, whole = rate(threads, gil=gil), max(1, round(seconds))
    per_second = min(per_second or policy, policy)
    argv = [
        await once("pyspy-door", find, 5.0),
        "record",
        "-p",
        str(pid),
        "-f",
        "raw",
        "-o",
        "/dev/stdout",
        "--full-filenames",
        "--threads",
    ]
    argv += ["-d", str(whole), "-r", str(per_second)]
    argv += [flag for flag, wanted in (("--gil", gil), ("--idle", idle), ("--nonblocking", gentle)) if wanted]
    done = await run(argv, timeout=whole + 6, stop=signal.SIGINT, memory=MEMORY, cpu_seconds=whole + 4)
    tail = _SAMPLES.search(done.out[-2000:]) or _SAMPLES.search(done.err[-2000:])
    if done.rc != 0 and tail is None:
        raise _refusal(pid, done)
    errors = int(tail[2]) if tail else 0
    stacks, torn = await once("pyspy-door", lambda: _stacks(pid, done.out), 10.0)
    # It throws its last round away; with gil a round has one stack at most.
    rounds = max(1, whole * per_second - DROPPED - errors - (torn if gil else 0))
    return Recording(stacks, rounds, errors, done.took_s, done.cpu_s, 0.0 if gentle else done.cpu_s)


async def dumps(pid: int, first: Snapshot, *, seconds: float, cpu_s: float) -> list[Snapshot]:
    """``first`` and more, spread evenly over ``seconds``, as many as ``cpu_s`` CPU seconds allow by what they really cost."""
    taken, until = [first], time.monotonic() + seconds
    left, price = cpu_s, first.cpu_s
    while left >= price and (rest := until - time.monotonic()) > 0:
        await asyncio.sleep(rest / (left // max(price, 0.001) + 1))
        try:
            taken.append(await dump(pid))
            left, price = left - taken[-1].cpu_s, max(price, taken[-1].cpu_s)
        except Refused:  # torn each time: what there is must do
            left -= TRIES * price
    return taken


def seen(taken: Sequence[Snapshot], *, idle: bool) -> Recording:
    """Snapshots as a record: of the threads that ran, or of all."""
    stacks = [
        Stack(thread.tid, thread.name, thread.frames, 1.0)
        for snapshot in taken
        for thread in snapshot.threads
        if thread.frames and (idle or thread.active)
    ]
    took, cpu = sum(s.took_s for s in taken), sum(s.cpu_s for s in taken)
    return Recording(tuple(rooted(stacks)), len(taken), 0, took, cpu, 0.0)


async def dump(pid: int, *, tries: int = TRIES) -> Snapshot:
    """Every thread's stack at one moment, by memory reads alone: the target is never stopped.

    A program that runs fast can change a stack while it is read; then the dump is taken again.
    """
    cpu_s = took_s = 0.0
    await once("pyspy-door", lambda: check(pid), 5.0)
    argv = [await once("pyspy-door", find, 5.0), "dump", "-p", str(pid), "--json", "--full-filenames", "--nonblocking"]
    for attempt in range(tries):
        done = await run(argv, timeout=8, memory=MEMORY, cpu_seconds=6)
        cpu_s, took_s = cpu_s + done.cpu_s, took_s + done.took_s
        if done.rc == 0:
            try:
                return Snapshot(tuple(await once("pyspy-door", partial(_threads, pid, done.out), 5.0)), cpu_s, took_s)
            except ValueError:
                continue
        if attempt + 1 < tries:
            await asyncio.sleep(0.02)
    raise _refusal(pid, done)


def _stacks(pid: int, raw: bytes) -> tuple[tuple[Stack, ...], int]:
    """The whole stacks, and how many samples were torn."""
    read = parse_raw(raw.decode("utf-8", "replace"))
    here, kept = _ids(pid, {stack.tid for stack in read}), rooted(read)
    return tuple(s._replace(tid=here.get(s.tid, s.tid)) for s in kept), round(total(read) - total(kept))


def _threads(pid: int, raw: bytes) -> list[ThreadDump]:
    threads = parse_dump(raw.decode("utf-8", "replace"))
    here = _ids(pid, {thread.tid for thread in threads})
    return [replace(thread, tid=here.get(thread.tid, thread.tid)) for thread in threads]


def _ids(pid: int, seen: Collection[int]) -> dict[int, int]:
    """Thread ids as py-spy tells them (the target's container's, or addresses of thread records) → as they are here; 0: unknown."""
    try:
        inner = inner_ids(pid, task_ids(pid)) if nested(pid) else {}
    except AgentError:
        return {}
    own = next((inside for inside, here in inner.items() if here == pid), None)
    records = by_address(pid, seen, inner_pid=own)
    found = {address: inner.get(tid, tid) for address, tid in records.items()}
    return inner | dict.fromkeys((one for one in seen if one >= LEAST_ADDRESS), 0) | found


def _refusal(pid: int, done: Completed) -> AgentError:
    """py-spy's message as one plain line with one remedy."""
    said = done.err.decode("utf-8", "replace")
    if done.timed_out:
        return Refused(f"py-spy got no answer from process {pid} in time", help="the host may be overloaded; try again later")
    if "Permission Denied" in said or "Operation not permitted" in said or "Permission denied" in said:
        return NotPermitted(pid, "its memory")
    if "process executable name" in said or "process is running" in said or "No such process" in said:
        return NoSuchProcess(pid)
    if "python version" in said or "python interpreter" in said:
        return Refused(
            f"process {pid} is not a Python program that py-spy can read", help="name the Python process itself, or upgrade py-spy"
        )
    line = next(
        (row for row in said.splitlines() if row.startswith("Error:")), said.strip().splitlines()[0] if said.strip() else ""
    )
    return Refused(
        f"py-spy could not read process {pid}: {clean(line.removeprefix('Error: '), 200) or f'exit {done.rc}'}",
        help="try again, or upgrade py-spy",
    )
