"""What goes on beside incidents: heartbeats, alerts an Alertmanager must be told again, the daily digest."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta, tzinfo

from agent.alerting import Digest, Receiver
from agent.alerts.courier import Courier
from agent.alerts.letters import entry
from agent.alerts.message import notice
from agent.alerts.model import Address, Row
from agent.alerts.tables import Writes
from agent.engine.report import when
from agent.host.lane import aside
from agent.matching import clock_minutes, parse_zone
from agent.model import JsonObject

log = logging.getLogger("anfl.alerts")

SHOWN_IN_DIGEST = 50


class Keepers:
    """Tasks beside the courier; ``healthy`` says whether the agent does its work: only then it gives signs of life."""

    def __init__(self, courier: Courier, healthy: Callable[[], bool]) -> None:
        self._courier = courier
        self._healthy = healthy
        self.last_beat: dict[str, float] = {}
        self._anew = asyncio.Event()

    def begin_anew(self) -> None:
        """The settings are others."""
        self._anew.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._anew.clear()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work, name=f"alerts-{name}") for name, work in self._work()]
                await self._anew.wait()
                async with self._courier.lock:  # a digest is either kept or not begun
                    for task in tasks:
                        task.cancel()

    def _work(self) -> Iterator[tuple[str, Coroutine[None, None, None]]]:
        courier = self._courier
        for receiver in courier.receivers:
            if receiver.type == "heartbeat":
                yield receiver.name, self._beats(receiver)
        for address in courier.addresses.values():
            if address.receiver.type == "alertmanager":
                yield f"again-{address.name}", self._tells_again(address)
        if courier.settings.digest.receivers:
            yield "digest", self._digests(courier.settings.digest)

    async def _beats(self, receiver: Receiver) -> None:
        """A dead-man's switch: whoever waits for this alarms when it stays away."""
        courier, failing = self._courier, False
        while True:
            if self._healthy():
                outcome = await courier.send(Address(receiver.name, receiver), {})
                if outcome.ending == "done":
                    self.last_beat[receiver.name] = courier.clock.now()
                if failing != (outcome.ending != "done"):
                    failing = not failing
                    log.log(logging.WARNING if failing else logging.INFO, "heartbeat %s: %s", receiver.name, outcome.why or "ok")
            await courier.clock.sleep(receiver.every)

    async def _tells_again(self, address: Address) -> None:
        """What fires there ends by itself unless it is told again; nothing depends on one of these arriving."""
        while True:
            await self._courier.clock.sleep(address.receiver.every)
            alerts = self.still_firing(address)
            if alerts and not self._courier.outbox.health[address.name].parked:
                await self._courier.send(address, {"alertmanager": alerts})

    def still_firing(self, address: Address) -> list[JsonObject]:
        """All that an Alertmanager was told and that still fires."""
        courier = self._courier
        known = courier.outbox.ledger.alerts
        marks = [m for told in courier.outbox.ledger.told.values() for m in told.get(address.name, {}).values()]
        return [
            entry(known[m.alert], m, courier.settings, courier.host)
            for m in marks
            if m.status == "firing" and m.alert in known and known[m.alert].status == "firing"
        ]

    async def _digests(self, digest: Digest) -> None:
        zone = await aside(lambda: parse_zone(digest.zone))  # its file is read once
        while True:
            now = self._courier.clock.now()
            due = next_time(digest.at, zone, now)
            await self._courier.clock.sleep(due - now)
            await self.send_digest(digest, due)

    async def send_digest(self, digest: Digest, due: float) -> None:
        """One message with a line for each alert since the last one; none without any."""
        courier = self._courier
        if not courier.digest:
            return

        def change(writes: Writes) -> None:
            lines = [_line(line) for line in sorted(courier.digest.values(), key=lambda line: str(line["opened"]))]
            more = len(lines) - SHOWN_IN_DIGEST
            lines = lines[:SHOWN_IN_DIGEST] + ([f"and {more} more: anfl-agent incidents list --all"] if more > 0 else [])
            event = hashlib.sha256(f"{courier.host}|digest|{due}".encode()).hexdigest()[:16]
            now = courier.clock.now()
            told = notice(event, "digest", f"{len(courier.digest)} notices", lines, courier.host, now, "notice")
            for name in digest.receivers:
                for address in courier.book.get(name, ()):
                    group = f"digest:{event}"
                    courier.outbox.post(Row(event, address.name, group, "pending", now, now, told), writes)
            for id_ in list(courier.digest):
                writes.digest(id_, None)
            courier.digest.clear()

        await courier.locked(change)


def next_time(at: str, zone: tzinfo, now: float) -> float:
    """When it is next that time of day in a time zone."""
    minutes = clock_minutes(at)
    local = datetime.fromtimestamp(now, zone)
    due = local.replace(hour=minutes // 60 % 24, minute=minutes % 60, second=0, microsecond=0)
    if due <= local:
        due = (due + timedelta(days=1)).replace(tzinfo=zone)
    return due.timestamp()


def _line(line: dict[str, object]) -> str:
    opened, closed = line["opened"], line["closed"]
    assert isinstance(opened, float | int)
    until = f" until {when(closed)}" if isinstance(closed, float | int) else ", not over"
    return f"{when(opened)}{until}: {line['cause']}: {line['title']}"
