"""What people decide about runs: agree, refuse, take back, pause, reset. Each word is an audit record with its name."""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections.abc import Callable

from agent.errors import Refused, UsageError
from agent.host.clock import Clock
from agent.model import JsonObject
from agent.remedy import codes, tables
from agent.remedy.approvers import Code, Voice
from agent.remedy.codes import Verdict
from agent.remedy.links import Asked, gone
from agent.remedy.model import OVER, Phase, Run
from agent.remedy.playbook import Playbook
from agent.remedy.runner import Remedy

log = logging.getLogger("anfl.remedy")

Then = Callable[[sqlite3.Connection, Run, Playbook, Voice, float], Run]


class NotYours(Refused):
    """Somebody who may not decide about that."""


class People:
    """The ways in for people; who they are was checked at the door."""

    def __init__(self, remedy: Remedy, clock: Clock) -> None:
        self._remedy = remedy
        self._state = remedy.ledger
        self._clock = clock

    async def approve(self, number: int, voice: Voice, code: Code | None = None, link: Asked | None = None) -> Run:
        """One person's yes; enough of them and it goes. UsageError if there is nothing to approve, NotYours if it is not theirs."""
        moved = await self._decide(number, voice, code, link, self._agreed)
        if moved.phase is Phase.APPROVED:
            self._remedy.wake.set()
        return moved

    async def deny(self, number: int, voice: Voice, reason: str, code: Code | None = None, link: Asked | None = None) -> Run:
        """A person's no."""

        def denied(to: sqlite3.Connection, run: Run, playbook: Playbook, who: Voice, now: float) -> Run:
            why = reason or f"denied by {who.name}"
            return tables.move(to, run, Phase.DENIED, now, who.name, refused=who.who, reason=why)

        return await self._decide(number, voice, code, link, denied)

    async def _decide(self, number: int, voice: Voice, code: Code | None, link: Asked | None, then: Then) -> Run:
        """All that is asked of a word, the code used up, and what follows, in one transaction: no code and no link works twice."""
        now = self._clock.now()

        def change(to: sqlite3.Connection) -> Run | Verdict:
            run = tables.get(to, number)
            if link is not None and not link.about(run):
                raise gone()
            playbook = self._remedy.playbooks.get(run.playbook) if run is not None else None
            if run is None or playbook is None or run.phase is not Phase.PROPOSED or run.mode != "propose":
                raise UsageError(f"run {number} does not wait for anybody", help="'anfl-agent playbooks list' shows what does")
            if now >= run.expires:
                raise UsageError(f"run {number} has expired", help="if it is still wanted it is proposed again")
            if run.digest != playbook.digest:
                raise UsageError(
                    f"playbook {run.playbook} was changed since run {number} was proposed", help="it is proposed again"
                )
            if code is not None and (verdict := codes.take(to, code.who, code.counter, now)) is not Verdict.RIGHT:
                if verdict is Verdict.WRONG:
                    tables.record(to, now, code.who, f"run {number} wrong code", {})
                return verdict
            _theirs(run, playbook, voice, code)
            return then(to, run, playbook, voice, now)

        found = await self._state.write(change)
        if isinstance(found, Verdict):
            raise Refused(  # the same words for all of these: they tell a stranger nothing
                "name or code is not right, or too many wrong ones were given",
                help="wait for the next code; after five, 15 minutes",
            )
        log.info("run %d (%s): heard %s, it is %s", number, found.playbook, voice.name, found.phase)
        return found

    @staticmethod
    def _agreed(to: sqlite3.Connection, run: Run, playbook: Playbook, voice: Voice, now: float) -> Run:
        if voice.who in run.approvals:
            raise UsageError(f"{voice.who} has agreed to run {run.id} already", help="another person must")
        given = (*run.approvals, voice.who)
        if len(given) < playbook.approval.count:  # the next person gets a link of their own
            fresh = secrets.token_urlsafe(12)
            return tables.note(to, run, now, voice.name, approvals=given, nonce=fresh, told=False)
        reason = f"approved by {', '.join(given)}"
        return tables.move(to, run, Phase.APPROVED, now, voice.name, approvals=given, nonce="", reason=reason)

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


def _theirs(run: Run, playbook: Playbook, voice: Voice, code: Code | None) -> None:
    """NotYours if this person may not decide about that run."""
    asked = playbook.approval
    if voice.who == run.proposer:
        raise NotYours("whoever proposes cannot agree to it", help="another person must")
    if not voice.may(asked.role):
        raise NotYours(f"{voice.name} is {voice.role} here; this playbook asks for {asked.role}", help="ask one of them")
    if asked.totp and code is None:
        raise NotYours("this playbook asks for a code of your authenticator", help=f"anfl-agent approve {run.id} --totp")
