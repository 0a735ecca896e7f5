"""Halt a process where it stands (SIGSTOP); taken back, it goes on."""

from __future__ import annotations

from typing import ClassVar

from agent.actions._action import Base
from agent.actions._process import halt, pid_of
from agent.dataclass import dataclass
from agent.host import procs
from agent.host.lane import aside
from agent.host.reach import Class
from agent.model import JsonObject


@dataclass
class Action(Base):
    """Halts the process. It keeps its memory and its locks: whoever waits for it waits."""

    class_: ClassVar[Class] = "disruptive"
    idempotent: ClassVar[bool] = True
    undoable: ClassVar[bool] = True

    def plan(self) -> str:
        """In words."""
        return f"halt {self.name} until it is let go on"

    async def act(self) -> JsonObject:
        """STOP; whether it was halted before is kept, so that taking it back does not wake it."""
        was = await aside(lambda: procs.state(pid_of(self.target)))
        await aside(lambda: halt(self.target, True))
        return {"was": was}

    async def verify(self, done: JsonObject) -> bool | None:
        """It is halted."""
        return await aside(lambda: procs.state(pid_of(self.target))) in ("T", "t")

    async def undo(self, done: JsonObject) -> None:
        """CONT, unless it was halted before."""
        if done.get("was") not in ("T", "t"):
            await aside(lambda: halt(self.target, False))
