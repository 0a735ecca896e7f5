"""Take a service out of work: a drain command first, then its cgroup is frozen; taken back, it goes on where it stood."""

from __future__ import annotations

from typing import ClassVar

from agent.actions._action import Base
from agent.actions._unit import active, shown, unit_of
from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.reach import Class, WillNot
from agent.model import JsonObject
from agent.yamlfile import Seconds


@dataclass
class Action(Base):
    """``drain``: a command (a list, no shell) that takes it out of the load balancer; it must end well before anything is frozen.

    With ``stop`` the unit is stopped instead, and started again when taken back.
    """

    class_: ClassVar[Class] = "disruptive"
    kinds: ClassVar[tuple[str, ...]] = ("process", "unit")
    idempotent: ClassVar[bool] = True
    undoable: ClassVar[bool] = True
    unit: str = ""
    drain: tuple[str, ...] = ()
    drain_timeout: Seconds = 60.0
    stop: bool = False

    def plan(self) -> str:
        """In words."""
        first = f"run {' '.join(self.drain)}, then " if self.drain else ""
        return f"{first}{'stop' if self.stop else 'freeze'} {self.unit or self.target.unit}"

    async def check(self) -> None:
        """It runs, and can be frozen."""
        unit = unit_of(self.target, self.unit)
        await active(self, unit)
        if not self.stop and await shown(self, unit, "CanFreeze") == "no":
            raise WillNot(f"{unit} cannot be frozen on this host", help="use stop: true")

    async def act(self) -> JsonObject:
        """Drain, then freeze or stop."""
        unit = unit_of(self.target, self.unit)
        if self.drain:
            await self.command(*self.drain, timeout=self.drain_timeout)
        await self.command("systemctl", "stop" if self.stop else "freeze", "--", unit, timeout=120)
        return {"unit": unit, "stopped": self.stop}

    async def verify(self, done: JsonObject) -> bool | None:
        """It is out of work."""
        if done["stopped"]:
            return await shown(self, done["unit"], "ActiveState") in ("inactive", "failed")
        return await shown(self, done["unit"], "FreezerState") == "frozen"

    async def undo(self, done: JsonObject) -> None:
        """Let it work again."""
        if await shown(self, done["unit"], "LoadState") != "loaded":
            raise AgentError(f"systemd knows no {done['unit']} any more")
        await self.command("systemctl", "start" if done["stopped"] else "thaw", "--", done["unit"], timeout=120)
