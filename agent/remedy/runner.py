"""The organ that acts: proposes for diagnoses, asks the guard and people, carries out, looks whether it helped, climbs or stops.

After a crash nothing may still be under way: what was reserved and never begun is over, its attempt spent; what was begun and has
no result is ambiguous and settled by looking, and repeated only if repeating does no harm. Lost state means observing only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from agent.errors import AgentError
from agent.host.clock import Clock
from agent.host.lane import Stalled, aside
from agent.model import JsonObject, Kind, Metric, Sample, Series, labels
from agent.remedy import guard, tables
from agent.remedy.carry import Carrier, Sight
from agent.remedy.ledger import Ledger
from agent.remedy.links import Links
from agent.remedy.model import ACTING, ITSELF, OVER, Decision, Facts, Phase, Run
from agent.remedy.outcome import Outcome
from agent.remedy.playbook import MODES, Mode, Playbook, allowed_mode
from agent.remedy.propose import Key, Proposer
from agent.store.audit import HEAD_DIGITS

log = logging.getLogger("anfl.remedy")

TICK_S = 5.0
LOOK_MOST_S = 60.0
PRUNE_EVERY_S = 86400.0
LEFT = frozenset({Phase.RESERVED, Phase.INTENT, Phase.RESULT})
"""Where a run is only while this organ is at work on it."""


class Remedy:
    """One organ; see the module."""

    name = "remedy"
    metrics: tuple[Metric, ...] = (
        Metric("remedy_runs", Kind.GAUGE, "", "Runs of playbooks that are proposed, approved or under way.", ("phase",)),
        Metric("remedy_paused", Kind.GAUGE, "", "1 while playbooks are paused."),
        Metric("remedy_breaker_open", Kind.GAUGE, "", "1 while the breaker is open and nothing is done."),
        Metric("remedy_audit_records_total", Kind.COUNTER, "", "Records of the audit: the number of the last one."),
        Metric("remedy_audit_head", Kind.GAUGE, "", "The first 48 bits of the last audit record's hash, as a whole number."),
        Metric("remedy_audit_up", Kind.GAUGE, "", "1 while what is done can be kept and recorded; nothing is done without."),
    )

    def __init__(
        self,
        state: Ledger,
        playbooks: Mapping[str, Playbook],
        ceiling: Mode,
        sight: Sight,
        clock: Clock,
        carrier: Carrier,
        links: Links | None = None,
    ) -> None:
        self.playbooks = playbooks
        self.ceiling = ceiling
        self.ledger = self._state = state
        self._sight = sight
        self._clock = clock
        self.carrier = carrier
        self.links = links
        self._proposer = Proposer(state, playbooks, ceiling, sight, clock)
        self._outcome = Outcome(state, playbooks, sight, clock, carrier, self._proposer)
        self._open: list[Run] = []
        self._switches: dict[str, JsonObject] = {}
        self._seen = -1
        self._looked = 0.0
        self._pruned: float | None = None
        self.wake = asyncio.Event()
        self.busy = asyncio.Lock()
        self._series = {m.name: Series(m.name) for m in self.metrics if not m.labels}
        self._phases = {p: Series("remedy_runs", labels(phase=str(p))) for p in (Phase.PROPOSED, Phase.APPROVED, *sorted(ACTING))}

    # ------------------------------------------------------------------------------------------ life

    async def open(self) -> None:
        """Settle what a crash left behind. The state must be open."""
        async with self.busy:
            await self._state.open()
            for run in await self._state.read(lambda at: tables.runs(at, LEFT)):
                await self._outcome.left_behind(run, self.playbooks.get(run.playbook))
            await self.refresh()

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self.wake.wait()
            if not self.wake.is_set() and self._nothing_new():
                continue
            self.wake.clear()
            with contextlib.suppress(Stalled):  # a state that does not answer: nothing may be done until it does
                await self.tick()

    def _nothing_new(self) -> bool:
        """Whether a look would find what the last one found: nothing is open, and no state was changed. Looking takes a
        millisecond or two; all the same it is done once a minute."""
        since = self._clock.monotonic() - self._looked
        return not self._open and self._state.health.changes == self._seen and 0.0 <= since < LOOK_MOST_S

    async def end(self, reason: str) -> None:
        """Nothing: every edge is on disk already."""

    # ------------------------------------------------------------------------------------------ proposing

    async def diagnosed(self, diagnosis: JsonObject, incident: int | None, key: Key | None) -> list[Run]:
        """Propose what may help against the roots of a diagnosis; the new runs."""
        made = [] if incident is None or key is None else await self._proposer.diagnosed(diagnosis, incident, key)
        if made:
            self.wake.set()
        return made

    async def weigh(self, name: str, cause: JsonObject, incident: int, key: Key) -> tuple[str, Decision]:
        """What a playbook would do about a cause, and whether it might: asked by a person, nothing is kept."""
        playbook = self.playbooks[name]
        targets = await self._proposer.targets(playbook, cause)
        if not targets:
            return "nothing", Decision(False, (f"nobody is known to be to blame for {cause['id']}, or not any more",))
        run = self._proposer.run(playbook, cause, incident, key, targets[0])
        plan, decision = await self._decided(run, playbook, await self._sight.facts(run, run.created))
        if cause["id"] not in playbook.needs.causes:
            return plan, Decision(False, (f"it is not for {cause['id']}", *decision.reasons))
        return plan, decision

    async def _decided(self, run: Run, playbook: Playbook, facts: Facts) -> tuple[str, Decision]:
        """What it would do, and whether: the same in every mode."""

        def decide(at: sqlite3.Connection) -> Decision:
            tally, house = tables.tally(at, run, facts.now), self.carrier.house(at, facts.now)
            if run.mode == "dry-run" and not house.tripped:  # what it would have done by now would have opened it
                house = replace(house, tripped=guard.breaker(tally))
            return guard.decide(playbook, run, facts, tally, house)

        decision = await self._state.read(decide)
        try:
            return self.plan(run), decision
        except AgentError as error:
            return "nothing", Decision(False, (*decision.reasons, error.message))

    def plan(self, run: Run) -> str:
        """What it would do, step by step. WillNot if the target lacks what a step names."""
        playbook = self.playbooks[run.playbook]
        return "; then ".join(self.carrier.action(run, playbook, step).plan() for step in playbook.steps)

    def told(self, run: Run) -> JsonObject:
        """Its incident as it stands, for whoever decides."""
        return self._sight.told(run)

    # ------------------------------------------------------------------------------------------ one tick

    async def tick(self) -> None:
        """Look at every run that is not over."""
        async with self.busy:
            seen, looked = self._state.health.changes, self._clock.monotonic()
            for run in await self._state.read(lambda at: tables.runs(at, frozenset(Phase) - OVER)):
                try:
                    await self._attend(run)
                except tables.IllegalEdge as moved:  # a person was quicker, or an edge came late: the next look will show
                    log.info("%s", moved)
                except AgentError as error:
                    if isinstance(error, Stalled):
                        raise
                    log.error("run %d (%s): %s", run.id, run.playbook, error)
            with contextlib.suppress(tables.IllegalEdge):
                await self._outcome.close()
            await self.refresh()
            await self._sight.rest({r.incident for r in self._open if r.phase in ACTING})
            await self._prune()
            self._seen, self._looked = seen, looked  # a look that broke off has seen nothing

    async def _attend(self, run: Run) -> None:
        playbook, now = self.playbooks.get(run.playbook), self._clock.now()
        if run.phase in LEFT:
            await self._outcome.left_behind(run, playbook)
        elif playbook is None:
            waits = run.phase in (Phase.PROPOSED, Phase.APPROVED)
            await self.carrier.move(run, Phase.CANCELLED if waits else Phase.ESCALATED, reason="the playbook is gone")
        elif run.phase is Phase.PROPOSED:
            await self._weigh(run, playbook, now)
        elif run.phase is Phase.APPROVED:
            await self._go(run, playbook, now)
        else:
            await self._outcome.judge(run, playbook, now)

    def _mode(self, run: Run, playbook: Playbook) -> Mode:
        """The mode it was proposed in, and no more than is allowed now: a ceiling lowered meanwhile holds."""
        return min((allowed_mode(playbook, self.ceiling), *(m for m in MODES if m == run.mode)), key=MODES.index)

    async def _weigh(self, run: Run, playbook: Playbook, now: float) -> None:
        """A proposal: out of date, refused, waiting for people, or going on by itself."""
        if now >= run.expires:
            await self.carrier.move(run, Phase.EXPIRED, reason="nobody decided in time")
            return
        facts = await self._sight.facts(run, now)
        if not facts.incident_open:
            await self.carrier.move(run, Phase.CANCELLED, reason=f"incident {run.incident} is over")
            return
        plan, decision = await self._decided(run, playbook, facts)
        mode = self._mode(run, playbook)
        if not decision.go:
            await self.carrier.move(run, Phase.DENIED, "guard", reason="; ".join(decision.reasons))
        elif mode == "dry-run":
            await self.carrier.move(run, Phase.WOULD, "guard", reason=plan, verify_until=facts.now + playbook.verify.settle)
        elif mode == "auto":
            await self.carrier.move(run, Phase.APPROVED, "policy", reason="mode: auto")
            self.wake.set()
        elif not run.told:
            await self._ask(run, playbook, plan)

    async def _ask(self, run: Run, playbook: Playbook, plan: str) -> None:
        """Tell people that it waits for them: once for an incident and target, however often the same is proposed anew."""
        mine = (run.playbook, run.incident, run.identity)
        if not any(r.told and (r.playbook, r.incident, r.identity) == mine for r in await self._state.read(tables.runs)):
            until = datetime.fromtimestamp(run.expires, UTC)
            more = f"; {', '.join(run.approvals)} agreed, {playbook.approval.count} must" if run.approvals else ""
            text = f"anfl-agent approve {run.id} ({playbook.title}: {plan}), until {until:%H:%M} UTC{more}"
            await self._sight.call(run, "asked", text, await self._link(run))
        await self._state.write(lambda to: tables.note(to, run, self._clock.now(), ITSELF, told=True))

    async def _link(self, run: Run) -> str:
        """Where people can say so without the host; "" if nowhere."""
        links = self.links
        try:
            return "" if links is None else await aside(lambda: links.link(run))
        except AgentError as error:
            log.error("no link for run %d: %s", run.id, error)
            return ""

    async def _go(self, run: Run, playbook: Playbook, now: float) -> None:
        mode = self._mode(run, playbook)
        if now >= run.expires:
            await self.carrier.move(run, Phase.EXPIRED, reason="approved, but not begun in time")
        elif mode == "dry-run" or (mode == "propose" and len(run.approvals) < playbook.approval.count):
            await self.carrier.move(run, Phase.CANCELLED, reason=f"the mode in force is {mode} now")
        else:
            reserved = await self.carrier.reserve(run, playbook)
            if reserved.phase is Phase.RESERVED:
                await self.carrier.act(reserved, playbook)
                await self._outcome.trip()

    async def _prune(self) -> None:
        moment = self._clock.monotonic()
        if self._pruned is None or moment - self._pruned >= PRUNE_EVERY_S:
            self._pruned = moment
            await self._state.write(lambda to: tables.prune(to, self._clock.now()))

    # ------------------------------------------------------------------------------------------ showing

    async def refresh(self) -> None:
        """Read anew what :meth:`samples` tells."""

        def look(at: sqlite3.Connection) -> tuple[list[Run], dict[str, JsonObject]]:
            return tables.runs(at, frozenset(Phase) - OVER), tables.switches(at)

        self._open, self._switches = await self._state.read(look)

    def samples(self) -> list[Sample]:
        """Its own figures."""
        found = [Sample(series, float(sum(r.phase is phase for r in self._open))) for phase, series in self._phases.items()]
        paused = float(self._switches.get("pause", {}).get("until", 0.0) > self._clock.now())
        figures = {"remedy_paused": paused, "remedy_breaker_open": float("breaker" in self._switches)}
        number, digest = self.ledger.head
        figures["remedy_audit_records_total"] = float(number)
        figures["remedy_audit_head"] = float(int(digest[:HEAD_DIGITS] or "0", 16))
        figures["remedy_audit_up"] = float(not self.ledger.volatile)
        return found + [Sample(self._series[name], value) for name, value in figures.items()]
