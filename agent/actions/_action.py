"""What actions share."""

from __future__ import annotations

from typing import ClassVar

from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.reach import Class, Reach, WillNot
from agent.host.run import Completed
from agent.model import JsonObject, Target


@dataclass
class Base:
    """Target and reach, and the answers of an action that leaves nothing to see or take back."""

    target: Target
    reach: Reach
    class_: ClassVar[Class] = "disruptive"
    kinds: ClassVar[tuple[str, ...]] = ("process",)
    idempotent: ClassVar[bool] = False
    undoable: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The target in words."""
        t = self.target
        return f"{t.name or t.kind} (pid {t.pid})" if t.pid else t.unit or t.cgroup or t.uuid or t.name or t.kind

    async def check(self) -> None:
        """Nothing speaks against it."""

    async def verify(self, done: JsonObject) -> bool | None:
        """It leaves nothing to see."""
        return None

    async def undo(self, done: JsonObject) -> None:
        """WillNot: it cannot be taken back."""
        raise WillNot("this cannot be taken back")

    async def command(self, *argv: str, timeout: float = 60.0, may_fail: bool = False) -> Completed:
        """Run a program. AgentError with what it said if it failed."""
        done = await self.reach.run(argv, timeout=timeout)
        if (done.rc != 0 or done.timed_out) and not may_fail:
            said = (done.err or done.out).decode(errors="replace").strip().splitlines()
            why = "no answer in time" if done.timed_out else said[-1] if said else f"exit {done.rc}"
            raise AgentError(f"{' '.join(argv[:3])}: {why[:300]}")
        return done
