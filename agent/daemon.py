"""The daemon: organs in one TaskGroup, signals, reload, watchdog, an orderly goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable

from agent import __version__, app, plugins
from agent.acting import Acting
from agent.alerts import tables as alert_tables
from agent.alerts.organ import Alerting
from agent.app import Agent, Request
from agent.casework import Casework
from agent.config import Config
from agent.engine.report import when
from agent.errors import AgentError
from agent.flight import Flight
from agent.host import heap
from agent.host.boot import boot_id
from agent.host.rights import looks_at_all
from agent.host.systemd import Notifier
from agent.incidents import tables
from agent.incidents.desk import Desk
from agent.model import Collector, JsonObject, Metric, View
from agent.organ import Organ
from agent.reload import Reload
from agent.remedy import tables as remedy_tables
from agent.remedy.approvers import Approvers
from agent.store.state import Room, State
from agent.watch import Watch
from agent.web.alerts import AlertsApi
from agent.web.approve import ApprovalPage
from agent.web.incidents import IncidentsApi
from agent.web.metrics import OwnCounters
from agent.web.page import Page
from agent.web.playbooks import PlaybooksApi
from agent.web.server import MetricsServer
from agent.web.sock import AgentSocket
from agent.web.voices import Voices

log = logging.getLogger("anfl.daemon")


ROOMS: tuple[Room, ...] = (tables.ROOM, alert_tables.ROOM, remedy_tables.ROOM)
"""Whose tables the state file holds."""
DIAGNOSES_IN_STATUS = 20
DIAGNOSES_AT_ONCE = 2  # asked over the socket; others wait: many callers must not make the agent the problem
GOODBYE_S = 3.0
BUDGET_EVERY_S = 60.0
TRIM_AFTER_S = 3.0


class Daemon:
    """The agent of this host while it runs; implements :class:`agent.web.api.Backend`."""

    def __init__(self, config: Config, *, listen: str | None = None, insecure: bool = False) -> None:
        self.config = config
        self._listen = config.listen if listen is None else listen
        self.agent: Agent = app.build(config)
        self.state = State(config.state_path, ROOMS, self.agent.clock)
        self.desk = Desk(self.state, self.agent.clock)
        self.casework = Casework(self.agent, plugins.heavy_mode(config), self.desk)
        self._insecure = insecure
        self._own = OwnCounters(self.agent.ring)
        self._flight = self._recorder() if config.recorder.enabled else None
        self.organs: list[Organ] = [self._flight] if self._flight else []
        self.alerting = Alerting.of(config, self.state, self.agent.ring, self.agent.clock, self.casework.healthy)
        self.desk.listen(self.alerting.hint)
        self.acting = Acting(config, self.agent, self.desk, self.state)
        self.alerting.courier.audit = self.acting.head
        self.casework.listeners.append(self.acting.diagnosed)
        self.organs += [self.desk, self.alerting, self.acting]
        sources: list[Collector | Organ] = [*self.agent.collectors.values(), *self.organs]
        metrics: list[Metric] = [*Watch.metrics, *State.metrics, *(m for source in sources for m in source.metrics)]
        self.page = Page(self.agent.ring, metrics, self._own.render, self._own.rendered)
        approvers = Approvers(config.playbooks.approvers)
        form = ApprovalPage(self.acting, self.state, self.agent.clock, approvers, config.playbooks.url)
        self._server = MetricsServer(self.page, self._own, self._health, hosts=form.hosts, more=form.routes())
        more = IncidentsApi(self.desk, self.state).routes() | AlertsApi(self.alerting.answers).routes()
        more |= PlaybooksApi(self.acting, self.desk, self.state, self.agent.clock, Voices(approvers)).routes()
        self._socket = AgentSocket(config.socket, self, everyone=looks_at_all(), more=more)
        self._notify = Notifier()
        self._stop = asyncio.Event()
        self._hangup = asyncio.Event()
        self._seats = asyncio.Semaphore(DIAGNOSES_AT_ONCE)
        self._asked: set[asyncio.Task[JsonObject]] = set()
        self._address = ""
        self._started = self.agent.clock.now()
        self._reason = "crash"
        self._over = False
        self._reload = Reload(config, self.agent, self.alerting)

    # ------------------------------------------------------------------------------------------ life

    async def run(self, ready: Callable[[str], None] = lambda address: None) -> None:
        """Until SIGTERM or SIGINT. AgentError if the socket or the address cannot be had; ``ready`` gets the page's URL."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, number.name)
        loop.add_signal_handler(signal.SIGHUP, self._hangup.set)
        try:
            await self._socket.claim()
            await self.state.open()
            await self.casework.begin()
            await self.alerting.open()
            host, port = await self._server.start(self._listen, self._insecure)
            self._address = f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"
            await self._work(ready)
        finally:
            self._notify.stopping("goodbye")
            await self._end_diagnoses()
            await self._end_organs()
            await self.state.close()
            await asyncio.gather(self._server.stop(), self._socket.stop())
            self.agent.close()

    async def _work(self, ready: Callable[[str], None]) -> None:
        async with asyncio.TaskGroup() as group:
            organs = [
                group.create_task(self.agent.watch.run(self._after_round), name="watch"),
                group.create_task(self.casework.run(), name="casework"),
                group.create_task(self._heartbeat(), name="heartbeat"),
                group.create_task(self._mind_the_budget(), name="budget"),
                group.create_task(self._reloads(), name="reload"),
                *(group.create_task(organ.run(), name=organ.name) for organ in self.organs),
            ]
            await self._socket.start()
            log.info("anfl-agent %s watches this host: %d trees, %s", __version__, len(self.agent.rules.trees), self._address)
            self._notify.ready(f"{len(self.agent.rules.trees)} trees, {self._address}")
            ready(self._address)
            await self._settle()
            await self._stop.wait()
            for organ in organs:
                organ.cancel()
        log.info("stopped")

    def _end(self, reason: str) -> None:
        self._reason = reason
        self._stop.set()

    async def _end_organs(self) -> None:
        """One that fails here must not keep the others from their goodbye, nor hide why the agent ends."""
        for organ in self.organs:
            try:
                await organ.end(self._reason)
            except Exception:
                log.exception("%s did not end in order", organ.name)

    def _recorder(self) -> Flight:
        about = {"host": socket.gethostname(), "agent_version": __version__, "boot_id": boot_id()}
        settings = self.config.recorder
        return Flight(self.config.recording_dir, self.agent.ring, self.agent.clock, about, keep=settings.keep, quota=settings.quota)

    async def _end_diagnoses(self) -> None:
        """Looks that run end first: each takes its tool away from its target, and whoever asked is told."""
        for task in self._asked:
            task.cancel()
        if self._asked:
            await asyncio.wait(self._asked, timeout=GOODBYE_S)

    def _after_round(self) -> None:
        self.agent.after_round()
        self.page.prepare()

    async def _settle(self) -> None:
        """Once started: take what is there out of the garbage collector's way, which the command switched off, and on with it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TRIM_AFTER_S):
                await self._stop.wait()
        heap.settle()

    async def _heartbeat(self) -> None:
        """Feed systemd's watchdog, but only while the loop turns and the judge's rounds come."""
        period = self._notify.watchdog_s
        if period is None:
            return
        while True:
            await asyncio.sleep(period / 3)
            if self.casework.healthy():
                self._notify.alive()
            else:
                log.error("the judge has not finished a round in time; systemd's watchdog gets no sign of life")

    async def _mind_the_budget(self) -> None:
        """Say once when the agent takes more CPU than it may, and once when it is back within."""
        before = _cpu_seconds()
        while True:
            await asyncio.sleep(BUDGET_EVERY_S)
            now = _cpu_seconds()
            share, before = (now - before) / BUDGET_EVERY_S, now
            if (share > self.config.budget.cpu) != self._over:
                self._over = not self._over
                word, level = ("over", logging.WARNING) if self._over else ("within", logging.INFO)
                log.log(level, "the agent is %s its budget: %.1f %% of a core (budget.cpu)", word, share * 100)

    async def _reloads(self) -> None:
        """SIGHUP: what can change while the agent works is read again."""
        while await self._hangup.wait():
            self._hangup.clear()
            self._notify.reloading()
            await self._reload.now()
            self._notify.ready(f"{len(self.agent.rules.trees)} trees, {self._address}")

    # ------------------------------------------------------------------------------------------ answers

    def _health(self) -> tuple[bool, str]:
        return self.casework.healthy(), f"{self.casework.rounds} rounds judged"

    def view(self) -> View:
        """The history, up to now."""
        return self.agent.ring.at(self.agent.ring.now)

    async def diagnose(self, asked: JsonObject, progress: Callable[[str], None]) -> JsonObject:
        """One diagnosis for a caller of the socket."""
        if self._stop.is_set():
            raise _stopped()
        task = asyncio.get_running_loop().create_task(self._diagnose(asked, progress), name="asked")
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        try:
            return await task
        except asyncio.CancelledError:
            if not self._stop.is_set():  # the caller hung up
                raise
            raise _stopped() from None

    async def _diagnose(self, asked: JsonObject, progress: Callable[[str], None]) -> JsonObject:
        request = Request(**{**asked, "trees": tuple(asked.get("trees", ()))})
        if self._seats.locked():
            progress("waiting: other diagnoses are running")
        async with self._seats:
            with self.casework.hurried():
                diagnosis = await self.agent.diagnose(request, progress)
        self.casework.keep(diagnosis)
        return diagnosis

    def status(self) -> JsonObject:
        """``anfl.status/1``."""
        agent, now = self.agent, self.agent.clock.now()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "schema": "anfl.status/1",
            "agent_version": __version__,
            "pid": os.getpid(),
            "started_at": when(self._started),
            "uptime_s": round(now - self._started, 1),
            "metrics": self._address,
            "config": self.config.path or None,
            "rules": {"trees": len(agent.rules.trees), "causes": len(agent.rules.causes), "last_reload_ok": self._reload.ok},
            "collectors": [vars(s) for s in agent.watch.states()],
            "broken_plugins": [vars(b) for b in agent.plugins.broken],
            "history": {"series": len(agent.ring), "bytes": agent.ring.bytes, "now": when(agent.ring.now or now)},
            "nvml": agent.nvml(),
            "judge": {"rounds": self.casework.rounds, "seconds": round(self.casework.seconds, 4)},
            "cost": {
                "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
                "peak_bytes": usage.ru_maxrss * 1024,
                "over_budget": self._over,
            },
            "state": self.state.status(),
            "recorder": self._flight.status() if self._flight else {"on": False},
            "incidents": self.desk.status(),
            "alerts": self.alerting.status(),
            "symptoms": [
                {"tree": tree, "labels": dict(labels), "phase": s.phase, "since": when(s.onset), "missing": s.missing}
                for (tree, labels), s in sorted(agent.judged.symptoms.items())
            ],
            "diagnoses": list(self.casework.diagnoses)[-DIAGNOSES_IN_STATUS:],
        }


def _stopped() -> AgentError:
    return AgentError("the agent was stopped", help="ask again, or use --local", exit_code=3)


def _cpu_seconds() -> float:
    """CPU time of the agent and the probes it ran."""
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
