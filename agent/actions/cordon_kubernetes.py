"""Take this node out of Kubernetes' scheduling."""

from __future__ import annotations

import re
from typing import ClassVar

from agent.actions._action import Base
from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.reach import Class, WillNot
from agent.host.run import Completed
from agent.host.text import clean
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

    async def _kubectl(self, *args: str) -> Completed:
        where = ["--kubeconfig", self.kubeconfig] if self.kubeconfig else []
        return await self.command("kubectl", *where, "--request-timeout=20s", *args)

    async def _name(self) -> str:
        name = self.node or (await self.command("hostname")).out.decode().strip().lower()
        if not _NODE.fullmatch(name):
            raise WillNot(f"'{name}' is no name of a node")
        return name

    async def _cordoned(self, node: str) -> bool:
        return (await self._kubectl("get", "node", node, "--output", "jsonpath={.spec.unschedulable}")).out.strip() == b"true"

    async def _make(self, word: str, node: str, cordoned: bool) -> None:
        """kubectl ends with 0 also where the cluster refused: so it is looked at."""
        done = await self._kubectl(word, node)
        if await self._cordoned(node) is not cordoned:
            said = done.err.decode(errors="replace").strip().splitlines()
            raise AgentError(f"kubectl {word} {node}: {clean(said[-1], 300) if said else 'it changed nothing'}")

    async def check(self) -> None:
        """It takes pods now."""
        if await self._cordoned(await self._name()):
            raise WillNot("the node is cordoned already")

    async def act(self) -> JsonObject:
        """Cordon."""
        node = await self._name()
        await self._make("cordon", node, True)
        return {"node": node}

    async def verify(self, done: JsonObject) -> bool | None:
        """It takes no new pods."""
        return await self._cordoned(done["node"])

    async def undo(self, done: JsonObject) -> None:
        """Let pods come again."""
        await self._make("uncordon", done["node"], False)
