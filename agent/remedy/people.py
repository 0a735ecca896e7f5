"""What people decide about runs: agree, refuse, take back, pause, reset. Each word is an audit record with its name."""

from __future__ import annotations

import sqlite3

from agent.errors import UsageError
from agent.host.clock import Clock
from agent.model import JsonObject
from agent.remedy import tables
from agent.remedy.model import OVER, Phase, Run
from agent.remedy.runner import Remedy
from agent.store.state import State


class People:
    """The ways in for people; who they are was checked at the door."""

    def __init__(self, remedy: Remedy, state: State, clock: Clock) -> None:
        self._remedy = remedy
        self._state = state
        self._clock = clock

    async def approve(self, number: int, who: str) -> Run:
        """One person's yes; enough of them and it goes. UsageError if there is nothing to approve."""
        run = await self._waiting(number)
        if self._clock.now() >= run.expires:
            raise UsageError(f"run {number} has expired", help="if it is still wanted it is proposed again")
        if who in run.approvals:
            raise UsageError(f"{who} has agreed to run {number} already", help="another person must")
        playbook = self._remedy.playbooks[run.playbook]
        given = (*run.approvals, who)
        if len(given) < playbook.approval.count:
            return await self._note(run, who, given)
        moved = await self._remedy.carrier.move(run, Phase.APPROVED, who, approvals=given, reason=f"approved by {', '.join(given)}")
        self._remedy.wake.set()
        return moved

    async def deny(self, number: int, who: str, reason: str) -> Run:
        """A person's no."""
        return await self._remedy.carrier.move(
            await self._waiting(number), Phase.DENIED, who, refused=who, reason=reason or f"denied by {who}"
        )

    async def undo(self, number: int, who: str) -> tuple[Run, tuple[str, ...]]:
        """Take back what a run that is over did; what happened, in words."""
        async with self._remedy.busy:
            run = await self._state.read(lambda at: tables.get(at, number))
            if run is None or run.phase not in OVER or not run.undo:
                raise UsageError(
                    f"there is nothing of run {number} to take back", help="'anfl-agent playbooks history' shows what was done"
                )
            said, left = await self._remedy.carrier.take_back(run)
            now = self._clock.now()

            def keep(to: sqlite3.Connection) -> Run:
                tables.record(to, now, who, f"run {number} undone", {"what": list(said)})
                return tables.note(to, run, run.updated, who, undo=left)

            return await self._state.write(keep), said

    async def switch(self, name: str, value: JsonObject | None, who: str) -> None:
        """Pause or resume, reset the breaker, accept that state was lost."""
        now = self._clock.now()
        await self._state.write(lambda to: tables.switch(to, name, value, now, who))
        await self._remedy.refresh()

    async def _waiting(self, number: int) -> Run:
        run = await self._state.read(lambda at: tables.get(at, number))
        if run is None or run.phase is not Phase.PROPOSED or run.mode != "propose" or run.playbook not in self._remedy.playbooks:
            raise UsageError(f"run {number} does not wait for anybody", help="'anfl-agent playbooks list' shows what does")
        return run

    async def _note(self, run: Run, who: str, given: tuple[str, ...]) -> Run:
        now = self._clock.now()
        return await self._state.write(lambda to: tables.note(to, run, now, who, approvals=given))
