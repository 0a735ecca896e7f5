"""Let a halted process go on (SIGCONT)."""

from __future__ import annotations

from typing import ClassVar

from agent.actions._action import Base
from agent.actions._process import halt, pid_of
from agent.dataclass import dataclass
from agent.host import procs
from agent.host.lane import aside
from agent.host.reach import Class, WillNot
from agent.model import JsonObject


@dataclass
class Action(Base):
    """Lets the process go on that somebody halted. One that a debugger holds is left to it."""

    class_: ClassVar[Class] = "reversible"
    idempotent: ClassVar[bool] = True
    undoable: ClassVar[bool] = True

    def plan(self) -> str:
        """In words."""
        return f"let {self.name} go on"

    async def check(self) -> None:
        """It is halted, and by nobody's debugger."""
        tracer, state = await aside(lambda: (procs.tracer(pid_of(self.target)), procs.state(pid_of(self.target))))
        if tracer:
            raise WillNot(f"{self.name} is held by a debugger")
        if state != "T":
            raise WillNot(f"{self.name} is not halted")

    async def act(self) -> JsonObject:
        """CONT."""
        await aside(lambda: halt(self.target, False))
        return {}

    async def verify(self, done: JsonObject) -> bool | None:
        """It runs."""
        return await aside(lambda: procs.state(pid_of(self.target))) not in ("T", "t")

    async def undo(self, done: JsonObject) -> None:
        """Halt it again."""
        await aside(lambda: halt(self.target, True))
