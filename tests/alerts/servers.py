"""Receivers on this machine for tests: an HTTP server that keeps what it gets, a mail server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Got:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass
class Web:
    """Answers every request with ``status`` and ``body``, and keeps it; ``hang`` keeps them waiting instead."""

    url: str = ""
    port: int = 0
    status: str = "200 OK"
    headers: str = ""
    body: str = ""
    hang: bool = False
    got: list[Got] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        with contextlib.suppress(OSError, EOFError):
            head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.got.append(Got(head.split()[1], headers, body))
            if self.hang:
                await asyncio.Event().wait()
            said = self.body.encode()
            head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(said)}\r\nConnection: close\r\n{self.headers}\r\n"
            writer.write(head.encode() + said)
            await writer.drain()


@contextlib.asynccontextmanager
async def web(**more: Any) -> AsyncIterator[Web]:
    """A server for a block."""
    made = Web(**more)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await made.serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    made.url = f"http://127.0.0.1:{made.port}"
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def mail() -> AsyncIterator[tuple[int, list[Any]]]:
    """A mail server for a block: its port, and the envelopes it took."""
    from aiosmtpd.smtp import SMTP

    took: list[Any] = []

    class Keep:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            took.append(envelope)
            return "250 taken"

    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Keep(), hostname="test"), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], took
    finally:
        server.close()
