"""Take this node out of Slurm's scheduling."""

from __future__ import annotations

import re
from typing import ClassVar

from agent.actions._action import Base
from agent.dataclass import dataclass
from agent.host.reach import Class, WillNot
from agent.model import JsonObject

_NODE = re.compile(r"[A-Za-z0-9._-]{1,255}")


@dataclass
class Action(Base):
    """``scontrol update state=drain``: jobs on it go on, new ones do not come. ``node``: its name in Slurm, if another."""

    class_: ClassVar[Class] = "reversible"
    kinds: ClassVar[tuple[str, ...]] = ("host", "gpu", "process", "unit", "cgroup")
    idempotent: ClassVar[bool] = True
    undoable: ClassVar[bool] = True
    node: str = ""
    reason: str = "anfl-agent"

    def plan(self) -> str:
        """In words."""
        return f"drain {self.node or 'this node'} in Slurm ({self.reason})"

    async def _name(self) -> str:
        if self.node:
            name = self.node
        else:
            name = (await self.command("hostname", "-s")).out.decode().strip()
        if not _NODE.fullmatch(name):
            raise WillNot(f"'{name}' is no name of a node")
        return name

    async def _state(self, node: str) -> str:
        said = (await self.command("sinfo", "--noheader", "--nodes", node, "--format", "%T")).out.decode().split()
        if not said:
            raise WillNot(f"Slurm knows no node {node}")
        return said[0].rstrip("*~#!%$@^-").lower()

    async def check(self) -> None:
        """Slurm knows it, and it is not out already."""
        state = await self._state(await self._name())
        if state in ("drained", "draining", "down"):
            raise WillNot(f"the node is {state} already")

    async def act(self) -> JsonObject:
        """Drain."""
        node = await self._name()
        await self.command("scontrol", "update", f"nodename={node}", "state=drain", f"reason={self.reason[:100]}")
        return {"node": node}

    async def verify(self, done: JsonObject) -> bool | None:
        """It takes no new jobs."""
        return await self._state(done["node"]) in ("drained", "draining")

    async def undo(self, done: JsonObject) -> None:
        """Let jobs come again."""
        await self.command("scontrol", "update", f"nodename={done['node']}", "state=resume")
