"""Lower the CPU and I/O priority of a process and its children."""

from __future__ import annotations

import contextlib
import os
from typing import ClassVar

from agent.actions._action import Base
from agent.actions._process import held
from agent.dataclass import dataclass
from agent.host import procs
from agent.host.lane import aside
from agent.host.reach import Class, WillNot
from agent.model import JsonObject

MOST = 256


@dataclass
class Action(Base):
    """Nice value of the whole tree; ``idle_io`` also puts its disk requests behind everybody else's, where the scheduler can."""

    class_: ClassVar[Class] = "reversible"
    idempotent: ClassVar[bool] = True
    undoable: ClassVar[bool] = True
    nice: int = 10
    idle_io: bool = True

    def plan(self) -> str:
        """In words."""
        return f"lower {self.name} and its children to nice {self.nice}" + (", disk requests last" if self.idle_io else "")

    async def check(self) -> None:
        """The value is one."""
        if not -20 <= self.nice <= 19:
            raise WillNot(f"nice {self.nice} is not between -20 and 19")

    async def act(self) -> JsonObject:
        """What it was before comes back, by pid and start time."""
        return await aside(self._lower)

    def _lower(self) -> JsonObject:
        import psutil

        before = []
        with held(self.target):
            assert self.target.pid is not None
            for pid in procs.tree(self.target.pid)[:MOST]:
                with contextlib.suppress(psutil.Error, ProcessLookupError):
                    process = psutil.Process(pid)
                    ionice = process.ionice() if self.idle_io else None
                    before.append(
                        [pid, procs.start_time(pid), os.getpriority(os.PRIO_PROCESS, pid), int(ionice[0]) if ionice else None]
                    )
                    self._set(process, self.nice, psutil.IOPRIO_CLASS_IDLE if self.idle_io else None)
        return {"before": before}

    def _set(self, process: object, nice: int, io: int | None) -> None:
        import psutil

        assert isinstance(process, psutil.Process)
        try:
            process.nice(nice)
            if io is not None:
                process.ionice(io)
        except psutil.AccessDenied:
            raise WillNot(f"the agent may not change the priority of process {process.pid}", help="it needs CAP_SYS_NICE") from None

    async def verify(self, done: JsonObject) -> bool | None:
        """The process has the value."""
        pid = self.target.pid
        with contextlib.suppress(ProcessLookupError):
            return pid is not None and os.getpriority(os.PRIO_PROCESS, pid) == self.nice
        return None

    async def undo(self, done: JsonObject) -> None:
        """Everyone that is still there gets back what it had."""
        await aside(lambda: self._restore(done))

    def _restore(self, done: JsonObject) -> None:
        import psutil

        for pid, start, nice, io in done["before"]:
            if procs.still(pid, start):
                with contextlib.suppress(psutil.NoSuchProcess):
                    self._set(psutil.Process(pid), nice, io)
