"""Ask whoever runs a service for more, or fewer, of it."""

from __future__ import annotations

from typing import ClassVar

from agent.actions._hook import Hook
from agent.dataclass import dataclass
from agent.host.reach import Class, WillNot
from agent.model import JsonObject


@dataclass
class Action(Hook):
    """A webhook whose body says ``service``, and either ``to`` (how many) or ``by`` (how many more, or fewer if negative)."""

    class_: ClassVar[Class] = "reversible"
    what: str = "scale"
    service: str = ""
    to: int = 0
    by: int = 0

    def plan(self) -> str:
        """In words."""
        how = f"to {self.to}" if self.to else f"by {self.by:+d}"
        return f"ask for {self.service or self.target.unit or self.name} to be scaled {how}"

    def asked(self) -> JsonObject:
        """The typed part of the body."""
        return {**super().asked(), "service": self.service or self.target.unit, **({"to": self.to} if self.to else {"by": self.by})}

    async def check(self) -> None:
        """One of the two is said."""
        if bool(self.to) == bool(self.by):
            raise WillNot("say either to or by")
        await super().check()
