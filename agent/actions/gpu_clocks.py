"""Lock a GPU's SM clock to a range, or let it free."""

from __future__ import annotations

from typing import ClassVar

from agent.actions._gpu import OnGpu
from agent.dataclass import dataclass
from agent.host.reach import Class, WillNot
from agent.model import JsonObject


@dataclass
class Action(OnGpu):
    """``low`` and ``high`` in MHz; both 0: no lock, as after a boot. What was before cannot be read: undoing lets it free."""

    class_: ClassVar[Class] = "reversible"
    idempotent: ClassVar[bool] = True
    undoable: ClassVar[bool] = True
    low: int = 0
    high: int = 0

    def plan(self) -> str:
        """In words."""
        return (
            f"lock the clock of GPU {self.target.uuid} to {self.low}-{self.high} MHz" if self.high else "let the GPU's clock free"
        )

    async def check(self) -> None:
        """The card can run at that."""
        if self.high:
            most = await self.asked("clocks.max.sm")
            if not 0 < self.low <= self.high or (most.isdecimal() and self.high > int(most)):
                raise WillNot(f"{self.low}-{self.high} MHz is not within what the card can do ({most} MHz)")

    async def act(self) -> JsonObject:
        """Set it."""
        await self.smi(*([f"--lock-gpu-clocks={self.low},{self.high}"] if self.high else ["--reset-gpu-clocks"]))
        return {}

    async def undo(self, done: JsonObject) -> None:
        """Let it free."""
        await self.smi("--reset-gpu-clocks")
