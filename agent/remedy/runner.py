"""The organ that acts: proposes for diagnoses, asks the guard and people, carries out, looks whether it helped, climbs or stops.

After a crash nothing may still be under way: what was reserved and never begun is over, its attempt spent; what was begun and has
no result is ambiguous and settled by looking, and repeated only if repeating does no harm. Lost state means observing only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agent.host.clock import Clock
from agent.host.lane import Stalled
from agent.model import JsonObject, Kind, Labels, Metric, Sample, Series, Target, labels
from agent.remedy import guard, tables
from agent.remedy.carry import ITSELF, Carrier, Sight
from agent.remedy.model import ACTING, OVER, Decision, Phase, Run
from agent.remedy.playbook import Mode, Playbook, allowed_mode
from agent.store.state import State

log = logging.getLogger("anfl.remedy")

TICK_S = 5.0
AGAIN_S = 600.0
"""The same playbook is not proposed twice for an incident within this time."""
STORM_REST_S = 1800.0
Key = tuple[str, Labels]


class Remedy:
    """One organ; see the module."""

    name = "remedy"
    metrics: tuple[Metric, ...] = (
        Metric("remedy_runs", Kind.GAUGE, "", "Runs of playbooks that are proposed, approved or under way.", ("phase",)),
        Metric("remedy_paused", Kind.GAUGE, "", "1 while playbooks are paused."),
        Metric("remedy_breaker_open", Kind.GAUGE, "", "1 while the breaker is open and nothing is done."),
        Metric("remedy_audit_records_total", Kind.COUNTER, "", "Records of the audit chain."),
    )

    def __init__(
        self, state: State, playbooks: Mapping[str, Playbook], ceiling: Mode, sight: Sight, clock: Clock, carrier: Carrier
    ) -> None:
        self.playbooks = playbooks
        self.ceiling = ceiling
        self._state = state
        self._sight = sight
        self._clock = clock
        self.carrier = carrier
        self._good: dict[int, float] = {}  # run → since when its symptom is known to be over
        self._open: list[Run] = []
        self._switches: dict[str, JsonObject] = {}
        self._audit = 0
        self._storm_until = 0.0
        self.wake = asyncio.Event()
        self.busy = asyncio.Lock()
        self._series = {m.name: Series(m.name) for m in self.metrics if not m.labels}
        self._phases = {p: Series("remedy_runs", labels(phase=str(p))) for p in (Phase.PROPOSED, Phase.APPROVED, *sorted(ACTING))}

    # ------------------------------------------------------------------------------------------ life

    async def open(self) -> None:
        """Settle what a crash left behind. The state must be open."""
        for run in await self._state.read(lambda at: tables.runs(at, ACTING)):
            if run.phase is Phase.RESERVED:
                await self.carrier.move(run, Phase.EXPIRED, reason="the agent ended before it acted; the attempt counts")
            elif run.phase is Phase.INTENT:
                await self.carrier.move(run, Phase.AMBIGUOUS, reason="the agent ended in the middle of it")
            elif run.phase is Phase.RESULT:
                await self._after_crash_between(run)
        await self.refresh()

    async def _after_crash_between(self, run: Run) -> None:
        """A step was done and the next never begun."""
        playbook = self.playbooks.get(run.playbook)
        if playbook is not None and run.step == len(playbook.steps) - 1:
            now = self._clock.now()
            await self.carrier.move(run, Phase.VERIFYING, verify_from=now, verify_until=now + playbook.verify.within)
        else:
            await self.carrier.move(run, Phase.FAILED, reason="the agent ended between two steps")

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self.wake.wait()
            self.wake.clear()
            with contextlib.suppress(Stalled):  # a state that does not answer: nothing may be done until it does
                await self.tick()

    async def end(self, reason: str) -> None:
        """Nothing: every edge is on disk already."""

    # ------------------------------------------------------------------------------------------ proposing

    async def diagnosed(self, diagnosis: JsonObject, incident: int | None, key: Key | None) -> list[Run]:
        """Propose what may help against the roots of a diagnosis; the new runs."""
        made = []
        for cause in diagnosis["causes"] if incident is not None and key is not None else ():
            for playbook in self.playbooks.values():
                if cause["id"] in playbook.needs.causes:
                    assert incident is not None
                    assert key is not None
                    run = await self._propose(playbook, cause, incident, key)
                    made += [run] if run is not None else []
        if made:
            self.wake.set()
        return made

    async def _propose(self, playbook: Playbook, cause: JsonObject, incident: int, key: Key, rung: int = 0) -> Run | None:
        now, proposal = self._clock.now(), self._proposal(playbook, cause, incident, key, rung)

        def change(to: Any) -> Run | None:
            mine = (playbook.id, incident, proposal.identity)
            alike = [r for r in tables.runs(to) if (r.playbook, r.incident, r.identity) == mine]
            if any(r.phase not in OVER or now - r.created < AGAIN_S for r in alike):
                return None
            if now < self._storm_until:
                return None
            if guard.storm(tables.tally(to, proposal, now)):
                self._storm_until = now + STORM_REST_S
                tables.record(to, now, ITSELF, "storm", {"until": self._storm_until, "incident": incident})
                return None
            return tables.insert(to, proposal, ITSELF)

        return await self._state.write(change)

    def _proposal(self, playbook: Playbook, cause: JsonObject, incident: int, key: Key, rung: int) -> Run:
        now = self._clock.now()
        target = Target(**{k: v for k, v in cause["target"].items() if k in Target.__dataclass_fields__})
        return Run(
            id=0, playbook=playbook.id, digest=playbook.digest, group=playbook.group, incident=incident, cause=cause["id"], key=key,
            target=target, mode=allowed_mode(playbook, self.ceiling), phase=Phase.PROPOSED, created=now, updated=now,
            expires=now + playbook.approval.expires, rung=rung,
            evidence=hashlib.sha256(json.dumps(cause, sort_keys=True).encode()).hexdigest()[:16],
        )  # fmt: skip

    async def weigh(self, name: str, cause: JsonObject, incident: int, key: Key) -> tuple[str, Decision]:
        """What a playbook would do about a cause, and whether it might: asked by a person, nothing is kept."""
        playbook, now = self.playbooks[name], self._clock.now()
        run = self._proposal(playbook, cause, incident, key, 0)
        facts = await self._sight.facts(run, now)
        decision = await self._state.read(
            lambda at: guard.decide(playbook, run, facts, tables.tally(at, run, now), tables.house(at, now, self._state.losses))
        )
        return self.plan(run), decision

    # ------------------------------------------------------------------------------------------ one tick

    async def tick(self) -> None:
        """Look at every run that is not over."""
        async with self.busy:
            for run in await self._state.read(lambda at: tables.runs(at, frozenset(Phase) - OVER)):
                await self._attend(run)
            await self.refresh()

    async def _attend(self, run: Run) -> None:
        playbook, now = self.playbooks.get(run.playbook), self._clock.now()
        if playbook is None:
            if run.phase in (Phase.PROPOSED, Phase.APPROVED):
                await self.carrier.move(run, Phase.CANCELLED, reason="the playbook is gone")
            elif run.phase in (Phase.VERIFYING, Phase.AMBIGUOUS):
                await self.carrier.move(run, Phase.ESCALATED, reason="the playbook is gone")
        elif run.phase is Phase.PROPOSED:
            await self._weigh(run, playbook, now)
        elif run.phase is Phase.APPROVED:
            await self._go(run, playbook, now)
        elif run.phase in (Phase.VERIFYING, Phase.AMBIGUOUS):
            await self._judge(run, playbook, now)

    async def _weigh(self, run: Run, playbook: Playbook, now: float) -> None:
        """A proposal: out of date, refused, waiting for people, or going on by itself."""
        if now >= run.expires:
            await self.carrier.move(run, Phase.EXPIRED, reason="nobody decided in time")
            return
        facts = await self._sight.facts(run, now)
        if not facts.incident_open:
            await self.carrier.move(run, Phase.CANCELLED, reason=f"incident {run.incident} is over")
            return
        decision = await self._state.read(
            lambda at: guard.decide(playbook, run, facts, tables.tally(at, run, now), tables.house(at, now, self._state.losses))
        )
        why = "; ".join(decision.reasons)
        if not decision.go:
            await self.carrier.move(run, Phase.DENIED, "guard", reason=why)
        elif run.mode == "dry-run":
            await self.carrier.move(run, Phase.WOULD, "guard", reason=self.plan(run))
        elif run.mode == "auto":
            await self.carrier.move(run, Phase.APPROVED, "policy", reason="mode: auto")
            self.wake.set()

    async def _go(self, run: Run, playbook: Playbook, now: float) -> None:
        if now >= run.expires:
            await self.carrier.move(run, Phase.EXPIRED, reason="approved, but not begun in time")
            return
        reserved = await self.carrier.reserve(run, playbook)
        if reserved.phase is Phase.RESERVED:
            acted = await self.carrier.act(reserved, playbook)
            if acted.phase is Phase.FAILED:
                await self._over(acted, playbook)
            await self._trip()

    async def _judge(self, run: Run, playbook: Playbook, now: float) -> None:
        """Did it help? Known to be over for long enough: yes. At the end: no, or unknown, which is never yes."""
        helped = await self._sight.helped(run)
        if helped is not True:
            self._good.pop(run.id, None)
        since = self._good.setdefault(run.id, now) if helped is True else now
        if helped is True and now - since >= playbook.verify.settle:
            await self.carrier.move(run, Phase.VERIFIED, reason="")
            return
        if run.phase is Phase.AMBIGUOUS:
            await self._settle_ambiguous(run, playbook, now, helped)
        elif run.verify_until is not None and now >= run.verify_until:
            if helped is False:
                await self._over(await self.carrier.move(run, Phase.FAILED, reason="it did not help"), playbook)
            else:
                ended = await self.carrier.move(run, Phase.ESCALATED, reason="whether it helped is unknown")
                await self._over(ended, playbook)

    async def _settle_ambiguous(self, run: Run, playbook: Playbook, now: float, helped: bool | None) -> None:
        """By looking; done again only where that does no harm and the trouble is known to be there still."""
        if helped is True and now - run.updated < playbook.verify.within:
            return
        step = playbook.steps[min(run.step, len(playbook.steps) - 1)]
        repeatable = self.carrier.action(run, playbook, step).idempotent and run.step == len(playbook.steps) - 1
        fresh = await self._sight.facts(run, now)
        if helped is False and repeatable and fresh.incident_open and fresh.target_there and "again" not in run.reason:
            again = await self.carrier.step(replace(run, reason="again"), playbook, run.step, step)
            if again.phase is Phase.RESULT:
                await self.carrier.move(again, Phase.VERIFYING, verify_from=now, verify_until=now + playbook.verify.within)
        elif now - run.updated >= playbook.verify.within or not repeatable:
            ended = await self.carrier.move(run, Phase.ESCALATED, reason=f"it is not known whether {step.do} was done")
            await self._over(ended, playbook)

    async def _over(self, run: Run, playbook: Playbook) -> None:
        """It did not help: the next rung, or people."""
        await self._trip()
        following = self.playbooks.get(playbook.next) if playbook.next else None
        told = self._sight.told(run)
        cause = next((c for c in told.get("causes", ()) if c["id"] == run.cause), None)
        if run.phase is Phase.FAILED and playbook.verify.on_fail == "next" and following is not None and cause is not None:
            await self._propose(following, cause, run.incident, run.key, run.rung + 1)
            self.wake.set()
        else:
            log.error(
                "incident %d: playbook %s ended %s (%s); a person must look", run.incident, run.playbook, run.phase, run.reason
            )

    async def _trip(self) -> None:
        """Open the breaker if too much was done, or too much in vain."""

        def change(to: Any) -> str:
            now = self._clock.now()
            newest = tables.runs(to, most=1)
            why = guard.breaker(tables.tally(to, newest[0], now)) if newest else ""
            if why and "breaker" not in tables.switches(to):
                tables.switch(to, "breaker", {"why": why, "since": now}, now, ITSELF)
                return why
            return ""

        if why := await self._state.write(change):
            log.error("the breaker is open: %s; nothing more is done until 'anfl-agent playbooks reset --reason …'", why)

    # ------------------------------------------------------------------------------------------ showing

    def plan(self, run: Run) -> str:
        """What it would do, step by step."""
        playbook = self.playbooks[run.playbook]
        return "; then ".join(self.carrier.action(run, playbook, step).plan() for step in playbook.steps)

    async def refresh(self) -> None:
        """Read anew what :meth:`samples` tells."""

        def look(at: Any) -> tuple[list[Run], dict[str, JsonObject], int]:
            return tables.runs(at, frozenset(Phase) - OVER), tables.switches(at), tables.head(at)[0]

        self._open, self._switches, self._audit = await self._state.read(look)

    def samples(self) -> list[Sample]:
        """Its own figures."""
        found = [Sample(series, float(sum(r.phase is phase for r in self._open))) for phase, series in self._phases.items()]
        paused = float(self._switches.get("pause", {}).get("until", 0.0) > self._clock.now())
        figures = {"remedy_paused": paused, "remedy_breaker_open": float("breaker" in self._switches)}
        figures["remedy_audit_records_total"] = float(self._audit)
        return found + [Sample(self._series[name], value) for name, value in figures.items()]
