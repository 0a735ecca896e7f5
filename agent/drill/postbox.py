"""A receiver for the alerts of a drill: what a webhook would get, kept with the moment it arrived."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from agent.dataclass import dataclass

MOST_BODY = 4 << 20


@dataclass(frozen=True)
class Told:
    """One alert as it was delivered; ``at`` is monotonic seconds. ``diagnosis`` is the agent's own, made before it told.

    ``due`` is how many seconds after the fault it should have been there.
    """

    at: float
    incident: str
    cause: str
    culprit: str
    command: str
    status: str
    pid: int | None
    diagnosis: Mapping[str, Any] | None = None
    due: float = 0.0


class Postbox:
    """Listens on this machine while a drill is held."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._new = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def wait(self, causes: Collection[str], pid: int | None, seconds: float) -> Told | None:
        """The first message that tells of one of these causes (none: of anything) on a target, at most so many seconds from now."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    firing = (t for t in self.told if (not causes or t.cause in causes) and t.status == "firing")
                    found = next((t for t in firing if about(t.pid, pid)), None)
                    if found is not None:
                        return found
                    self._new.clear()
                    await self._new.wait()
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, EOFError, ValueError, KeyError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(min(length, MOST_BODY))
            self._take(json.loads(body)["data"])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()
        self._tasks.discard(task)

    def _take(self, data: Mapping[str, Any]) -> None:
        for alert in data["alerts"]:
            pid = alert["labels"].get("pid", "")
            known = (alert["incident"], alert["cause"], alert["culprit"], alert.get("command", ""), alert["status"])
            self.told.append(Told(time.monotonic(), *known, int(pid) if pid.isdecimal() else None))
        self._new.set()


@contextlib.asynccontextmanager
async def postbox() -> AsyncIterator[tuple[Postbox, str]]:
    """A postbox and its address, for a block."""
    box = Postbox()
    server = await asyncio.start_server(box._serve, "127.0.0.1", 0)
    try:
        yield box, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in box._tasks:
            task.cancel()


def about(said: int | None, pid: int | None) -> bool:
    """Whether a pid that was named is the target or of its session; a host's trouble is about everybody."""
    if said is None or pid is None:
        return True
    with contextlib.suppress(ProcessLookupError, PermissionError):
        return said == pid or os.getsid(said) == os.getsid(pid)
    return False
