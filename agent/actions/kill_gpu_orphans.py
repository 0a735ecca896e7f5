"""End the processes that hold a GPU's memory although whoever started them is gone."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import partial
from typing import ClassVar

from agent.actions._action import Base
from agent.actions._process import send, there
from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host import procs
from agent.host.lane import aside
from agent.host.reach import Class, WillNot
from agent.model import JsonObject, Target
from agent.yamlfile import Seconds

CAUSE = "gpu.orphan-memory"


@dataclass
class Action(Base):
    """Only those that the diagnosis names as holders, or, where such a one is dead, that it left behind: of its session or process
    group, with the GPU's device open. All must have been taken over by init, and be old enough to be no newcomers.
    """

    class_: ClassVar[Class] = "destructive"
    kinds: ClassVar[tuple[str, ...]] = ("gpu", "process")
    grace: Seconds = 10.0
    age: Seconds = 300.0
    devices: ClassVar[str] = "/dev/nvidia[0-9]*"

    def plan(self) -> str:
        """In words."""
        return f"end the orphaned processes that hold memory of {self.name}"

    def _orphans(self) -> list[Target]:
        named = list(self._named())
        return [found for pid in (*named, *self._left_by(named)) if (found := self._orphan(pid)) is not None]

    def _left_by(self, named: list[int]) -> Iterator[int]:
        """What the dead among the named ones left: a process whose session or group they led, and that holds a GPU."""
        dead = set(filter(_dead, named))
        for entry in os.listdir("/proc") if dead else ():
            if entry.isdigit() and int(entry) not in named and dead & _leaders(int(entry)) and self._holds(int(entry)):
                yield int(entry)

    def _holds(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if fnmatch(os.readlink(f"/proc/{pid}/fd/{fd}"), self.devices):
                        return True
        return False

    def _named(self) -> Iterator[int]:
        causes = [c for c in self.reach.told.get("causes", ()) if c["id"] == CAUSE]
        for culprit in (c for cause in causes for c in cause.get("culprits", ())):
            if isinstance(pid := culprit.get("pid"), int):
                yield pid

    def _orphan(self, pid: int) -> Target | None:
        try:
            known = procs.identity(pid)
            start = procs.start_time(pid)
            with open(f"/proc/{pid}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, AgentError, ValueError):
            return None
        old = self.reach.clock.now() - start >= self.age
        if parent != 1 or not old or pid in (1, os.getpid()):
            return None
        return Target("process", known.comm, pid, start)

    async def check(self) -> None:
        """There is one."""
        if not await aside(self._orphans):
            raise WillNot("none of the processes that hold the GPU's memory is an orphan")

    async def act(self) -> JsonObject:
        """TERM to all, KILL to those that stay."""
        targets = await aside(self._orphans)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for target in targets:
                if await aside(partial(there, target)):
                    await aside(partial(send, target, number))
            until = self.reach.clock.monotonic() + self.grace
            while await aside(lambda: any(map(there, targets))) and self.reach.clock.monotonic() < until:
                await self.reach.clock.sleep(0.2)
        if left := await aside(lambda: list(filter(there, targets))):
            raise AgentError(f"process {left[0].pid} is still there after KILL: it waits inside the driver")
        return {"ended": [t.pid for t in targets]}


def _dead(pid: int) -> bool:
    """Whether there is none with that number, or only what is left of one."""
    try:
        return procs.state(pid) in ("Z", "X")
    except AgentError:
        return True


def _leaders(pid: int) -> set[int]:
    """Its process group's and its session's leader."""
    try:
        return {os.getpgid(pid), os.getsid(pid)}
    except OSError:
        return set()
