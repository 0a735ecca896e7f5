"""Set a GPU's power limit."""

from __future__ import annotations

from typing import ClassVar

from agent.actions._gpu import OnGpu
from agent.dataclass import dataclass
from agent.host.reach import Class, WillNot
from agent.model import JsonObject


@dataclass
class Action(OnGpu):
    """``watts``; 0: the card's default."""

    class_: ClassVar[Class] = "reversible"
    idempotent: ClassVar[bool] = True
    undoable: ClassVar[bool] = True
    watts: float = 0.0

    def plan(self) -> str:
        """In words."""
        return f"set the power limit of GPU {self.target.uuid} to {f'{self.watts:g} W' if self.watts else 'its default'}"

    async def _wanted(self) -> float:
        return self.watts or float(await self.asked("power.default_limit"))

    async def check(self) -> None:
        """The card allows it."""
        low, high = float(await self.asked("power.min_limit")), float(await self.asked("power.max_limit"))
        if not low <= await self._wanted() <= high:
            raise WillNot(f"{self.watts:g} W is not between {low:g} and {high:g} W")

    async def act(self) -> JsonObject:
        """Set it; what it was comes back."""
        before = float(await self.asked("power.limit"))
        await self.smi(f"--power-limit={await self._wanted():g}")
        return {"before": before}

    async def verify(self, done: JsonObject) -> bool | None:
        """It is set."""
        return abs(float(await self.asked("power.limit")) - await self._wanted()) < 1.0

    async def undo(self, done: JsonObject) -> None:
        """As it was."""
        await self.smi(f"--power-limit={done['before']:g}")
