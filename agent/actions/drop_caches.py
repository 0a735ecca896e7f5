"""Let the kernel forget clean page cache, dentries and inodes."""

from __future__ import annotations

from typing import ClassVar

from agent.actions._action import Base
from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.lane import aside
from agent.host.reach import Class, WillNot
from agent.model import JsonObject

FILE = "/proc/sys/vm/drop_caches"


@dataclass
class Action(Base):
    """Nothing is lost, but what was cached is read from disk again: everybody's reads are slow for a while. ``what``: 1, 2 or 3."""

    class_: ClassVar[Class] = "disruptive"
    kinds: ClassVar[tuple[str, ...]] = ("host", "process", "unit", "cgroup")
    idempotent: ClassVar[bool] = True
    what: int = 1
    file: ClassVar[str] = FILE

    def plan(self) -> str:
        """In words."""
        words = {1: "page cache", 2: "dentries and inodes", 3: "page cache, dentries and inodes"}
        return f"let the kernel forget {words.get(self.what, '?')}"

    async def check(self) -> None:
        """The kernel knows the value."""
        if self.what not in (1, 2, 3):
            raise WillNot(f"what: {self.what} is not 1, 2 or 3")

    async def act(self) -> JsonObject:
        """Ask the kernel."""

        def ask() -> None:
            try:
                with open(self.file, "w") as file:
                    file.write(str(self.what))
            except OSError as error:
                raise AgentError(f"{self.file}: {error.strerror}", help="the agent must be root") from None

        await aside(ask, 120.0)
        return {}
