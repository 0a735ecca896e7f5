"""Write into the incident's record what people should do; alerts carry it to them."""

from __future__ import annotations

from typing import ClassVar

from agent.actions._action import Base
from agent.dataclass import dataclass
from agent.host.reach import Class
from agent.model import JsonObject


@dataclass
class Action(Base):
    """``text`` goes into the incident's timeline and to those who follow it."""

    class_: ClassVar[Class] = "observe"
    kinds: ClassVar[tuple[str, ...]] = ("host", "process", "unit", "cgroup", "gpu", "endpoint", "run")
    idempotent: ClassVar[bool] = True
    text: str = ""

    def plan(self) -> str:
        """In words."""
        return f"tell people: {self.text}"

    async def act(self) -> JsonObject:
        """The runner writes what comes back into the incident."""
        return {"said": self.text}
