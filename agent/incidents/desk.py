"""The desk: incidents at work in the daemon. What was judged, found and said goes through their pure life into the state.

Steps are taken at once, in memory, and kept in their order by one task; whoever must know that a step is kept (a person who
acknowledged) waits for that. After a restart or a kill the book is what was kept last, and the judge goes on with the symptoms
that were firing: they end when they are known to be over, or their process is seen to be gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import field
from functools import partial
from typing import Literal

from agent.dataclass import dataclass
from agent.engine.attribution import diagnosed, led_to, not_diagnosed
from agent.engine.evaluate import JudgeState, Transition
from agent.engine.handling import Verb, plea, remedy, said
from agent.engine.incident import Complaint, Incident, Key
from agent.engine.incidentbook import Book, Seen, Standing, Step
from agent.engine.incidents import judged
from agent.engine.trees import RuleSet
from agent.errors import UsageError
from agent.host.clock import Clock
from agent.host.lane import Stalled, aside
from agent.incidents import past, tables
from agent.incidents.sight import Sight, gone
from agent.incidents.tables import Batch
from agent.model import JsonObject, Kind, Metric, Sample, Series, Severity, labels
from agent.store.state import State

log = logging.getLogger("anfl.incidents")

TRY_AGAIN_S = 1.0
GOODBYE_S = 3.0
PRUNE_EVERY_S = 86400.0
PINNED_MOST = 32
"""Processes of open incidents that keep full series, whatever else is busier: their symptoms must be seen to end."""

Listener = Callable[[], None]


@dataclass
class _Kept:
    """A batch on its way to the disk, and who waits for it."""

    batch: Batch
    done: asyncio.Future[None] | None = field(default=None)


class Desk:
    """The organ that keeps the book of incidents; see the module."""

    name = "incidents"
    metrics: tuple[Metric, ...] = (
        Metric("incidents_open", Kind.GAUGE, "", "Open incidents by their severity now.", ("severity",)),
        Metric("incidents_flapping", Kind.GAUGE, "", "Open incidents that come and go."),
        Metric("incidents_unacknowledged", Kind.GAUGE, "", "Open incidents nobody has acknowledged."),
        Metric("incidents_total", Kind.COUNTER, "", "Incidents ever opened on this host."),
        Metric("incident_events_total", Kind.COUNTER, "", "Things that happened to incidents since the agent started."),
        Metric("incident_batches_waiting", Kind.GAUGE, "", "Steps not yet kept: grows while the state cannot be written."),
    )

    def __init__(self, state: State, clock: Clock) -> None:
        self.book = Book()
        self._state = state
        self._clock = clock
        self._number = 0
        self._events = 0
        self._waiting: list[_Kept] = []
        self._some = asyncio.Event()
        self._listeners: list[Listener] = []
        self._pruned = 0.0
        self._series = {m.name: Series(m.name) for m in self.metrics if not m.labels}
        self._open_series = {s: Series("incidents_open", labels(severity=s.word)) for s in Severity}

    # ------------------------------------------------------------------------------------------ life

    async def open(self) -> JudgeState:
        """Read the book; what the judge is to go on with. The state must be open."""
        now = self._clock.now()
        self.book, self._number = await self._state.read(lambda at: past.read(at, now))
        ended = await aside(lambda: past.ended(self.book))
        if ended:
            self._take(judged(self.book, now, [Seen(gone(c.tree, c.labels, now), c) for c in ended], {}))
        if self.book.open:
            log.info("%d incidents are open from before: %s", len(self.book.open), ", ".join(f"#{i.id}" for i in self.book.open))
        return past.judgement(self.book, now)

    async def run(self) -> None:
        """Keep steps until cancelled."""
        while True:
            await self._some.wait()
            await self._keep_waiting()
            await self._prune()

    async def end(self, reason: str) -> None:
        """Keep what still waits; the state is open until after that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._keep_waiting()

    def listen(self, call: Listener) -> None:
        """Call on the loop after each commit that held events."""
        self._listeners.append(call)

    # ------------------------------------------------------------------------------------------ steps

    def judged(self, rules: RuleSet, sight: Sight, transitions: Iterable[Transition], state: JudgeState) -> None:
        """One round of the judge."""
        watched = self.book.watched
        seen = [*sight.seen(transitions), *self._orphans(rules, state), *sight.ended(watched)]
        standing = {key: Standing(s.missing, s.clearing) for key, s in state.symptoms.items() if s.phase == "firing"}
        if seen or self.book.incidents:
            self._take(judged(self.book, sight.now, seen, standing, sight.quiet(rules, watched)))

    def diagnosed(self, rules: RuleSet, diagnosis: JsonObject, key: Key | None = None, who: str = "") -> int | None:
        """A diagnosis, made for a symptom or asked for by somebody; the number of its incident goes into it."""
        now = self._clock.now()
        step, number = diagnosed(self.book, now, diagnosis, key, lambda cause: led_to(rules, cause), who, rules.victims)
        if number is not None:
            number = self.survivor(step.book, number)
            diagnosis["incident"] = str(number)
            self._take(step, (number, now, diagnosis))
        return number

    @staticmethod
    def survivor(book: Book, number: int) -> int:
        """The incident that one was merged into, or itself."""
        while (found := book.incidents.get(number)) is not None and found.merged_into is not None:
            number = found.merged_into
        return number

    def not_diagnosed(self, key: Key, why: str) -> None:
        """Nobody looks for a symptom's cause, or did in vain."""
        self._take(not_diagnosed(self.book, self._clock.now(), key, why))

    def undiagnosed(self) -> list[Complaint]:
        """What fires, and was never looked into: a kill may have come between."""
        return [i.active[0] for i in self.book.open if not i.ready and i.active]

    async def word(self, number: int, verb: Verb, who: str, text: str = "") -> Incident:
        """Somebody acknowledges, comments, assigns or closes; returns when it is kept. UsageError if there is no such incident."""
        incident = self.book.incidents.get(number) or await self._state.read(lambda at: tables.current(at, number))
        if incident is None:
            raise UsageError(f"there is no incident {number}", help="'anfl-agent incidents list --all' shows them")
        step = said(self.book, self._clock.now(), self.book.incidents.get(number, incident), verb, who, text)
        await self._take_and_keep(step)
        return next((i for i in step.changed if i.id == number), incident)

    async def remedy(self, number: int, what: str, *, begins: bool) -> None:
        """A playbook begins or ends its work on an incident; returns when that is kept."""
        await self._take_and_keep(remedy(self.book, self._clock.now(), number, what, begins=begins))

    async def plea(self, number: int, kind: Literal["asked", "given_up"], text: str, link: str = "") -> None:
        """People are asked to do something about an incident: alerts tell them, with ``link``. Returns when that is kept."""
        await self._take_and_keep(plea(self.book, self._clock.now(), number, kind, text, link))

    def pids(self) -> list[int]:
        """Processes whose symptoms must be seen to end, newest incident first."""
        found = [dict(c.labels).get("pid", "") for i in reversed(self.book.open) for c in i.complaints if c.ended != "gone"]
        return [int(pid) for pid in dict.fromkeys(found) if pid.isdecimal()][:PINNED_MOST]

    def _orphans(self, rules: RuleSet, state: JudgeState) -> list[Seen]:
        """Symptoms of trees that are no longer there; nothing judges them any more."""
        return [
            Seen(gone(c.tree, c.labels, self._clock.now()), c)
            for i in self.book.incidents.values()
            for c in i.active
            if c.tree not in rules.trees and c.key not in state.symptoms
        ]

    # ------------------------------------------------------------------------------------------ keeping

    def _take(self, step: Step, diagnosis: tuple[int, float, JsonObject] | None = None) -> _Kept | None:
        self.book = step.book
        if not (step.changed or step.events or step.entries or diagnosis):
            return None
        self._number += 1
        self._events += len(step.events)
        for event in step.events:
            log.log(logging.INFO, "incident %d %s: %s", event.incident, event.kind, event.reason)
        events = tables.numbered(self._state.identity, step.events)
        kept = _Kept(Batch(self._number, step.changed, events, step.entries, (diagnosis,) if diagnosis else ()))
        self._waiting.append(kept)
        self._some.set()
        return kept

    async def _take_and_keep(self, step: Step) -> None:
        kept = self._take(step)
        if kept is not None:
            kept.done = asyncio.get_running_loop().create_future()
            await kept.done

    async def _keep_waiting(self) -> None:
        """All that waits, in one transaction; again until it is kept. A try that took too long may have done its work."""
        told = False
        while self._waiting:
            waiting = list(self._waiting)
            batches = [kept.batch for kept in waiting]
            try:
                await self._state.write(partial(tables.save_all, batches=batches))
            except Stalled as stall:
                if not told:
                    log.error("incidents cannot be kept, trying on: %s", stall)
                told = True
                await self._clock.sleep(TRY_AGAIN_S)
                continue
            del self._waiting[: len(waiting)]
            self._done(waiting)
        self._some.clear()

    def _done(self, kept: list[_Kept]) -> None:
        for one in kept:
            if one.done is not None and not one.done.done():
                one.done.set_result(None)
        if any(one.batch.events for one in kept):
            for call in self._listeners:
                call()

    async def _prune(self) -> None:
        now = self._clock.now()
        if abs(now - self._pruned) >= PRUNE_EVERY_S:
            self._pruned = now
            with contextlib.suppress(Stalled):
                await self._state.write(lambda to: tables.prune(to, now))

    # ------------------------------------------------------------------------------------------ counting

    def status(self) -> JsonObject:
        """What is open, for ``anfl.status/1``."""
        open_ = self.book.open
        by_severity = {s.word: sum(i.severity is s for i in open_) for s in Severity}
        return {"open": len(open_), "unacknowledged": sum(not i.acknowledged for i in open_), **by_severity}

    def samples(self) -> list[Sample]:
        """Its own figures and the state's."""
        open_ = self.book.open
        figures = {
            "incidents_flapping": sum(i.flapping for i in open_),
            "incidents_unacknowledged": sum(not i.acknowledged for i in open_),
            "incidents_total": self.book.next_id - 1,
            "incident_events_total": self._events,
            "incident_batches_waiting": len(self._waiting),
        }
        by_severity = [Sample(s, float(sum(i.severity is severity for i in open_))) for severity, s in self._open_series.items()]
        own = [Sample(self._series[name], float(value)) for name, value in figures.items()]
        return [*self._state.samples(), *by_severity, *own]
