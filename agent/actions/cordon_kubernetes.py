"""Take this node out of Kubernetes' scheduling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from agent.actions._action import Base
from agent.host.reach import Class, WillNot
from agent.model import JsonObject

_NODE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass
class Action(Base):
    """``kubectl cordon``: pods on it go on, new ones do not come. ``kubeconfig``: a file with the rights to patch nodes."""

    class_: ClassVar[Class] = "reversible"
    kinds: ClassVar[tuple[str, ...]] = ("host", "gpu", "process", "unit", "cgroup")
    idempotent: ClassVar[bool] = True
    undoable: ClassVar[bool] = True
    node: str = ""
    kubeconfig: str = ""

    def plan(self) -> str:
        """In words."""
        return f"cordon {self.node or 'this node'} in Kubernetes"

    async def _kubectl(self, *args: str) -> str:
        where = ["--kubeconfig", self.kubeconfig] if self.kubeconfig else []
        return (await self.command("kubectl", *where, "--request-timeout=20s", *args)).out.decode(errors="replace").strip()

    async def _name(self) -> str:
        name = self.node or (await self.command("hostname")).out.decode().strip().lower()
        if not _NODE.fullmatch(name):
            raise WillNot(f"'{name}' is no name of a node")
        return name

    async def _cordoned(self, node: str) -> bool:
        return await self._kubectl("get", "node", node, "--output", "jsonpath={.spec.unschedulable}") == "true"

    async def check(self) -> None:
        """It takes pods now."""
        if await self._cordoned(await self._name()):
            raise WillNot("the node is cordoned already")

    async def act(self) -> JsonObject:
        """Cordon."""
        node = await self._name()
        await self._kubectl("cordon", node)
        return {"node": node}

    async def verify(self, done: JsonObject) -> bool | None:
        """It takes no new pods."""
        return await self._cordoned(done["node"])

    async def undo(self, done: JsonObject) -> None:
        """Let pods come again."""
        await self._kubectl("uncordon", done["node"])
