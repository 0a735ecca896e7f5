"""One process's stacks over a few seconds: who is on a CPU, who holds the interpreter lock, and for a loop sleepers too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal, NamedTuple

from agent.host import pyspy, pyspy_pace
from agent.host.lane import once
from agent.host.procstat import stat
from agent.host.pyspy import Recording, Snapshot

Mode = Literal["both", "wall", "gil"]


class Records(NamedTuple):
    """What was wanted and could be had."""

    wall: Recording | None = None
    gil: Recording | None = None
    idle: Recording | None = None


class Plan(NamedTuple):
    """How one process is looked at; ``threads`` as the kernel counts them."""

    pid: int
    first: Snapshot
    mode: Mode
    loop: bool
    threads: int
    price: pyspy_pace.Cost
    pace: pyspy_pace.Pace
    blocking: bool

    @property
    def seconds(self) -> float:
        """How long the look lasts."""
        return float(self.pace.seconds)


async def plan(pid: int, first: Snapshot, *, seconds: float, mode: Mode, loop: bool, blocking: bool) -> Plan:
    """A pace that fits what the first look cost; one that stops the target keeps to the seconds asked for."""
    threads = (await once("probe-pyspy", lambda: stat(pid), 2.0)).threads
    price = pyspy_pace.cost(first.cpu_s, len(first.threads), first.frames)
    stacks = 0 if mode == "gil" else pyspy.rate(threads)
    holder = 0 if mode == "wall" else pyspy.rate(threads, gil=True)
    if blocking:
        policy = pyspy_pace.stopping(price, stacks), pyspy_pace.stopping(price, holder)
        pace = pyspy_pace.Pace(max(1, round(seconds)), policy[0], 0.0, policy[1])
    else:
        pace = pyspy_pace.pace(price, seconds=seconds, stacks=stacks, holder=holder, records=1 + loop)
    return Plan(pid, first, mode, loop, threads, price, pace, blocking)


async def take(plan: Plan) -> Records:
    """Look; in turn if it stops the target, else all at once."""
    wanted = [plan.mode != "gil", plan.mode != "wall", plan.mode != "gil" and plan.loop]
    by_dumps = not plan.pace.stacks and not plan.blocking
    kinds = [index for index in range(3) if wanted[index] and (index == 1 or not by_dumps)]
    found: list[Recording | None] = [None, None, None]
    turns = asyncio.Semaphore(1 if plan.blocking else 3)
    each = plan.seconds / len(kinds) if plan.blocking else plan.seconds

    async def one(index: int) -> None:
        async with turns:
            gil, per_second = index == 1, plan.pace.holder if index == 1 else plan.pace.stacks
            found[index] = await pyspy.record(
                plan.pid,
                seconds=each,
                threads=plan.threads,
                per_second=per_second,
                gil=gil,
                idle=index == 2,
                blocking=plan.blocking,
            )

    async with asyncio.TaskGroup() as group:
        for index in kinds:
            group.create_task(one(index))
        snapshots = group.create_task(_snapshots(plan)) if by_dumps and wanted[0] else None
    if snapshots is not None:
        taken = snapshots.result()
        found[0] = pyspy.seen(taken, idle=False)
        found[2] = pyspy.seen(taken, idle=True) if wanted[2] else None
    return Records(*found)


async def _snapshots(plan: Plan) -> Sequence[Snapshot]:
    return await pyspy.dumps(plan.pid, plan.first, seconds=plan.seconds, cpu_s=plan.pace.dumps_s)
