"""Alerting behind a socket, as commands reach it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from agent.host import agentsock
from agent.host.lane import Lane
from agent.model import JsonObject
from agent.web.alerts import AlertsApi
from agent.web.sock import AgentSocket
from tests.alerts.atwork import Host, running
from tests.web.test_sock import FakeBackend

T = TypeVar("T")


class Door:
    """The socket and a client beside the loop."""

    def __init__(self, path: Path, host: Host) -> None:
        self.path, self.host = str(path), host
        self.socket = AgentSocket(self.path, FakeBackend(), more=AlertsApi(host.alerting.answers).routes())
        self.lane = Lane("client")

    async def aside(self, call: Callable[[], T]) -> T:
        """A blocking call beside the loop."""
        return await self.lane.run(call, 20)

    async def ask(self, method: str, route: str, body: JsonObject | None = None) -> JsonObject:
        """The answer."""
        return next(iter(await self.aside(lambda: list(agentsock.ask(self.path, method, route, body, timeout=5)))))


@contextlib.asynccontextmanager
async def door(folder: Path) -> AsyncIterator[Door]:
    """Two receivers, ``a`` and ``b``, that are lists."""
    async with running(folder) as host:
        made = Door(folder / "agent.sock", host)
        await made.socket.start()
        try:
            yield made
        finally:
            await made.socket.stop()
            made.lane.close()
