"""Restart a systemd unit."""

from __future__ import annotations

from typing import ClassVar

from agent.actions._action import Base
from agent.actions._unit import active, unit_of
from agent.dataclass import dataclass
from agent.host.reach import Class
from agent.model import JsonObject


@dataclass
class Action(Base):
    """``systemctl restart``: its requests and connections end. ``unit``: another than the target's own."""

    class_: ClassVar[Class] = "disruptive"
    kinds: ClassVar[tuple[str, ...]] = ("process", "unit")
    unit: str = ""

    def plan(self) -> str:
        """In words."""
        return f"restart {self.unit or self.target.unit}"

    async def check(self) -> None:
        """It is a service of this host, it runs, and it is not the agent."""
        await active(self, unit_of(self.target, self.unit))

    async def act(self) -> JsonObject:
        """Restart, and wait until it is up."""
        unit = unit_of(self.target, self.unit)
        await self.command("systemctl", "restart", "--", unit, timeout=300)
        return {"unit": unit}

    async def verify(self, done: JsonObject) -> bool | None:
        """It is active."""
        state = await self.command("systemctl", "is-active", "--", done["unit"], may_fail=True)
        return state.out.strip() == b"active"
