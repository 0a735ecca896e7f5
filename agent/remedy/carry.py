"""Carries one approved run out: reserve, then for each step intent, act, result; each edge is on disk before the next begins."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Callable, Mapping, Set
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Literal, Protocol

from agent.errors import AgentError
from agent.host.clock import Clock
from agent.host.reach import Action, Reach, WillNot
from agent.model import JsonObject, Target
from agent.remedy import guard, tables
from agent.remedy.ledger import Ledger
from agent.remedy.model import ITSELF, OVER, Facts, House, Phase, Run
from agent.remedy.permit import Permits
from agent.remedy.playbook import Playbook, Step

log = logging.getLogger("anfl.remedy")

EVIDENCE = "capture_evidence"
BOLD = ("disruptive", "destructive")
EVIDENCE_S = 20.0
"""What is kept before something disruptive may take no longer: the trouble goes on meanwhile."""
LOOK_S, UNDO_S = 60.0, 300.0
_FILL = re.compile(r"\$\{target\.([a-z_]+)\}")


class Sight(Protocol):
    """What playbooks may know of the world, asked afresh each time."""

    async def facts(self, run: Run, now: float, *, anew: bool = False) -> Facts:
        """How things stand for this run; ``anew``: its cause is judged once more, on what is known at this moment."""
        ...

    async def helped(self, run: Run) -> bool | None:
        """Whether what it was for is over: True only with data or because it was seen to end; None if that is unknown."""
        ...

    async def note(self, run: Run, what: str, *, begins: bool) -> None:
        """Into the incident's timeline: work on it begins, or is over."""
        ...

    async def rest(self, at_work: Set[int]) -> None:
        """Work goes on on these incidents and on no other: an end that was not kept must not hold one open for ever."""
        ...

    async def culprits(self, cause: JsonObject) -> list[Target]:
        """The processes a cause blames, worst first, as far as they are sure to be there still."""
        ...

    async def call(self, run: Run, kind: Literal["asked", "given_up"], text: str, link: str = "") -> None:
        """People are to be told, by alerts, and where they can answer; returns when that is kept."""
        ...

    def told(self, run: Run) -> JsonObject:
        """The incident as it stands, for actions that tell somebody."""
        ...


