"""The judge at work in the daemon: rounds over all trees, an investigation when a symptom fires, and the last answers kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator

from agent.app import Agent, Request
from agent.dataclass import dataclass
from agent.engine.evaluate import Transition, judge
from agent.engine.report import when
from agent.engine.rounds import RoundCache
from agent.engine.trees import RuleSet
from agent.errors import AgentError, Unavailable, UsageError
from agent.host.procstat import NoSuchProcess
from agent.incidents.desk import Desk
from agent.incidents.sight import Sight
from agent.investigate import Limits
from agent.model import JsonObject, Labels, Severity, View
from agent.suspicions import Suspicions

log = logging.getLogger("anfl.judge")

KEEP_DIAGNOSES = 50
SAMPLE_S = 10.0  # enough for the light looks to run beside; the history is there already
AGAIN_S = 600.0
SETTLE_ROUNDS = 2  # right after the start counters have no rates yet
WAITING_MOST = 32
BESIDE_MOST = 2
"""Symptoms that may wait while a suspicion is put behind them: on a host in trouble suspicions must neither starve nor hinder."""
HURRIED_S = 1.0
ASKED = "somebody's question"
"""Who looked, in the timeline of an incident, where a person asked for a diagnosis."""


@dataclass(frozen=True)
class Case:
    """A symptom that fired and waits to be looked into."""

    tree: str
    labels: Labels
    text: str
    suspected: bool = False


class Casework:
    """One organ: it may not fail. One investigation at a time; a symptom that fires again soon is not looked into twice."""

    def __init__(self, agent: Agent, heavy: str, desk: Desk | None = None) -> None:
        self._agent = agent
        self._desk = desk
        self._heavy = heavy
        self._cache = RoundCache()
        self._waiting: asyncio.Queue[Case] = asyncio.Queue(WAITING_MOST)
        self._seen: dict[tuple[str, Labels], float] = {}
        self._suspicions = Suspicions()
        self._rules: RuleSet | None = None
        self._suspecting = False
        self._every = agent.config.budget.judge_every
        self.listeners: list[Callable[[JsonObject, int | None, tuple[str, Labels] | None], None]] = []
        """Told of every answer, with its incident and the symptom it was made for."""
        self.diagnoses: deque[JsonObject] = deque(maxlen=KEEP_DIAGNOSES)
        self.rounds = 0
        self.last_round = 0.0
        self.seconds = 0.0
        self._hurry = 0

    async def run(self) -> None:
        """Judge and investigate until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._judge(), name="judge")
            group.create_task(self._investigate(), name="investigate")

    def healthy(self) -> bool:
        """True while rounds keep coming: what the watchdog is told."""
        return self.last_round == 0.0 or self._agent.clock.monotonic() - self.last_round < 4 * self._every + 5

    @contextlib.contextmanager
    def hurried(self) -> Iterator[None]:
        """While a diagnosis runs, changes are to be seen sooner."""
        self._hurry += 1
        try:
            yield
        finally:
            self._hurry -= 1

    def round(self) -> list[Transition]:
        """One round now."""
        agent = self._agent
        view = agent.ring.at(agent.ring.now)
        began = time.perf_counter()
        agent.judged, transitions = judge(agent.rules, view, agent.judged, cache=self._cache, turn=self.rounds)
        self.seconds += time.perf_counter() - began
        self.rounds += 1
        self.last_round = agent.clock.monotonic()
        heard = [*self._reloaded(), *self._suspicions.sift(agent.rules, transitions)]
        self._file(view, heard)
        for change in heard:
            self._tell(change)
        self._suspect()
        return heard

    def _reloaded(self) -> list[Transition]:
        """What a reload of the rules changes about who is told of what stands."""
        before, self._rules = self._rules, self._agent.rules
        if before is None or before is self._rules:
            return []
        told = [c.key for i in self._desk.book.open for c in i.active] if self._desk is not None else []
        return self._suspicions.reread(self._rules, told)

    def _suspect(self) -> None:
        """Look into a suspicion, one at a time, unless much else waits to be looked into."""
        if self._suspecting or self._waiting.qsize() > BESIDE_MOST:
            return
        if (due := self._suspicions.due(self._agent.clock.monotonic())) is not None:
            self._suspecting = True
            where = " ".join(f"{k}={v}" for k, v in due.labels)
            log.info("suspicion %s %s: looking closer: %s", due.tree, where, due.text)
            self._waiting.put_nowait(Case(due.tree, due.labels, due.text, suspected=True))

    async def begin(self) -> None:
        """Go on where the agent before this one stopped: with its incidents, and with those it had not looked into."""
        if self._desk is not None:
            self._agent.judged = await self._desk.open()
            self._suspicions.know(self._agent.rules, self._agent.judged.symptoms)
            for left in self._desk.undiagnosed():
                self._open(Case(left.tree, left.labels, left.text))

    def _file(self, view: View, transitions: list[Transition]) -> None:
        """Tell the desk; it needs to know of an incident before anything is looked into for it."""
        agent, desk = self._agent, self._desk
        if desk is None:
            return
        desk.judged(agent.rules, Sight(view, self._cache), transitions, agent.judged)
        agent.pin(desk.pids(), "incidents")
        agent.ring.add(view.now, desk.samples(), self._every)

    async def _judge(self) -> None:
        while True:
            await self._agent.clock.sleep(min(HURRIED_S, self._every) if self._hurry else self._every)
            if self._agent.ring.ticks > SETTLE_ROUNDS:
                self.round()

    def _tell(self, change: Transition) -> None:
        where = " ".join(f"{k}={v}" for k, v in change.labels) or "host"
        if change.to in ("pending", "ok"):
            log.debug("symptom %s %s: %s", change.tree, where, change.to)
            return
        level = logging.WARNING if change.to == "firing" and change.severity >= Severity.WARNING else logging.INFO
        log.log(level, "symptom %s %s: %s since %s %s", change.tree, where, change.to, when(change.onset), change.text)
        if change.to == "firing":
            case = Case(change.tree, change.labels, change.text)
            if change.severity >= Severity.WARNING:
                self._open(case)
            else:
                self._pass_over(case, "a notice is looked into when somebody asks")

    def _open(self, case: Case) -> None:
        now = self._agent.clock.monotonic()
        self._seen = {key: at for key, at in self._seen.items() if now - at < AGAIN_S}
        if (case.tree, case.labels) in self._seen:
            self._pass_over(case, "it was looked into a few minutes ago")
            return
        try:
            self._waiting.put_nowait(case)
            self._seen[case.tree, case.labels] = now
        except asyncio.QueueFull:
            log.warning("symptom %s: %d others wait to be looked into; this one is only reported", case.tree, WAITING_MOST)
            self._pass_over(case, f"{WAITING_MOST} others wait to be looked into")

    def _pass_over(self, case: Case, why: str) -> None:
        """Nobody need wait for the cause of this one."""
        if self._desk is not None:
            self._desk.not_diagnosed((case.tree, case.labels), why)

    async def _investigate(self) -> None:
        while True:
            case = await self._waiting.get()
            try:
                with self.hurried():
                    found = await self._look(case)
                if not case.suspected or self._bear_out(case, found):
                    self.keep(found, (case.tree, case.labels))
            except AgentError as error:  # the process may be gone by now; the symptom's own end tells
                log.info("symptom %s: could not be looked into: %s", case.tree, error)
                self._pass_over(case, f"could not be looked into: {error.message}")
            except Exception:  # one symptom that cannot be looked into must not end the watch over all the others
                log.exception("symptom %s: looking into it failed", case.tree)
                self._pass_over(case, "looking into it failed; the agent's log says how")
            self._suspecting = self._suspecting and not case.suspected

    async def _look(self, case: Case) -> JsonObject:
        """One diagnosis: of the process, of the GPU and who is on it, or of the host. A process that is gone may hold a GPU all the
        same; a GPU that only the kernel knows cannot be asked about."""
        known = dict(case.labels)
        pid, gpu = known.get("pid"), known.get("uuid") or known.get("pci")
        requests = [Request(gpu=gpu, for_s=SAMPLE_S)] if gpu else []
        requests = [Request(pid=int(pid), for_s=SAMPLE_S), *requests] if pid else [*requests, Request(for_s=SAMPLE_S)]
        for request in requests[:-1]:
            try:
                return await self._diagnose(request, case)
            except (NoSuchProcess, UsageError, Unavailable) as missing:
                log.debug("symptom %s: looked into more widely: %s", case.tree, missing)
        return await self._diagnose(requests[-1], case)

    async def _diagnose(self, request: Request, case: Case) -> JsonObject:
        return await self._agent.diagnose(request, log.debug, limits=self._limits(), symptom=case.tree)

    def _bear_out(self, case: Case, found: JsonObject) -> bool:
        """Whether a look has proven a suspicion; it is an incident then, as if it had just fired."""
        begun = self._suspicions.proven(self._agent.rules, (case.tree, case.labels), found)
        if begun is None:
            log.info("suspicion %s: nothing was proven", case.tree)
            return False
        log.warning("symptom %s: proven, since %s: %s", case.tree, when(begun.onset), begun.text)
        self._file(self._agent.ring.at(self._agent.ring.now), [begun])
        return True

    def _limits(self) -> Limits:
        refused = {
            "auto": "",
            "ask": "memray is attached only when a person asks (probes.memray.mode is ask)",
            "off": "memray is switched off (probes.memray.mode is off)",
        }[self._heavy]
        return Limits(SAMPLE_S, self._agent.config.budget.drill, refused, cool_down=True)

    def keep(self, diagnosis: JsonObject, key: tuple[str, Labels] | None = None) -> None:
        """Remember an answer, give it to the incident it explains, and log its roots. ``key``: the symptom it was made for."""
        if self._desk is not None:
            number = self._desk.diagnosed(self._agent.rules, diagnosis, key, "" if key else ASKED)
            for tell in self.listeners:
                tell(diagnosis, number, key)
        self.diagnoses.append(diagnosis)
        for cause in diagnosis["causes"]:
            place = _place(cause["culprits"][0]) if cause["culprits"] else "no culprit"
            level = logging.INFO if cause["severity"] == "notice" else logging.WARNING
            sure = cause["confidence"]["lo"]
            target = cause["target"]
            whom = f"{target['name']} pid={target['pid']}" if target["pid"] else target["name"] or target["kind"]
            log.log(level, "diagnosis %s: %s, %s (confidence %.2f)", cause["id"], whom, place, sure)
        if not diagnosis["causes"]:
            possible = ", ".join(p["id"] for p in diagnosis["possible"]) or "nothing"
            log.info("diagnosis %s: possible: %s", diagnosis["verdict"], possible)


def _place(culprit: JsonObject) -> str:
    if culprit.get("file"):
        return f"{culprit['file']}:{culprit['line']}"
    return f"{culprit['kind']} {culprit['name']}" + (f" pid={culprit['pid']}" if culprit.get("pid") else "")
