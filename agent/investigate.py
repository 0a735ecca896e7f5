"""Walks the trees and takes closer looks until the root is certain, time is spent, or nothing more could change the answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from agent.dataclass import dataclass
from agent.engine import looks
from agent.engine.diagnose import Assessment, Scope, assess
from agent.engine.rounds import RoundCache
from agent.engine.trees import RuleSet
from agent.engine.walk import ProbeKey, ProbeRequest
from agent.host.clock import Clock
from agent.host.tools import ProbeTools
from agent.model import Event, Evidence, Probe, View

log = logging.getLogger("anfl.investigate")

MIN_HISTORY_S = 8.0  # grow() answers from 8 s on; gates judged earlier would open closer looks for nothing
LIGHT_AT_ONCE = 4
LIMIT_S = {"free": 12.0, "light": 20.0, "heavy": 45.0}  # a look bounds itself; this is the wall behind it
ROOM_S = {"free": 1.0, "light": 3.0, "heavy": 6.0}  # a look is not begun with less of the budget left
COOL_DOWN_S = 600.0

Progress = Callable[[str], None]


@dataclass
class Ledger:
    """Heavy looks taken, so that no target is attached to twice in a row by the daemon."""

    taken: dict[tuple[str, int | None, float | None], float] = field(default_factory=dict)

    def cooling(self, request: ProbeRequest, now: float) -> float:
        """Seconds until this target may be looked at again."""
        last = self.taken.get(self._key(request))
        return 0.0 if last is None else max(0.0, last + COOL_DOWN_S - now)

    def note(self, request: ProbeRequest, now: float) -> None:
        """Remember a heavy look; old notes are forgotten."""
        self.taken = {key: at for key, at in self.taken.items() if now - at < COOL_DOWN_S}
        self.taken[self._key(request)] = now

    @staticmethod
    def _key(request: ProbeRequest) -> tuple[str, int | None, float | None]:
        return request.key.probe, request.key.pid, request.target.start_time


@dataclass(frozen=True)
class Limits:
    """How long one investigation may sample and drill (seconds), and whether heavy looks are allowed (why not, if not)."""

    sample_s: float = 15.0
    drill_s: float = 15.0
    heavy_refused: str = ""
    heavy_try: str = ""
    cool_down: bool = False


@dataclass
class Investigator:
    """Drives the pure engine with real looks. One heavy look at a time on the whole host."""

    rules: RuleSet
    probes: Mapping[str, Callable[..., Probe]]
    settings: Mapping[str, Mapping[str, Any]]
    clock: Clock
    ledger: Ledger = field(default_factory=Ledger)
    heavy: asyncio.Lock = field(default_factory=asyncio.Lock)
    note: Callable[[Event], None] = lambda look: None
    """Told of every look: the recording keeps it."""

    async def run(
        self,
        view: Callable[[], View],
        scope: Callable[[], Scope],
        tools: ProbeTools,
        limits: Limits,
        progress: Progress,
        name: str = "",
    ) -> tuple[Assessment, dict[ProbeKey, Evidence]]:
        """Sample, look closer, judge. ``view`` gives the newest moment while sampling; it is frozen before anything heavy.

        ``name`` tells the looks of this investigation from those of another that runs beside.
        """
        case = _Case(self, view, scope, tools, limits, progress, name)
        return await case.run()

    async def look(self, request: ProbeRequest, tools: ProbeTools, by: str = "") -> Evidence:
        """One closer look; whatever goes wrong becomes evidence that says so."""
        name = request.key.probe
        make = self.probes.get(name)
        if make is None:
            return Evidence(name, because=f"there is no probe '{name}' here", try_="anfl-agent doctor")
        began = self.clock.monotonic()
        try:
            probe = make(**{**self.settings.get(name, {}), **request.settings})
            async with asyncio.timeout(LIMIT_S[request.cost]):
                evidence = await probe.look(request.target, tools)
        except TimeoutError:
            evidence = Evidence(name, because=f"{name} gave no answer within {LIMIT_S[request.cost]:.0f} s")
        except Exception as error:  # a plug-in may fail in any way; the diagnosis goes on without it
            log.exception("probe %s failed", name)
            evidence = Evidence(name, because=f"{name} failed: {type(error).__name__}: {error}", try_="see the agent's log")
        evidence = evidence if evidence.took_s else replace(evidence, took_s=self.clock.monotonic() - began)
        self.note(looks.event(request.key, evidence, self.clock.now(), by))
        return evidence


class _Case:
    """The state of one investigation."""

    def __init__(
        self,
        by: Investigator,
        view: Callable[[], View],
        scope: Callable[[], Scope],
        tools: ProbeTools,
        limits: Limits,
        progress: Progress,
        name: str,
    ) -> None:
        self._by = by
        self._rules = by.rules  # a reload in the middle must not mix two sets
        self._view = view
        self._scope = scope
        self._tools = tools
        self._limits = limits
        self._progress = progress
        self._name = name
        self._cache = RoundCache()
        self._answers: dict[ProbeKey, Evidence] = {}
        self._running: dict[ProbeKey, asyncio.Task[Evidence]] = {}

    async def run(self) -> tuple[Assessment, dict[ProbeKey, Evidence]]:
        began = self._by.clock.monotonic()
        async with asyncio.TaskGroup() as group:
            await self._sample(began, group)
            frozen = self._view()
            deadline = max(began + self._limits.sample_s, self._by.clock.monotonic()) + self._limits.drill_s
            assessment = await self._drill(frozen, deadline, group)
        return assessment, self._answers

    def _assess(self, view: View, scope: Scope) -> Assessment:
        return assess(self._rules, view, scope, self._answers, cache=self._cache)

    async def _sample(self, began: float, group: asyncio.TaskGroup) -> None:
        """Let samples come in; cheap looks run beside once there is enough to judge their gates."""
        until = began + self._limits.sample_s
        while (now := self._by.clock.monotonic()) < until:
            self._progress(f"sampling {now - began:.0f} of {self._limits.sample_s:.0f} s")
            await self._by.clock.sleep(min(1.0, until - now))
            if self._by.clock.monotonic() - began >= min(MIN_HISTORY_S, self._limits.sample_s):
                self._collect()
                assessment = self._assess(self._view(), self._scope())
                self._begin([r for r in assessment.wanted if r.cost != "heavy"], group)

    async def _drill(self, frozen: View, deadline: float, group: asyncio.TaskGroup) -> Assessment:
        """Look closer at a frozen moment: what a heavy look does to its target must not be taken for its own growth."""
        scope = self._scope()  # who came after the moment that is judged has nothing to show in it
        self._cache = RoundCache()  # what was known of long windows while sampling is older than this moment
        while True:
            self._collect()
            assessment = self._assess(frozen, scope)
            left, known = deadline - self._by.clock.monotonic(), len(self._answers)
            open_ = self._allowed([*assessment.wanted, *assessment.further], left)
            if len(self._answers) > known:  # a refusal is an answer: the diagnosis says why nobody looked
                continue
            light = [r for r in open_ if r.cost != "heavy"]
            if light:
                self._begin(light, group)
            elif not self._running and (heavy := [r for r in open_ if r.cost == "heavy"]):
                await self._take_heavy(heavy[0], deadline)
                continue
            if not self._running:
                return assessment
            await asyncio.wait(self._running.values(), return_when=asyncio.FIRST_COMPLETED)

    def _allowed(self, requests: Sequence[ProbeRequest], left: float) -> list[ProbeRequest]:
        """Those for which there is time and leave; the others are answered with the reason."""
        allowed = []
        for request in requests:
            if request.key in self._answers or request.key in self._running:
                continue
            because, mend = self._refusal(request, left)
            if because:
                refused = self._answers[request.key] = Evidence(request.key.probe, because=because, try_=mend)
                self._by.note(looks.event(request.key, refused, self._by.clock.now(), self._name))
            else:
                allowed.append(request)
        return allowed

    def _refusal(self, request: ProbeRequest, left: float) -> tuple[str, str]:
        again = f"anfl-agent diagnose --pid {request.key.pid}" if request.key.pid else "anfl-agent diagnose"
        if request.cost == "heavy" and self._limits.heavy_refused:
            return self._limits.heavy_refused, self._limits.heavy_try or again
        if request.cost == "heavy" and self._limits.cool_down:
            wait = self._by.ledger.cooling(request, self._by.clock.now())
            if wait:
                return f"{request.key.probe} looked at this process already; again in {wait:.0f} s", again
        if left < ROOM_S[request.cost]:
            return f"no time left for {request.key.probe}", f"{again} --deep"
        return "", ""

    def _begin(self, requests: Sequence[ProbeRequest], group: asyncio.TaskGroup) -> None:
        """Start cheap looks, a few at a time and never two at one process: some of them stop threads for a moment."""
        for request in requests:
            busy = {key.pid for key in self._running if key.pid is not None}
            if len(self._running) >= LIGHT_AT_ONCE or request.key in self._answers or request.key in self._running:
                continue
            if request.cost == "light" and request.key.pid in busy:
                continue
            self._progress(f"looking closer with {_what(request)}")
            self._running[request.key] = group.create_task(self._by.look(request, self._tools, self._name))

    def _collect(self) -> None:
        for key in [key for key, task in self._running.items() if task.done()]:
            self._answers[key] = self._running.pop(key).result()

    async def _take_heavy(self, request: ProbeRequest, deadline: float) -> None:
        if self._by.heavy.locked():
            self._progress(f"waiting for another look to end before {_what(request)}")
        async with self._by.heavy:
            if not self._allowed([request], deadline - self._by.clock.monotonic()):  # the wait may have used the time up
                return
            self._progress(f"looking closer with {_what(request)}")
            self._by.ledger.note(request, self._by.clock.now())
            self._answers[request.key] = await self._by.look(request, self._tools, self._name)


def _what(request: ProbeRequest) -> str:
    return f"{request.key.probe} at pid {request.key.pid}" if request.key.pid else request.key.probe
