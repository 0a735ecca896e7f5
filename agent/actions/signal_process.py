"""End a process: TERM, and KILL after a grace."""

from __future__ import annotations

import signal
from typing import ClassVar

from agent.actions._action import Base
from agent.actions._process import held, send, there
from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.lane import aside
from agent.host.reach import Class
from agent.model import JsonObject
from agent.yamlfile import Seconds

POLL_S = 0.2


@dataclass
class Action(Base):
    """Ends the process, and only that one: its children see what they see. With ``kill`` it is not asked a second time."""

    class_: ClassVar[Class] = "destructive"
    grace: Seconds = 10.0
    kill: bool = True

    def plan(self) -> str:
        """In words."""
        return f"send TERM to {self.name}" + (f", and KILL if it is there {self.grace:g} s later" if self.kill else "")

    async def check(self) -> None:
        """It is the one that was meant."""
        await aside(self._hold)

    def _hold(self) -> None:
        with held(self.target):
            pass

    async def act(self) -> JsonObject:
        """TERM, wait, KILL. AgentError if it is still there."""
        await aside(lambda: send(self.target, signal.SIGTERM))
        if await self._gone(self.grace):
            return {"signal": "TERM"}
        if not self.kill:
            raise AgentError(f"{self.name} did not end within {self.grace:g} s")
        await aside(lambda: send(self.target, signal.SIGKILL))
        if not await self._gone(5.0):
            raise AgentError(f"{self.name} is still there after KILL: it waits inside the kernel")
        return {"signal": "KILL"}

    async def _gone(self, seconds: float) -> bool:
        clock = self.reach.clock
        until = clock.monotonic() + seconds
        while await aside(lambda: there(self.target)):
            if clock.monotonic() >= until:
                return False
            await clock.sleep(POLL_S)
        return True

    async def verify(self, done: JsonObject) -> bool | None:
        """It is gone."""
        return not await aside(lambda: there(self.target))
