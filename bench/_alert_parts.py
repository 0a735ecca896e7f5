"""Parts of the alert benches: a receiver with every kind of manners, incidents put in as the desk would, a running alerting."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from typing import Any

from agent.alerting import Alerts, Receiver
from agent.alerts import tables as alert_tables
from agent.alerts.organ import Alerting
from agent.engine.incident import Complaint, Incident, IncidentEvent
from agent.host.clock import SystemClock
from agent.incidents import tables
from agent.incidents.tables import Batch
from agent.model import Severity, labels
from agent.store.state import State
from agent.yamlfile import Text

CAUSE = {
    "id": "memory.python-leak",
    "title": "Memory grows from one place in the Python code",
    "severity": "warning",
    "confidence": {"lo": 0.79, "hi": 0.87},
    "target": {"kind": "process", "name": "trainer", "pid": 4242, "user": "ml"},
    "culprits": [{"kind": "code", "name": "remember", "file": "/srv/app.py", "line": 42, "function": "remember", "share": 0.93}],
    "consequences": ["memory.oom-risk"],
    "evidence": [
        {"check": f"c{n}", "answer": "true", "says": f"what was seen, number {n}, with a figure of 3.1 MiB/s"} for n in range(6)
    ],
    "advice": "Look at the named line for an unbounded cache or a reference kept by a closure.",
    "artifacts": [],
}

EACH_ALONE = Alerts(group_wait=0.01, group_interval=0.01, settle=0.0, group_by=("incident",))


def incident(number: int, n: int, now: float, *, over: bool = False, cause: str = "memory.python-leak") -> Incident:
    """One incident, open or closed."""
    complaint = Complaint("memory", labels(pid=number), Severity.WARNING, now, now, "grows 3 MiB/s > 1 MiB/min")
    more: dict[str, Any] = {"phase": "closed", "closed": now, "ending": "resolved"} if over else {"phase": "diagnosed"}
    return Incident(number, now, now, version=n, looked=now, complaints=(complaint,), causes=({**CAUSE, "id": cause},), **more)


def save(to: sqlite3.Connection, changed: list[Incident]) -> None:
    """Incidents and their events, in one transaction, as the desk keeps them."""
    number = tables.saved(to) + 1
    events = tuple(
        IncidentEvent(
            f"e{i.id}-{i.version}", i.id, i.version, "resolved" if i.closed else "diagnosed", i.updated, i.severity, "", i
        )
        for i in changed
    )
    tables.save(to, Batch(number, tuple(changed), events))


def webhook(name: str, port: int, deadline: float = 2.0, kind: str = "webhook") -> Receiver:
    """A receiver on this machine."""
    url = f"json://127.0.0.1:{port}/" if kind == "apprise" else f"http://127.0.0.1:{port}/"
    return Receiver(Text(name), kind, url=url, deadline=deadline)  # type: ignore[arg-type]


def state_of(path: str) -> State:
    """The state file with the tables of incidents and alerts."""
    return State(path, [tables.ROOM, alert_tables.ROOM], SystemClock())


@contextlib.asynccontextmanager
async def alerting(state: State, folder: str, receivers: tuple[Receiver, ...], settings: Alerts) -> AsyncIterator[Alerting]:
    """Alerting at work beside a block."""
    made = Alerting(settings, receivers, folder, state, SystemClock(), host="bench")
    await made.open()
    task = asyncio.get_running_loop().create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await made.end("bench")


class Server:
    """One receiver: ``ok``, ``flaky`` (a tenth fails with 500), ``500``, ``hang`` or ``drip``. ``got`` holds (time, payload)."""

    def __init__(self, manners: str) -> None:
        self.manners = manners
        self.got: list[tuple[float, dict[str, Any]]] = []
        self.failed = 0
        self.listening = socket.socket()
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening.bind(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Answer."""
        self._server = await asyncio.start_server(self._serve, sock=self.listening)

    async def stop(self) -> None:
        """End, with all connections."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await self._answer(reader, writer)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        body = await reader.readexactly(length)
        if self.manners == "hang":
            await asyncio.sleep(600)
        fails = self.manners == "500" or (self.manners == "flaky" and random.random() < 0.1)
        if fails:
            self.failed += 1
        else:
            self.got.append((time.time(), json.loads(body)))
        answer = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" if fails else b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        if self.manners == "drip":
            for sign in answer:
                writer.write(bytes([sign]))
                await asyncio.sleep(1.0)
        writer.write(answer)
        await writer.drain()
