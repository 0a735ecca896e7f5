"""Reset a GPU that nobody uses."""

from __future__ import annotations

from typing import ClassVar

from agent.actions._gpu import OnGpu
from agent.dataclass import dataclass
from agent.host.reach import Class, WillNot
from agent.model import JsonObject


@dataclass
class Action(OnGpu):
    """The agent lets go of NVML first. Refused while any process holds the GPU: killing them is another playbook's decision."""

    class_: ClassVar[Class] = "destructive"

    def plan(self) -> str:
        """In words."""
        return f"reset GPU {self.target.uuid}, if no process holds it"

    async def check(self) -> None:
        """Nobody is on it."""
        if users := await self.users():
            raise WillNot(f"process {users[0]} holds the GPU", help="end or move it first")

    async def act(self) -> JsonObject:
        """Let go, look again, reset."""
        await self.reach.release_gpus()
        await self.check()
        await self.smi("--gpu-reset", timeout=120)
        return {}

    async def verify(self, done: JsonObject) -> bool | None:
        """It answers again."""
        return self.uuid in await self.asked("uuid")
