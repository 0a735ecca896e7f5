"""Builds the whole agent from a Config: the one composition root for daemon, command line and tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from agent import __version__, plugins
from agent.config import Config
from agent.engine.diagnose import Meta, Scope, conclude
from agent.engine.evaluate import JudgeState
from agent.engine.findings import Onsets
from agent.engine.report import to_json
from agent.engine.trees import RuleSet
from agent.errors import AgentError, Unavailable, UsageError
from agent.host import procs, procstat
from agent.host.clock import Clock, SystemClock
from agent.host.lane import Lane, Runner
from agent.host.tools import ProbeTools
from agent.investigate import Investigator, Limits, Progress
from agent.model import Collector, Diagnosis, Event, JsonObject, NotChecked, Sample, Target
from agent.store.ring import Ring
from agent.store.shelf import Shelf
from agent.watch import Watch
from agent.yamlfile import did_you_mean

BURST_PERIOD_S = 1.0
SETTLE_TICKS = 5  # how often the cgroups of subjects are looked up


@dataclass(frozen=True)
class Request:
    """What ``diagnose`` is asked. Times in seconds; ``gpu`` is an index or UUID."""

    trees: tuple[str, ...] = ()
    pid: int | None = None
    unit: str | None = None
    gpu: str | None = None
    for_s: float = 15.0
    since: float | None = None
    deep: bool = False
    gentle: bool = False


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
    burst: bool = False
    judged: JudgeState = field(default_factory=JudgeState)
    _asked: int = 0

    # ------------------------------------------------------------------------------------------ sampling

    def after_round(self) -> None:
        """Once a tick: tell the cgroup collector where the subjects live."""
        cgroups = self.collectors.get("cgroup")
        if cgroups is None or self.ring.ticks % SETTLE_TICKS not in (1, 2):
            return
        found: dict[str, int] = {}
        for kept in self.ring.live("process_info"):
            known = dict(kept.labels)
            if known.get("cgroup"):
                found.setdefault(known["cgroup"], int(known["pid"]))
        cgroups.watch(found)  # type: ignore[attr-defined]

    def pids(self) -> tuple[int, ...]:
        """Every process that has series of its own now."""
        return tuple(int(dict(kept.labels)["pid"]) for kept in self.ring.live("process_info"))

    # ------------------------------------------------------------------------------------------ diagnosing

    async def diagnose(self, request: Request, progress: Progress, *, limits: Limits | None = None) -> JsonObject:
        """One diagnosis as ``anfl.diagnosis/1``. UsageError for a target that cannot be, NoSuchProcess for one that is gone."""
        self._check(request)
        target, members = self._target(request)
        began, mono = self.clock.now(), self.clock.monotonic()
        limits = limits or self._limits(request)
        self._asked += 1
        asker = f"diagnosis-{self._asked}"
        self._pin(_roots(target, members), asker)
        try:
            async with self._sampling():
                assessment, _ = await self.investigator.run(
                    lambda: self.ring.at(self.ring.now),
                    lambda: self._scope(request, target, members),
                    self._tools(request),
                    limits,
                    progress,
                )
        finally:
            self._pin((), asker)
        meta = Meta(
            agent_version=__version__,
            host=socket.gethostname(),
            started_at=began,
            took_s=self.clock.monotonic() - mono,
            source="burst" if self.burst else "daemon",
        )
        return to_json(self._ended(conclude(assessment, meta), target))

    def _limits(self, request: Request) -> Limits:
        budget = self.config.budget
        refused = "attaching was forbidden (--gentle)" if request.gentle else ""
        return Limits(request.for_s, budget.drill_deep if request.deep else budget.drill, refused)

    def _tools(self, request: Request) -> ProbeTools:
        Shelf(self.config.artifacts_dir, self.config.artifacts.quota, self.config.artifacts.keep).tidy(self.clock.now())
        return ProbeTools(self.config.artifacts_dir, self.config.state_dir, gentle=request.gentle, deep=request.deep)

    def _check(self, request: Request) -> None:
        for name in request.trees:
            if name not in self.rules.trees:
                known = sorted(self.rules.trees)
                raise UsageError(f"no tree '{name}'", help=did_you_mean(name, known) or f"there are: {', '.join(known)}")
        if request.for_s <= 0:
            raise UsageError("--for must be longer than 0 s")
        if request.gpu is not None:
            raise Unavailable("GPUs are not watched by this version", help="name the process with --pid")
        if request.since is not None and self.burst:
            raise Unavailable("--since needs a running agent: there is no history here", help="start it with 'anfl-agent run'")

    def _target(self, request: Request) -> tuple[Target, Callable[[], tuple[int, ...]]]:
        """The sufferer and its processes; the second is asked again as they come and go."""
        if request.pid is not None:
            return _process(request.pid)
        if request.unit is not None:
            found = _unit_pids(request.unit)
            if not found:
                raise UsageError(f"no process runs in unit '{request.unit}'", help="systemctl status shows whether it is up")
            return Target("unit", request.unit, unit=request.unit), lambda: found
        return Target("host", socket.gethostname()), self.pids

    def _scope(self, request: Request, target: Target, members: Callable[[], tuple[int, ...]]) -> Scope:
        onsets: Onsets = {key: s.onset for key, s in self.judged.symptoms.items()}
        return Scope(target, members(), frozenset(request.trees), onsets)

    def _pin(self, pids: Iterable[int], by: str) -> None:
        processes = self.collectors.get("processes")
        if processes is not None:
            processes.pin(pids, by)  # type: ignore[attr-defined]

    @contextlib.asynccontextmanager
    async def _sampling(self) -> Any:
        """A burst samples for itself; the daemon samples anyway."""
        if not self.burst:
            yield
            return
        task = asyncio.get_running_loop().create_task(self.watch.run(self.after_round), name="burst")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _ended(self, diagnosis: Diagnosis, target: Target) -> Diagnosis:
        """Say so if the target went away meanwhile; nothing found is then no all-clear."""
        if target.pid is None or target.start_time is None or procs.still(target.pid, target.start_time):
            return diagnosis
        note = NotChecked("target", f"process {target.pid} ended while it was looked at", "diagnose its successor")
        verdict: Literal["unknown"] | str = "unknown" if diagnosis.verdict == "ok" and not diagnosis.causes else diagnosis.verdict
        return replace(diagnosis, not_checked=(note, *diagnosis.not_checked), verdict=verdict)  # type: ignore[arg-type]

    def close(self) -> None:
        """Let lanes and kept files go."""
        self.watch.close()
        for collector in self.collectors.values():
            close = getattr(collector, "close", None)
            if close is not None:
                close()


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
    rules = plugins.rules_or_raise(found, config)
    watch = Watch(collectors, _sink(ring), clock, lane, BURST_PERIOD_S)
    investigator = Investigator(rules, found.probes, plugins.probe_settings(found, config), clock)
    return Agent(config, clock, ring, watch, collectors, found, rules, investigator, burst)


def check_plugins(config: Config) -> None:
    """Everything a start would refuse, without starting: plug-in settings and rules."""
    found = plugins.installed()
    plugins.make_collectors(found, config)
    plugins.probe_settings(found, config)
    plugins.heavy_mode(config)
    plugins.rules_or_raise(found, config)


def _sink(ring: Ring) -> Callable[[float, Iterable[Sample | Event]], None]:
    return ring.add


def _process(pid: int) -> tuple[Target, Callable[[], tuple[int, ...]]]:
    who = procs.identity(pid)
    if procs.kernel_thread(pid):
        raise UsageError(f"pid {pid} is a kernel thread ({who.comm})", help="name a process of a program")
    target = Target(
        kind="process",
        name=who.comm,
        pid=pid,
        start_time=who.start_time,
        unit=who.unit,
        cgroup=who.cgroup,
        container=who.container,
        job=who.job,
        user=who.user,
    )

    def members() -> tuple[int, ...]:
        try:
            return procs.tree(pid)
        except procstat.NoSuchProcess:
            return (pid,)

    return target, members


def _roots(target: Target, members: Callable[[], tuple[int, ...]]) -> tuple[int, ...]:
    """Whom to pin: the target, or of a unit those whose parent is not in it; their trees are read with them."""
    if target.pid is not None:
        return (target.pid,)
    if target.kind == "host":
        return ()
    pids = members()
    return tuple(pid for pid in pids if procstat.stat(pid).ppid not in pids)


def _unit_pids(unit: str) -> tuple[int, ...]:
    """Processes of a systemd unit, from their cgroup paths."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(AgentError, OSError):
                if procs.identity(int(name)).unit == unit:
                    found.append(int(name))
    return tuple(found)


async def doctor(config: Config, *, fix: bool, wheelhouse: str | None, progress: Progress) -> list[Any]:
    """All checks of ``anfl-agent doctor``; with ``fix`` mend what can be mended here."""
    from agent.reports import doctor as checks

    agent = build(config, burst=True)
    try:
        progress("reading every source once")
        items = [*checks.rights(), *checks.kernel(), *await checks.tools()]
        items += [*await checks.bundles(config.state_dir, fix, wheelhouse, progress)]
        items += [*checks.folders(config.state_dir, config.artifacts_dir, fix)]
        items += [*await checks.sources(agent.watch)]
        items += [checks.Item("Rules", "trees", "ok", f"{len(agent.rules.trees)} trees, {len(agent.rules.causes)} causes")]
        items += [checks.Item("Plug-ins", b.name, "missing", b.why, "reinstall the agent") for b in agent.plugins.broken]
        return items
    finally:
        agent.close()
