"""Builds the whole agent from a Config: the one composition root for daemon, command line and tests."""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import field
from typing import Any

from agent import __version__, plugins
from agent.caveats import ended, no_all_clear, not_kept, unread, with_notes
from agent.config import Config
from agent.dataclass import dataclass
from agent.diagnosis import NotChecked
from agent.engine.diagnose import Meta, Scope, conclude
from agent.engine.evaluate import JudgeState
from agent.engine.findings import Onsets
from agent.engine.looks import Question, told
from agent.engine.report import to_json
from agent.engine.trees import RuleSet
from agent.errors import AgentError, Unavailable, UsageError
from agent.host import procs, targets
from agent.host.beside import beside
from agent.host.clock import Clock, SystemClock
from agent.host.lane import Lane, Runner
from agent.host.tools import ProbeTools
from agent.investigate import Investigator, Limits, Progress
from agent.model import Collector, JsonObject, Target
from agent.store.ring import Ring
from agent.store.shelf import Shelf
from agent.watch import Watch
from agent.yamlfile import did_you_mean

BURST_PERIOD_S = 1.0
OLD_ENOUGH_S = 12.0  # the shortest windows of the shipped rates
NEWCOMER_S = 2.0  # subjects of the first rounds count as old
SETTLE_TICKS = 5  # how often the cgroups of subjects are looked up
LOOKUP_S = 10.0
LONGEST_S = 86400.0  # one question may keep the agent busy; its memory holds an hour or so


@dataclass(frozen=True)
class Request:
    """What ``diagnose`` is asked. Times in seconds; ``gpu`` is an index, a UUID (or its beginning) or a PCI address."""

    trees: tuple[str, ...] = ()
    pid: int | None = None
    unit: str | None = None
    gpu: str | None = None
    for_s: float = 15.0
    since: float | None = None
    deep: bool = False
    gentle: bool = False


FAVOURED = ("gpu_process_info", "process_connections_waiting")
"""Series whose processes get full series of their own, however little they do."""


