"""Switch a GPU's persistence mode."""

from __future__ import annotations

from typing import ClassVar

from agent.actions._gpu import OnGpu
from agent.dataclass import dataclass
from agent.host.reach import Class
from agent.model import JsonObject


@dataclass
class Action(OnGpu):
    """On: the driver stays loaded between jobs, so that a first call takes no seconds."""

    class_: ClassVar[Class] = "reversible"
    idempotent: ClassVar[bool] = True
    undoable: ClassVar[bool] = True
    on: bool = True

    def plan(self) -> str:
        """In words."""
        return f"switch persistence mode of GPU {self.target.uuid} {'on' if self.on else 'off'}"

    async def act(self) -> JsonObject:
        """Set it; what it was comes back."""
        before = await self.asked("persistence_mode")
        await self.smi(f"--persistence-mode={int(self.on)}")
        return {"before": before}

    async def verify(self, done: JsonObject) -> bool | None:
        """It is set."""
        return (await self.asked("persistence_mode") == "Enabled") == self.on

    async def undo(self, done: JsonObject) -> None:
        """As it was."""
        await self.smi(f"--persistence-mode={int(done['before'] == 'Enabled')}")