class Carrier:
    """Moves runs through their acting phases. ``make`` builds an action by name; ``house`` reads what holds for the whole host."""

    def __init__(
        self,
        state: Ledger,
        sight: Sight,
        clock: Clock,
        make: Callable[[str, Target, Reach, Mapping[str, Any]], Action],
        reach: Callable[[JsonObject], Reach],
        house: Callable[[Any, float], House],
        permits: Permits | None = None,
    ) -> None:
        self._state = state
        self._sight = sight
        self._clock = clock
        self._make = make
        self._reach = reach
        self._house = house
        self._permits = permits if permits is not None and permits.wanted else None

    def house(self, at: Any, now: float) -> House:
        """How the host stands, read in the transaction that decides."""
        return self._house(at, now)

    async def move(self, run: Run, phase: Phase, who: str = ITSELF, **changes: Any) -> Run:
        """One edge, on disk before this returns."""
        now = self._clock.now()
        moved = await self._state.write(lambda to: tables.move(to, run, phase, now, who, **changes))
        log.info("run %d (%s for incident %d): %s %s", run.id, run.playbook, run.incident, phase, moved.reason)
        if phase in OVER and run.reserved_at is not None:
            await self._sight.note(
                moved, f"playbook {run.playbook}: {phase}" + (f", {moved.reason}" if moved.reason else ""), begins=False
            )
        return moved

    def action(self, run: Run, playbook: Playbook, step: Step) -> Action:
        """The action of one step, its settings filled in from the target. WillNot where the target lacks what they name."""
        return self._make(str(step.do), run.target, self._reach(self._sight.told(run)), filled(playbook.settings(step), run.target))

    async def reserve(self, run: Run, playbook: Playbook) -> Run:
        """Decide once more, and count the attempt in the same transaction; a run that may not go on ends here."""
        refused = await self._permit(run, playbook, 0) if playbook.class_ in BOLD else ""
        facts = await self._sight.facts(run, self._clock.now(), anew=True)
        moved = await self._state.write(partial(self._reserve, run=run, playbook=playbook, facts=facts, refused=refused))
        if moved.phase is Phase.RESERVED:
            await self._sight.note(moved, f"playbook {run.playbook} begins (run {run.id})", begins=True)
        return moved

    def _reserve(self, to: Any, run: Run, playbook: Playbook, facts: Facts, refused: str) -> Run:
        house = replace(self.house(to, facts.now), permit=refused)
        decision = guard.decide(playbook, run, facts, tables.tally(to, run, facts.now), house)
        if not decision.go:
            return tables.move(to, run, Phase.CANCELLED, facts.now, ITSELF, reason="; ".join(decision.reasons))
        return tables.move(to, run, Phase.RESERVED, facts.now, ITSELF, reserved_at=facts.now, reason="")

    async def _permit(self, run: Run, playbook: Playbook, number: int) -> str:
        """What somebody outside says to a step, on record; "" if it may be, or nobody is to be asked."""
        if self._permits is None:
            return ""
        target = {k: v for k, v in asdict(run.target).items() if v is not None}
        question = {
            "host": socket.gethostname(), "operation": f"{socket.gethostname()}-{run.id}-{number}", "run": run.id,
            "playbook": run.playbook, "class": playbook.class_, "step": number, "do": [str(s.do) for s in playbook.steps[number:]],
            "target": target, "incident": run.incident, "cause": run.cause, "mode": run.mode, "approvals": list(run.approvals),
        }  # fmt: skip
        why = await self._permits.ask(question)
        told = {"step": number, "permit": not why, "why": why}
        await self._state.write(lambda to: tables.record(to, self._clock.now(), "permit", f"run {run.id} asked outside", told))
        return why

    async def act(self, run: Run, playbook: Playbook) -> Run:
        """All steps of a reserved run, up to verifying."""
        if playbook.class_ in BOLD and all(step.do != EVIDENCE for step in playbook.steps):
            await self._keep_evidence(run)
        for number, step in enumerate(playbook.steps):
            run = await self.step(run, playbook, number, step)
            if run.phase is not Phase.RESULT:
                return run
        return await self.verifying(run, playbook)

    async def verifying(self, run: Run, playbook: Playbook) -> Run:
        """All is done: from now on it is looked whether it helped."""
        now = self._clock.now()
        return await self.move(run, Phase.VERIFYING, verify_from=now, verify_until=now + playbook.verify.within, reason="")

    async def step(self, run: Run, playbook: Playbook, number: int, step: Step, again: bool = False) -> Run:
        """Intent, the act itself, result. ``again``: nobody knows whether it was done, and doing it twice does no harm."""
        try:
            action = self.action(run, playbook, step)
            plan = action.plan()
        except AgentError as error:
            return await self._failed(run, playbook, f"{step.do}: {error.message}")
        if action.class_ != "observe" and not again and (why := await self._late(run)):
            return await self.move(run, Phase.EXPIRED, reason=why)
        begun = again or any(entry.get("class") in BOLD for entry in run.undo)  # for the first one was asked with the reservation
        if begun and action.class_ in BOLD and (why := await self._permit(run, playbook, number)):
            return await self.move(run, Phase.ESCALATED, reason=f"no permit from outside: {why}")
        run = await self.move(run, Phase.INTENT, step=number, reason=plan, again=again)
        if why := self._state.volatile:
            return await self._failed(run, playbook, f"what is done cannot be kept now ({why}): nothing is done")
        touched = False
        try:
            async with asyncio.timeout(step.timeout):
                await action.check()
                touched = True
                done = await action.act()
        except TimeoutError:
            if touched:
                return await self.move(run, Phase.AMBIGUOUS, reason=f"{step.do} did not end within {step.timeout:g} s")
            return await self._failed(run, playbook, f"{step.do}: its check did not end within {step.timeout:g} s")
        except WillNot as refusal:
            return await self._failed(run, playbook, f"{step.do}: {refusal.message}")
        except AgentError as error:
            return await self._failed(run, playbook, f"{step.do} failed: {error.message}")
        except Exception as error:  # a plug-in may fail in any way; whether it did something then is not known
            log.exception("action %s failed", step.do)
            if not touched:
                return await self._failed(run, playbook, f"{step.do}: its check failed: {type(error).__name__}")
            return await self.move(run, Phase.AMBIGUOUS, reason=f"{step.do} failed: {type(error).__name__}: {error}")
        entry = {
            "step": number,
            "do": str(step.do),
            "with": dict(filled(playbook.settings(step), run.target)),
            "done": done,
            "class": action.class_,
        }
        return await self.move(run, Phase.RESULT, undo=(*run.undo, entry), reason="")

    async def _late(self, run: Run) -> str:
        """Why it should not even begin any more; "" if it may. Evidence takes its time, and people may have paused meanwhile."""
        now = self._clock.now()
        if held := guard.hindered(await self._state.read(lambda at: self.house(at, now))):
            return held
        if any(entry.get("class") != "observe" for entry in run.undo):
            return ""  # it has begun: what its own steps changed is no reason to stop half way
        facts = await self._sight.facts(run, now)
        if not facts.incident_open:
            return f"incident {run.incident} is over"
        return "" if facts.target_there else "the target is gone, or another has its number"

    async def effect(self, run: Run, playbook: Playbook) -> bool | None:
        """Whether what the steps did is still there, as the actions themselves see it. Steps that only look have none."""
        if run.phase is Phase.AMBIGUOUS:
            return None
        answers: set[bool | None] = set()
        for entry in run.undo:
            if entry.get("class") == "observe":
                continue
            try:
                async with asyncio.timeout(LOOK_S):
                    answers.add(await self._made(run, entry).verify(entry["done"]))
            except Exception as error:
                log.info("run %d: %s cannot be looked at: %s", run.id, entry["do"], error)
                answers.add(None)
        return False if False in answers else None if None in answers else True

    def _made(self, run: Run, entry: JsonObject) -> Action:
        return self._make(entry["do"], run.target, self._reach(self._sight.told(run)), entry["with"])

    async def _failed(self, run: Run, playbook: Playbook, why: str) -> Run:
        """A step could not be done: what reversible steps did before it is taken back."""
        back, left = await self.take_back(run) if playbook.class_ == "reversible" else ((), run.undo)
        return await self.move(run, Phase.FAILED, reason="; ".join((why, *back)), undo=left)

    async def take_back(self, run: Run) -> tuple[tuple[str, ...], tuple[JsonObject, ...]]:
        """Undo every step that can be undone, the last first; what happened, in words, and what is still as the steps left it."""
        said, left = [], []
        for entry in reversed(run.undo):
            try:
                action = self._made(run, entry)
                if not action.undoable:
                    left.append(entry)
                    continue
                async with asyncio.timeout(UNDO_S):
                    await action.undo(entry["done"])
                said.append(f"{entry['do']} was taken back")
            except Exception as error:  # what cannot be taken back must not keep the rest
                why = error.message if isinstance(error, AgentError) else str(error) or type(error).__name__
                said.append(f"{entry['do']} could not be taken back: {why}")
                left.append(entry)
        return tuple(said), tuple(reversed(left))

    async def _keep_evidence(self, run: Run) -> None:
        """Before something is destroyed; that it fails must not keep the trouble going."""
        try:
            async with asyncio.timeout(EVIDENCE_S):
                await self._make(EVIDENCE, run.target, self._reach(self._sight.told(run)), {}).act()
        except Exception as error:
            log.warning("run %d: no evidence could be kept: %s", run.id, error)


def filled(settings: Mapping[str, Any], target: Target) -> Mapping[str, Any]:
    """Settings with ``${target.unit}`` and the like filled in. WillNot where the target has no such thing."""
    known = {k: v for k, v in asdict(target).items() if v not in (None, "")}

    def put(found: re.Match[str]) -> str:
        if found[1] not in known:
            raise WillNot(f"the target has no {found[1]}")
        return str(known[found[1]])

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return _FILL.sub(put, value)
        if isinstance(value, list):
            return [walk(item) for item in value]
        return {k: walk(v) for k, v in value.items()} if isinstance(value, dict) else value

    return {name: walk(value) for name, value in settings.items()}
