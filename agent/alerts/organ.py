"""Alerting at work in the daemon: courier and keepers as one organ, its figures as series, its state for ``status``."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping

from agent.alerting import Alerts, Receiver
from agent.alerts.addresses import receivers_or_default
from agent.alerts.answers import Answers
from agent.alerts.courier import Courier
from agent.alerts.keepers import Keepers
from agent.alerts.senders import Senders
from agent.config import Config
from agent.engine.report import when
from agent.host.clock import Clock
from agent.model import JsonObject, Kind, Metric, Sample, Series, labels
from agent.store.ring import Ring
from agent.store.state import State

log = logging.getLogger("anfl.alerts")

FIGURES_S = 10.0
GOODBYE_S = 3.0
Sink = Callable[[list[Sample]], None]


class Alerting:
    """One organ. ``sink`` takes its figures, ``healthy`` guards the heartbeats."""

    name = "alerts"
    metrics: tuple[Metric, ...] = (
        Metric("alerts_open", Kind.GAUGE, "", "Alerts that fire or whose end is still to be told."),
        Metric("alerts_silences", Kind.GAUGE, "", "Silences in force."),
        Metric("alerts_messages", Kind.GAUGE, "", "Messages that wait (pending), are out (leased) or parked.", ("state",)),
        Metric("alerts_attempts_total", Kind.COUNTER, "", "Attempts to send, by how they ended.", ("receiver", "ending")),
        Metric(
            "alerts_receiver_up", Kind.GAUGE, "", "1 if the last attempt arrived or none was made, 0 if it failed.", ("receiver",)
        ),
        Metric("alerts_receiver_parked", Kind.GAUGE, "", "1 while nothing is sent there until somebody retries.", ("receiver",)),
        Metric(
            "alerts_last_delivery_timestamp_seconds",
            Kind.GAUGE,
            "seconds",
            "When a message or heartbeat last arrived there (Unix time).",
            ("receiver",),
        ),
        Metric(
            "alerts_folded_total", Kind.COUNTER, "", "Alerts of a storm that were counted in a message and not kept one by one."
        ),
        Metric("alerts_notifier_starts_total", Kind.COUNTER, "", "Starts of the process that sends through apprise."),
        Metric(
            "alerts_notifier_processes", Kind.GAUGE, "", "Processes that send through apprise; 0 when there is nothing to send."
        ),
    )

    def __init__(
        self,
        settings: Alerts,
        receivers: tuple[Receiver, ...],
        state_dir: str,
        state: State,
        clock: Clock,
        *,
        sink: Sink = lambda samples: None,
        healthy: Callable[[], bool] = lambda: True,
        host: str = "",
        env: Mapping[str, str] | None = None,
    ) -> None:
        environment = os.environ if env is None else env
        self._state_dir = state_dir
        self.senders = Senders(environment, clock.now)
        self.courier = Courier(
            settings,
            receivers_or_default(receivers, state_dir),
            host or socket.gethostname(),
            state,
            clock,
            self.senders.send,
            env=environment,
        )
        self.keepers = Keepers(self.courier, healthy)
        self.answers = Answers(self.courier)
        self._clock, self._sink = clock, sink
        self._series: dict[tuple[str, tuple[tuple[str, str], ...]], Series] = {}

    @staticmethod
    def of(config: Config, state: State, ring: Ring, clock: Clock, healthy: Callable[[], bool]) -> Alerting:
        """As the daemon has it: figures go into the ring."""

        def sink(samples: list[Sample]) -> None:
            if ring.ticks:
                ring.add(ring.now, samples, FIGURES_S)

        made = (config.alerts, config.receivers, config.state_dir, state, clock)
        return Alerting(*made, sink=sink, healthy=healthy)

    async def open(self) -> None:
        """Read what was kept, before anybody asks for a change; the state must be open."""
        await self.courier.open()
        log.debug("alerts go to %s", ", ".join(self.courier.addresses) or "nobody")

    async def adopt(self, settings: Alerts, receivers: tuple[Receiver, ...]) -> None:
        """Go on with other receivers, routes and windows; must be open. Silences made by hand stay."""
        await self.courier.adopt(settings, receivers_or_default(receivers, self._state_dir))
        self.keepers.begin_anew()
        log.info("alerts go to %s", ", ".join(self.courier.addresses))

    async def run(self) -> None:
        """Until cancelled; must be open."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.courier.run(), name="courier")
            group.create_task(self.keepers.run(), name="keepers")
            group.create_task(self._tell_figures(), name="alert-figures")

    async def end(self, reason: str) -> None:
        """The notifier goes; what is out may have arrived, and is sent again by the next start."""
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self.senders.close()
        except TimeoutError:
            log.warning("the notifier process did not end in time")

    def hint(self) -> None:
        """Incidents changed."""
        self.courier.hint()

    async def _tell_figures(self) -> None:
        while True:
            self._sink(self.samples())
            await self._clock.sleep(FIGURES_S)

    def samples(self) -> list[Sample]:
        """All figures."""
        c, now = self.courier, self._clock.now()
        rows = [row.state for row in c.outbox.ledger.rows.values()]
        found: list[tuple[str, dict[str, str], float]] = [
            ("alerts_open", {}, len(c.outbox.ledger.alerts)),
            ("alerts_silences", {}, sum(s.starts <= now < s.ends for s in c.silences.values())),
            *(("alerts_messages", {"state": state}, rows.count(state)) for state in ("pending", "leased", "parked")),
            *(("alerts_attempts_total", {"receiver": r, "ending": e}, n) for (r, e), n in c.sent.items()),
            ("alerts_folded_total", {}, c.bound.total_folded),
            ("alerts_notifier_starts_total", {}, self.senders.apprise.starts),
            ("alerts_notifier_processes", {}, self.senders.apprise.running),
        ]
        for name, health in c.outbox.health.items():
            found.append(("alerts_receiver_up", {"receiver": name}, health.word == "ok"))
            found.append(("alerts_receiver_parked", {"receiver": name}, health.word == "parked"))
            if health.delivered is not None:
                found.append(("alerts_last_delivery_timestamp_seconds", {"receiver": name}, health.delivered))
        found += [("alerts_last_delivery_timestamp_seconds", {"receiver": n}, at) for n, at in self.keepers.last_beat.items()]
        return [Sample(self._handle(name, told), float(value)) for name, told, value in found]

    def _handle(self, name: str, told: dict[str, str]) -> Series:
        key = (name, labels(**told))
        return self._series.setdefault(key, Series(*key))

    def status(self) -> JsonObject:
        """Its part of ``anfl.status/1``."""
        c = self.courier
        rows = [row.state for row in c.outbox.ledger.rows.values()]
        return {
            "open": len(c.outbox.ledger.alerts),
            "waiting": rows.count("pending") + rows.count("leased"),
            "parked": rows.count("parked"),
            "receivers": [
                {
                    "name": n,
                    "state": h.word,
                    "why": h.parked or h.error,
                    "last_delivery": when(h.delivered) if h.delivered else None,
                }
                for n, h in c.outbox.health.items()
            ],
        }
