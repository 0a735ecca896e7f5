"""A GPU as an action knows it: by UUID, through NVIDIA's own tool, which every driver brings along."""

from __future__ import annotations

import re
from typing import ClassVar

from agent.actions._action import Base
from agent.dataclass import dataclass
from agent.host.reach import WillNot

_UUID = re.compile(r"GPU-[0-9a-fA-F-]{8,64}")
TOOL = "nvidia-smi"


@dataclass
class OnGpu(Base):
    """Base of actions on one GPU."""

    kinds: ClassVar[tuple[str, ...]] = ("gpu",)

    @property
    def uuid(self) -> str:
        """Which. WillNot if the target names none."""
        found = self.target.uuid or ""
        if not _UUID.fullmatch(found):
            raise WillNot(f"{self.name} is no GPU")
        return found

    async def smi(self, *args: str, timeout: float = 60.0) -> str:
        """What the tool says about this GPU. AgentError if it fails."""
        done = await self.command(TOOL, "-i", self.uuid, *args, timeout=timeout)
        return done.out.decode(errors="replace").strip()

    async def asked(self, field: str) -> str:
        """One field of the tool's query."""
        return await self.smi(f"--query-gpu={field}", "--format=csv,noheader,nounits")

    async def users(self) -> list[int]:
        """Processes on it."""
        said = await self.smi("--query-compute-apps=pid", "--format=csv,noheader,nounits")
        return [int(line) for line in said.split() if line.isdecimal()]
