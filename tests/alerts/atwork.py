"""Alerting at work: a real state file, real incident events, and a list in place of receivers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from agent.alerting import Alerts, Receiver
from agent.alerts import tables as alert_tables
from agent.alerts.model import DONE, Address, Outcome
from agent.alerts.organ import Alerting
from agent.engine.incident import Complaint, Incident, IncidentEvent, Kind
from agent.host.clock import SystemClock
from agent.incidents import tables
from agent.incidents.tables import Batch
from agent.model import Severity, labels
from agent.store.state import State
from tests.alerts.worlds import finding, receiver

QUICK = Alerts(group_wait=0.05, group_interval=0.3, settle=0.0)


class Host:
    """One state file and the alerting on it; incidents are put in as the desk would."""

    def __init__(self, folder: Path, receivers: tuple[Receiver, ...], settings: Alerts) -> None:
        self.clock = SystemClock()
        self.state = State(str(folder / "state.db"), [tables.ROOM, alert_tables.ROOM], self.clock)
        self.settings, self.receivers, self.folder = settings, receivers, folder
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.answer: Callable[[Address], Outcome] = lambda address: DONE
        self.batch = 0
        self.events: dict[int, int] = {}
        self.alerting = self.made()

    def made(self) -> Alerting:
        """Alerting that sends into the list."""
        alerting = Alerting(self.settings, self.receivers, str(self.folder), self.state, self.clock, host="h", env={})
        alerting.courier.send = self.send
        return alerting

    async def send(self, address: Address, told: dict[str, Any]) -> Outcome:
        """What a sender does."""
        outcome = self.answer(address)
        if outcome.ending == "done" or outcome.unsure:
            self.got.append((address.name, told))
        await asyncio.sleep(0)
        return outcome

    async def tell(self, number: int, kind: Kind = "diagnosed", **more: Any) -> None:
        """An incident changes, and its event is committed with it."""
        self.batch += 1
        n = self.events[number] = self.events.get(number, 0) + 1
        now = self.clock.now()
        complaint = Complaint("memory", labels(pid=number), Severity.WARNING, now, now, "grows 3 MiB/s > 1 MiB/min")
        known = {"looked": now, "causes": (finding(),), "complaints": (complaint,), "phase": "diagnosed"}
        incident = Incident(**{"id": number, "opened": now, "updated": now, "version": n, **known, **more})
        event = IncidentEvent(f"e{number}-{n}", number, n, kind, now, incident.severity, "", incident)
        await self.state.write(lambda to: tables.save(to, Batch(self.batch, (incident,), (event,))))
        self.alerting.hint()

    async def end(self, number: int) -> None:
        """It is over."""
        await self.tell(number, "resolved", phase="closed", closed=self.clock.now(), ending="resolved")

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something to become true."""
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - whatever a test waits for
                await asyncio.sleep(0.01)

    def told(self, name: str = "a") -> list[str]:
        """Kinds of what arrived."""
        return [told["kind"] for address, told in self.got if address == name]


@contextlib.asynccontextmanager
async def running(
    folder: Path, receivers: tuple[Receiver, ...] = (receiver("a"), receiver("b")), settings: Alerts = QUICK
) -> AsyncIterator[Host]:
    """A host whose alerting runs."""
    host = Host(folder, receivers, settings)
    await host.state.open()
    try:
        async with going(host):
            yield host
    finally:
        await host.state.close()


@contextlib.asynccontextmanager
async def going(host: Host) -> AsyncIterator[None]:
    """Alerting runs beside a block."""
    await host.alerting.open()
    task = asyncio.get_running_loop().create_task(host.alerting.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await host.alerting.end("test")