@dataclass
class Agent:
    """All parts, put together. ``burst`` is a short-lived agent that samples only while it diagnoses."""

    config: Config
    clock: Clock
    ring: Ring
    watch: Watch
    collectors: dict[str, Collector]
    plugins: plugins.Plugins
    rules: RuleSet
    investigator: Investigator
    lane: Callable[[str], Runner] = Lane
    burst: bool = False
    judged: JudgeState = field(default_factory=JudgeState)
    _asked: int = 0

    # ------------------------------------------------------------------------------------------ sampling

    def after_round(self) -> None:
        """Once a tick: who is on a GPU or keeps others waiting matters, and the cgroup collector is told where subjects live."""
        self._favour()
        self._name_gpus()
        cgroups: Any = self.collectors.get("cgroup")
        if cgroups is None or self.ring.ticks % SETTLE_TICKS not in (1, 2):
            return
        found: dict[str, int] = {}
        for kept in self.ring.live("process_info"):
            known = dict(kept.labels)
            if known.get("cgroup"):
                found.setdefault(known["cgroup"], int(known["pid"]))
        cgroups.watch(found)

    def use_tables(self) -> None:
        """What Xids and kernel events mean is read anew when it is next needed: at the start, and when rules were reloaded."""
        kernel_log: Any = self.collectors.get("kernel_log")
        if kernel_log is not None:
            kernel_log.use(lambda: plugins.kernel_tables(self.config, keep=not self.burst))

    def _name_gpus(self) -> None:
        """The kernel names GPUs by PCI address; NVML knows their index and UUID."""
        kernel_log: Any = self.collectors.get("kernel_log")
        if kernel_log is not None and self.ring.ticks % SETTLE_TICKS in (1, 2):
            known = [dict(kept.labels) for kept in self.ring.live("gpu_info")]
            kernel_log.know_gpus({gpu["pci"]: (gpu["gpu"], gpu["uuid"]) for gpu in known})

    def _favour(self) -> None:
        processes: Any = self.collectors.get("processes")
        if self.ring.ticks % SETTLE_TICKS == 1 and processes is not None:
            known = (kept for name in FAVOURED for kept in self.ring.live(name))
            users = {int(dict(kept.labels)["pid"]) for kept in known}
            processes.favour(users)

    def nvml(self) -> JsonObject | None:
        """How NVML and every GPU are; None where GPUs are not watched."""
        cards: Any = self.collectors.get("gpu")
        return None if cards is None else cards.report()

    def pids(self) -> tuple[int, ...]:
        """Every process that has series of its own now, and has had them long enough for a judgement."""
        live = self.ring.live("process_info")
        since = max(min((kept.first for kept in live), default=0.0) + NEWCOMER_S, self.ring.now - OLD_ENOUGH_S)
        return tuple(int(dict(kept.labels)["pid"]) for kept in live if kept.first <= since)

    # ------------------------------------------------------------------------------------------ diagnosing

    async def diagnose(
        self, request: Request, progress: Progress, *, limits: Limits | None = None, symptom: str = ""
    ) -> JsonObject:
        """One diagnosis as ``anfl.diagnosis/1``. UsageError for a target that cannot be, NoSuchProcess for one that is gone.

        ``symptom`` is the tree of the symptom that is looked into, if it was not somebody who asked.
        """
        self._check(request)
        began, mono = self.clock.now(), self.clock.monotonic()
        lane, last = self.lane("diagnosis"), self.lane("diagnosis-end")
        self._asked += 1
        asker = f"diagnosis-{self._asked}"
        try:
            apart = self._apart(request.pid) if symptom and request.pid is not None else frozenset[int]()
            target, members = await self._members(request, lane)
            tools, trouble = await lane.run(lambda: self._tools(request), LOOKUP_S)
            self.pin(members.roots, asker)
            self._hurry(asker, on=True)
            walked: list[Scope] = []

            def scope() -> Scope:
                walked.append(self._scope(request, target, tuple(pid for pid in members.now() if pid not in apart)))
                return walked[-1]

            async with self._sampling(), members.kept(self.clock):
                assessment, looks = await self.investigator.run(
                    lambda: self.ring.at(self.ring.now),
                    scope,
                    tools,
                    limits or self._limits(request),
                    progress,
                    asker,
                )
            # a lane of its own: the first may still be out for the last list of members
            there = await last.run(lambda: _there(target), LOOKUP_S)
        finally:
            self.pin((), asker)
            self._hurry(asker, on=False)
            for used in (lane, last):
                if isinstance(used, Lane):
                    used.close()
        meta = Meta(
            agent_version=__version__,
            host=socket.gethostname(),
            started_at=began,
            took_s=self.clock.monotonic() - mono,
            source="burst" if self.burst else "daemon",
        )
        diagnosis = with_notes(conclude(assessment, meta), [*trouble, *not_kept(looks.values()), *unread(self.watch.states())])
        if not there:
            diagnosis = ended(diagnosis, target)
        elif target.pid is not None and target.pid not in self.pids():
            diagnosis = no_all_clear(diagnosis, f"no samples of process {target.pid} were taken", "anfl-agent doctor")
        answer = to_json(diagnosis)
        judged_at = assessment.round.view.now if assessment.round else self.ring.now
        last_scope = walked[-1]
        trees = tuple(sorted(last_scope.trees))
        asked = Question(asker, target, last_scope.pids, trees, symptom, began, judged_at, last_scope.onsets)
        self.ring.add(self.ring.now, [told(answer, asked, self.clock.now())])
        return answer

    def _limits(self, request: Request) -> Limits:
        budget = self.config.budget
        refused = "attaching was forbidden (--gentle)" if request.gentle else ""
        return Limits(request.for_s, budget.drill_deep if request.deep else budget.drill, refused)

    def _tools(self, request: Request) -> tuple[ProbeTools, list[NotChecked]]:
        """A host whose disk is full must still be diagnosed: without its folder a look keeps no files, and that is said."""
        folder, trouble = self.config.artifacts_dir, []
        try:
            Shelf(folder, self.config.artifacts.quota, self.config.artifacts.keep).tidy(self.clock.now())
        except AgentError as error:
            folder, trouble = "", [NotChecked("artifacts", f"no files were kept: {error.message}", error.help)]
        return ProbeTools(folder, self.config.state_dir, gentle=request.gentle, deep=request.deep), trouble

    def _check(self, request: Request) -> None:
        for name in request.trees:
            if name not in self.rules.trees:
                known = sorted(self.rules.trees)
                raise UsageError(f"no tree '{name}'", help=did_you_mean(name, known) or f"there are: {', '.join(known)}")
        if not 0 < request.for_s <= LONGEST_S:
            raise UsageError("--for must be longer than 0 s and at most a day", help="such as --for 15s")
        if request.since is not None and not 0 < request.since < math.inf:
            raise UsageError("--since must be longer than 0 s", help="such as --since 30m")
        if request.gpu is not None and "gpu" not in self.collectors:
            raise Unavailable("GPUs are not watched here", help="collectors.gpu is switched off in the configuration")
        if request.since is not None and self.burst:
            raise Unavailable("--since needs a running agent: there is no history here", help="start it with 'anfl-agent run'")

    async def _members(self, request: Request, lane: Runner) -> tuple[Target, targets.Members]:
        """The sufferer and its processes."""
        if (pid := request.pid) is not None:
            return await lane.run(lambda: (targets.process(pid), targets.Members(targets.tree(pid), (pid,), lane)), LOOKUP_S)
        if (name := request.unit) is not None:
            found = await lane.run(lambda: targets.unit(name), LOOKUP_S)
            roots = await lane.run(lambda: targets.roots(found), LOOKUP_S)
            return Target("unit", name, unit=name), targets.Members(found, roots, lane)
        if (gpu := request.gpu) is not None:
            card: Any = self.collectors["gpu"]
            one = await lane.run(lambda: card.find(gpu), LOOKUP_S)
            users = await lane.run(lambda: card.users(one.uuid), LOOKUP_S)
            return one, targets.Members(users, await lane.run(lambda: targets.roots(users), LOOKUP_S), lane)
        return Target("host", socket.gethostname()), targets.Members((), (), lane, self.pids)

    def _apart(self, pid: int) -> frozenset[int]:
        """Processes that are judged as others' trees: what a launcher started has symptoms, and is looked into, by itself."""
        subjects = {int(known["pid"]): known["subject"] for kept in self.ring.live("process_info") if (known := dict(kept.labels))}
        return frozenset(other for other, subject in subjects.items() if subject != subjects.get(pid, subject))

    def _scope(self, request: Request, target: Target, members: tuple[int, ...]) -> Scope:
        onsets: Onsets = {key: s.onset for key, s in self.judged.symptoms.items()}
        return Scope(target, members, self.rules.named(request.trees), onsets)

    def pin(self, pids: Iterable[int], by: str) -> None:
        """Give these processes full series until ``by`` names others, or none."""
        processes: Any = self.collectors.get("processes")
        if processes is not None:
            processes.pin(pids, by)

    def _hurry(self, by: str, *, on: bool) -> None:
        """Sources that are read seldom are read more often while somebody diagnoses."""
        for name, collector in self.collectors.items():
            if (hurry := getattr(collector, "hurry", None)) is not None:
                hurry(on, by)
                if on:
                    self.watch.hasten(name)

    @contextlib.asynccontextmanager
    async def _sampling(self) -> AsyncIterator[None]:
        """A burst samples for itself; the daemon samples anyway."""
        if not self.burst:
            yield
            return
        async with beside(self.watch.run(self.after_round), "burst"):
            yield

    def close(self) -> None:
        """Let lanes and kept files go."""
        self.watch.close()


def _there(target: Target) -> bool:
    return target.pid is None or target.start_time is None or procs.still(target.pid, target.start_time)


def build(
    config: Config,
    *,
    burst: bool = False,
    clock: Clock | None = None,
    lane: Callable[[str], Runner] = Lane,
    ring: Ring | None = None,
) -> Agent:
    """Put an agent together. Problems for wrong settings (exit 2) or rules (exit 1); a broken plug-in is logged and left out."""
    found = plugins.installed()
    clock = clock or SystemClock()
    ring = ring or Ring(keep=config.budget.history)
    collectors = plugins.make_collectors(found, config)
    cache = plugins.parsed_before(config)
    rules = plugins.rules_or_raise(found, config, cache)
    if not burst:
        cache.keep()
    watch = Watch(collectors, ring.add, clock, lane, BURST_PERIOD_S)
    investigator = Investigator(rules, found.probes, plugins.probe_settings(found, config), clock)
    investigator.note = lambda look: ring.add(ring.now, [look])
    agent = Agent(config, clock, ring, watch, collectors, found, rules, investigator, lane, burst)
    agent.use_tables()
    return agent
