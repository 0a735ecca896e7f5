"""Did it help? Known to be over for long enough: yes. At the end: no, or unknown, which is never yes.

Then the next rung, or people.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from agent.errors import AgentError
from agent.host.clock import Clock
from agent.model import JsonObject
from agent.remedy import guard, tables
from agent.remedy.carry import Carrier, Sight
from agent.remedy.ledger import Ledger
from agent.remedy.model import ITSELF, OVER, Phase, Run, Tally
from agent.remedy.playbook import Playbook
from agent.remedy.propose import Proposer

log = logging.getLogger("anfl.remedy")


class Outcome:
    """Looks after runs that have acted."""

    def __init__(
        self,
        state: Ledger,
        playbooks: Mapping[str, Playbook],
        sight: Sight,
        clock: Clock,
        carrier: Carrier,
        proposer: Proposer,
    ) -> None:
        self._state = state
        self._playbooks = playbooks
        self._sight = sight
        self._clock = clock
        self._carrier = carrier
        self._proposer = proposer
        self._good: dict[int, float] = {}  # run → since when, on a clock that is never set, what it was for is known to be over

    async def left_behind(self, run: Run, playbook: Playbook | None) -> None:
        """A crash, or a state that did not answer, left it between two edges: nothing is under way any more."""
        if run.phase is Phase.RESERVED:
            await self._carrier.move(run, Phase.EXPIRED, reason="the agent ended before it acted; the attempt counts")
        elif run.phase is Phase.INTENT:
            await self._carrier.move(run, Phase.AMBIGUOUS, reason="the agent ended in the middle of it")
        elif playbook is not None and run.step == len(playbook.steps) - 1:
            await self._carrier.verifying(run, playbook)
        else:
            await self._carrier.move(run, Phase.FAILED, reason="the agent ended between two steps")

    async def judge(self, run: Run, playbook: Playbook, now: float) -> None:
        """One look."""
        helped = await self._helped(run, playbook)
        moment = self._clock.monotonic()
        if helped is True:
            if moment - self._good.setdefault(run.id, moment) >= playbook.verify.settle:
                self._good.pop(run.id)
                await self._carrier.move(run, Phase.VERIFIED, reason="")
            return
        self._good.pop(run.id, None)
        if run.phase is Phase.AMBIGUOUS:
            await self._settle(run, playbook, now, helped)
        elif run.verify_until is not None and now >= run.verify_until:
            if helped is False:
                await self._carrier.move(run, Phase.FAILED, reason="it did not help")
            else:
                await self._carrier.move(run, Phase.ESCALATED, reason="whether it helped is unknown")

    async def _helped(self, run: Run, playbook: Playbook) -> bool | None:
        by_effect = playbook.class_ == "observe" or playbook.verify.of == "effect"
        return await self._carrier.effect(run, playbook) if by_effect else await self._sight.helped(run)

    async def _settle(self, run: Run, playbook: Playbook, now: float, helped: bool | None) -> None:
        """By looking; done again, once, only where that does no harm, it is still wanted, and the trouble is known to be there."""
        step = playbook.steps[min(run.step, len(playbook.steps) - 1)]
        if helped is False and not run.again and await self._repeatable(run, playbook, now):
            again = await self._carrier.step(run, playbook, run.step, step, again=True)
            if again.phase is Phase.RESULT:
                await self._carrier.verifying(again, playbook)
        elif now - run.updated >= playbook.verify.within:
            await self._carrier.move(run, Phase.ESCALATED, reason=f"it is not known whether {step.do} was done")

    async def _repeatable(self, run: Run, playbook: Playbook, now: float) -> bool:
        if run.step != len(playbook.steps) - 1:
            return False
        try:
            action = self._carrier.action(run, playbook, playbook.steps[run.step])
            action.plan()
        except AgentError:
            return False
        facts = await self._sight.facts(run, now, anew=True)
        house = await self._state.read(lambda at: self._carrier.house(at, now))
        return action.idempotent and guard.decide(playbook, run, facts, Tally(), house).go

    # ------------------------------------------------------------------------------------------ after the end

    async def close(self) -> None:
        """Whatever ended without help: the next rung, or people. Kept as done only then, so that no crash can swallow a call."""
        now = self._clock.now()
        for run in await self._state.read(lambda at: tables.unclosed(at, now)):
            await self.trip()
            await self._follow(run)
            await self._state.write(partial(tables.note, before=run, now=self._clock.now(), who=ITSELF, closed=True))

    async def _follow(self, run: Run) -> None:
        facts = await self._sight.facts(run, self._clock.now())
        if run.refused or run.quiet or not facts.incident_open:
            return
        if run.phase in (Phase.FAILED, Phase.DENIED) and await self._climbed(run):
            return
        said = f"playbook {run.playbook} ended {run.phase} ({run.reason}); a person must look"
        log.error("incident %d: %s", run.incident, said)
        await self._sight.call(run, "given_up", said)

    async def _climbed(self, run: Run) -> bool:
        """Whether the next rung is proposed, now or by a life before this one."""
        playbook = self._playbooks.get(run.playbook)
        following = self._playbooks.get(playbook.next) if playbook is not None and playbook.next else None
        if playbook is None or following is None or playbook.verify.on_fail != "next":
            return False
        cause: JsonObject | None = next((c for c in self._sight.told(run).get("causes", ()) if c["id"] == run.cause), None)
        targets = await self._proposer.targets(following, cause) if cause is not None else []
        if cause is None or not targets:
            return False
        target = next((t for t in targets if t.pid == run.target.pid), targets[0])
        proposal = self._proposer.run(following, cause, run.incident, run.key, target, run.rung + 1)
        if await self._proposer.propose(proposal) is not None:
            return True
        mine = (proposal.playbook, proposal.incident)
        return any((r.playbook, r.incident) == mine and r.phase not in OVER for r in await self._state.read(tables.runs))

    async def trip(self) -> None:
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
