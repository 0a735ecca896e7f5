"""What the daemon is made of."""

from __future__ import annotations

from typing import Protocol

from agent.model import Metric


class Organ(Protocol):
    """A part that works as long as the agent does. It may not fail: a crash ends the process, and systemd starts it again."""

    name: str
    metrics: tuple[Metric, ...]

    async def run(self) -> None:
        """Work until cancelled."""
        ...

    async def end(self, reason: str) -> None:
        """What is to be done after that, within a few seconds."""
        ...
