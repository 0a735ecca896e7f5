"""Remove shared-memory files that nobody uses any more: what dead training jobs leave in /dev/shm."""

from __future__ import annotations

from agent.actions._clearing import Clearing
from agent.dataclass import dataclass
from agent.host.reach import WillNot
from agent.yamlfile import Seconds


@dataclass
class Action(Clearing):
    """Files in /dev/shm that no process has open or mapped and that are older than ``age``."""

    path: str = "/dev/shm"
    age: Seconds = 3600.0

    def plan(self) -> str:
        """In words."""
        return f"remove shared memory that nobody uses, older than {self.age / 3600:g} h"

    async def check(self) -> None:
        """What somebody uses stays, whatever the settings say."""
        if not self.skip_open or self.path != "/dev/shm":
            raise WillNot("only what nobody has open, and only in /dev/shm")
