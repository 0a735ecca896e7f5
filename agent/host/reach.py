"""What an action is, and what it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar, Literal, Protocol

from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.clock import Clock
from agent.host.run import Completed
from agent.model import JsonObject

Class = Literal["observe", "reversible", "disruptive", "destructive"]


class WillNot(AgentError):
    """The action is not possible or not safe here and now: nothing was touched."""


async def nothing_held() -> None:
    """For a host without GPUs."""


@dataclass(frozen=True)
class Reach:
    """What an action may use. ``release_gpus``: the agent's own handles go, before a reset. ``state_dir``: for attaching."""

    clock: Clock
    run: Callable[..., Awaitable[Completed]]
    evidence_dir: str
    told: JsonObject  # the incident as it stands, for those that tell somebody
    release_gpus: Callable[[], Awaitable[None]] = nothing_held
    state_dir: str = ""


class Action(Protocol):
    """One change. A dataclass: its fields are ``target``, ``reach`` and its settings under ``with:``.

    ``kinds``: what it can act on (``process``, ``unit``, ``gpu`` …).
    ``idempotent``: doing it twice is as doing it once, so it may be repeated when a crash left open whether it was done.
    ``undoable``: :meth:`undo` takes back what :meth:`act` returned.
    """

    class_: ClassVar[Class]
    kinds: ClassVar[tuple[str, ...]]
    idempotent: ClassVar[bool]
    undoable: ClassVar[bool]

    def plan(self) -> str:
        """What it would do, in words a person can decide on."""
        ...

    async def check(self) -> None:
        """WillNot, with the reason, if it must not be done."""
        ...

    async def act(self) -> JsonObject:
        """Do it. What :meth:`undo` and :meth:`verify` need comes back, as plain JSON; AgentError if it failed."""
        ...

    async def verify(self, done: JsonObject) -> bool | None:
        """Whether its own effect is there; None if that cannot be seen. Whether it *helped* is the playbook's question."""
        ...

    async def undo(self, done: JsonObject) -> None:
        """Take it back."""
        ...
