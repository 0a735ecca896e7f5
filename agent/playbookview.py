"""What playbooks may know of the running agent: how an incident, its cause, its symptom and a target stand at this moment."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Set
from typing import Literal

from agent import past
from agent.app import Agent
from agent.engine import looks
from agent.engine.diagnose import Scope
from agent.engine.entities import Entities
from agent.engine.incident import Incident, plain
from agent.engine.rounds import Round
from agent.errors import AgentError
from agent.host import procs, targets
from agent.host.lane import aside
from agent.incidents.desk import Desk
from agent.model import ENTITY_ENDED, JsonObject, Target, labels
from agent.remedy.model import Facts, Run
from agent.remedy.propose import Key

BLAMED_MOST = 3
"""So many of those who are to blame for one thing get a proposal each; the limits of the playbook hold for all of them."""
SEEN_S = 60.0
"""A judgement older than this says nothing of now."""


class View:
    """Implements :class:`agent.remedy.carry.Sight` over the running agent. Nothing here is remembered: it is asked each time."""

    def __init__(self, agent: Agent, desk: Desk) -> None:
        self._agent = agent
        self._desk = desk

    def _incident(self, run: Run) -> Incident | None:
        book = self._desk.book
        return book.incidents.get(self._desk.survivor(book, run.incident))

    async def facts(self, run: Run, now: float, *, anew: bool = False) -> Facts:
        """Incident, cause, symptom and target as they are now."""
        incident, symptom = self._incident(run), self._agent.judged.symptoms.get(run.key)
        there, uid = await aside(lambda: (_there(run.target), _uid(run.target)))
        stands = symptom is not None and now - self._agent.judged.at < SEEN_S
        looked = incident.looked if incident is not None and incident.looked is not None else 0.0
        users = await self._gpu_users(run.target.uuid) if run.target.kind == "gpu" and run.target.uuid else {}
        return Facts(
            now=now,
            incident_open=incident is not None and incident.firing,
            lo=self._anew(run) if anew else self._known(run, incident),
            judged_at=now if anew else self._agent.judged.at if stands else looked,
            complete=stands and symptom is not None and not symptom.missing,
            target_there=there,
            uid=uid,
            gpu_users=users,
            gpus_lost=frozenset(dict(of)["uuid"] for of, (_, lost) in self._agent.ring.latest("gpu_lost").items() if lost),
        )

    async def _gpu_users(self, uuid: str) -> Mapping[str, frozenset[str]] | None:
        """The GPUs of everybody who works on that one; None if it cannot be said who does. Of a silent GPU those who were on it."""
        people = [dict(kept.labels) for kept in self._agent.ring.live("gpu_process_info")]
        counted = [dict(kept.labels) for kept in self._agent.ring.live("gpu_processes")]
        if not any(known.get("uuid") == uuid for known in (*people, *counted)):
            return None
        jobs = await aside(lambda: [_job(known) for known in people])
        gpus: dict[str, set[str]] = {}
        for job, known in zip(jobs, people, strict=True):
            gpus.setdefault(job, set()).add(known["uuid"])
        return {job: frozenset(held) for job, held in gpus.items() if uuid in held}

    @staticmethod
    def _known(run: Run, incident: Incident | None) -> float | None:
        causes = incident.causes if incident is not None else ()
        same = (c for c in causes if c["id"] == run.cause and _blamed(run, [x.get("pid") for x in c.get("culprits", ())]))
        return next((float(c["confidence"]["lo"]) for c in same), None)

    def _anew(self, run: Run) -> float | None:
        """The cause's ``lo`` by the samples of this moment; closer looks count for a quarter of an hour."""
        view = self._agent.ring.at(self._agent.ring.now)
        who = run.sufferer or run.target
        target, pids = past.aim(view, who.pid, gone_is_host=True)
        seen = looks.answers(view.events(looks.LOOK, looks.FRESH_S))
        assessment = past.settle(self._agent.rules, view, Scope(target, pids), seen)
        found = (*assessment.causes, *assessment.consequences, *assessment.elsewhere)
        same = [f for f in found if f.id == run.cause and (f.target.pid, f.target.uuid) == (who.pid, who.uuid)]
        return same[0].confidence.lo if same and _blamed(run, [c.pid for c in same[0].culprits]) else None

    async def helped(self, run: Run) -> bool | None:
        """Over for it, and for its kin: a restarted worker that leaks again did not get well by having a new pid.

        A symptom that is known to be clearing is over here: how long that must last is the playbook's word, not the judge's.
        """
        if self._agent.clock.now() - self._agent.judged.at > SEEN_S:
            return None
        symptom, who = self._agent.judged.symptoms.get(run.key), run.sufferer or run.target
        if symptom is not None and (symptom.missing or not symptom.clearing):
            return None if symptom.missing else False
        others = self._agent.judged.symptoms.items()
        suffering = [dict(key[1]).get("pid") for key, s in others if key[0] == run.key[0] and not s.clearing]
        if any(pid is not None and self._kin(pid, who) for pid in suffering):
            return False
        if who.pid is None and self._ended(run):
            return True
        if who.pid is None or await aside(lambda: _there(who)):
            return self._quiet([run.key])
        heirs = self._heirs(who)
        if not heirs:
            return True if who.unit is None else None
        return self._quiet([(run.key[0], labels(pid=heir)) for heir in heirs])

    def _ended(self, run: Run) -> bool:
        """Whether that which had the symptom was itself seen to end since then: a dead process that let go of its GPU."""
        view, since, mine = self._agent.ring.at(self._agent.ring.now), run.reserved_at or run.created, set(run.key[1])
        return bool(mine) and any(
            mine <= set(e.labels) and e.time >= since for e in view.events(ENTITY_ENDED, max(0.0, view.now - since))
        )

    def _quiet(self, keys: Iterable[Key]) -> bool | None:
        """Whether all of these are known to be well: with data, for a symptom without data is not over."""
        view = self._agent.ring.at(self._agent.ring.now)
        seen = Round(view)
        entities, trees = Entities.of(seen), self._agent.rules.trees
        answers = {trees[tree].symptom.when.value(seen, entities.instance(key)) if tree in trees else None for tree, key in keys}
        return False if True in answers else None if None in answers else True

    def _kin(self, pid: str, target: Target) -> bool:
        """Whether a watched process is of the same unit, or container."""
        for kept in self._agent.ring.live("process_info"):
            known = dict(kept.labels)
            if known.get("pid") == pid:
                return any(known.get(name) and known[name] == getattr(target, name) for name in ("unit", "container", "job"))
        return False

    def _heirs(self, target: Target) -> list[str]:
        """Watched processes of the same unit, or container: who works in its place."""
        pids = [dict(kept.labels).get("pid") for kept in self._agent.ring.live("process_info")]
        return [pid for pid in pids if pid is not None and self._kin(pid, target)]

    async def culprits(self, cause: JsonObject) -> list[Target]:
        """The first processes that are to blame, where the one with the number now is the one that was watched."""
        pids = [c["pid"] for c in cause.get("culprits", ()) if c.get("kind") == "process" and c.get("pid")]
        found = [await self._watched(pid) for pid in list(dict.fromkeys(pids))[:BLAMED_MOST]]
        return [target for target in found if target is not None]

    async def _watched(self, pid: int) -> Target | None:
        try:
            seen, _ = past.aim(self._agent.ring.at(self._agent.ring.now), pid)
            known = await aside(lambda: targets.process(pid))
        except AgentError:
            return None
        same = seen.start_time is not None and await aside(lambda: procs.still(pid, seen.start_time or 0.0))
        return known if same else None

    async def call(self, run: Run, kind: Literal["asked", "given_up"], text: str, link: str = "") -> None:
        """An event of the incident, which alerts send."""
        await self._desk.plea(self._desk.survivor(self._desk.book, run.incident), kind, text, link)

    async def note(self, run: Run, what: str, *, begins: bool) -> None:
        """Into the incident's timeline."""
        await self._desk.remedy(self._desk.survivor(self._desk.book, run.incident), what, begins=begins)

    async def rest(self, at_work: Set[int]) -> None:
        """Ends of work that were not kept, because the state answered too late, are made good."""
        book = self._desk.book
        busy = {self._desk.survivor(book, number) for number in at_work}
        for incident in [i for i in book.open if i.remedies and i.id not in busy]:
            for _ in range(incident.remedies):
                await self._desk.remedy(incident.id, "no playbook is at work any more", begins=False)

    def told(self, run: Run) -> JsonObject:
        """The incident, for actions that tell somebody; ``operation`` is the same for every try of the same run."""
        incident = self._incident(run)
        body = {} if incident is None else plain(incident)
        return {**body, "operation": f"{socket.gethostname()}-{run.id}-{run.step}", "run": run.id, "playbook": run.playbook}


def _job(known: Mapping[str, str]) -> str:
    """What a process on a GPU belongs to: its job, container or unit, else all of its session."""
    for name in ("job", "container", "unit"):
        if known.get(name):
            return f"{name} {known[name]}"
    try:
        return f"session {os.getsid(int(known['pid']))}"
    except (OSError, ValueError):
        return f"process {known.get('pid')}"


def _blamed(run: Run, pids: Iterable[int | None]) -> bool:
    """Whether who is to be acted on is still the one to blame."""
    return run.sufferer is None or run.target.pid in pids


def _there(target: Target) -> bool:
    if target.pid is None:
        return True
    return target.start_time is not None and procs.still(target.pid, target.start_time)


def _uid(target: Target) -> int | None:
    if target.pid is None:
        return None
    try:
        return procs.identity(target.pid).uid
    except AgentError:
        return None
