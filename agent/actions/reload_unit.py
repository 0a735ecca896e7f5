"""Let a systemd unit read its configuration again."""

from __future__ import annotations

from typing import ClassVar

from agent.actions._action import Base
from agent.actions._unit import active, shown, unit_of
from agent.dataclass import dataclass
from agent.host.reach import Class, WillNot
from agent.model import JsonObject


@dataclass
class Action(Base):
    """``systemctl reload``: nothing ends, if the service keeps that promise."""

    class_: ClassVar[Class] = "disruptive"
    kinds: ClassVar[tuple[str, ...]] = ("process", "unit")
    idempotent: ClassVar[bool] = True
    unit: str = ""

    def plan(self) -> str:
        """In words."""
        return f"reload {self.unit or self.target.unit}"

    async def check(self) -> None:
        """It runs and knows how to reload."""
        unit = unit_of(self.target, self.unit)
        await active(self, unit)
        if await shown(self, unit, "CanReload") != "yes":
            raise WillNot(f"{unit} cannot be reloaded", help="use restart_unit")

    async def act(self) -> JsonObject:
        """Reload."""
        unit = unit_of(self.target, self.unit)
        await self.command("systemctl", "reload", "--", unit, timeout=120)
        return {"unit": unit}
