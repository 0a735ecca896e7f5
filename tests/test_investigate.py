"""Investigations on a fake clock: which looks are taken when, and what becomes of those that are not or that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from agent import investigate
from agent.engine.diagnose import Assessment, Scope
from agent.engine.trees import RuleSet
from agent.engine.walk import ProbeKey, ProbeRequest
from agent.host.tools import ProbeTools
from agent.investigate import COOL_DOWN_S, LIGHT_AT_ONCE, MIN_HISTORY_S, Investigator, Ledger, Limits
from agent.model import Culprit, Evidence, Target, Tools, View
from tests.fakes.clock import FakeClock
from tests.fakes.rules import host_of, of, process, rule_set

MEMORY = rule_set(
    """
tree: memory
each: [pid]
symptom: {when: "process_threads > 1000"}
checks:
  - {id: steep, expr: "grow(process_anonymous_bytes, 20s) > 2MiB / 1m"}
  - {id: one_site, if: steep, probe: memray, with: {seconds: 8}, expr: "leak_share > 50%"}
causes:
  memory.python-leak: {title: It leaks, require: [one_site], support: {one_site: 0.7, steep: 0.3}}
"""
)
HOT = """
tree: latency
each: [pid]
symptom: {when: "process_threads > 1000"}
checks:
  - {id: computes, expr: "rate(process_cpu_seconds_total, 10s) > 60%"}
  - {id: hot, if: computes, probe: pyspy, expr: "hot_share > 50%"}
  - {id: others, if: computes, probe: neighbours, expr: "other_cores > 0.5"}
causes:
  latency.cpu-hotspot: {title: It computes, require: [hot], support: {hot: 0.8}}
  latency.cpu-saturated: {title: Others take the CPUs, support: {others: 0.7}}
"""
LATENCY = rule_set(HOT)
LONG = rule_set(
    """
tree: long
each: [pid]
symptom: {when: "process_threads > 1000"}
checks: [{id: many, expr: "max(process_threads, 10m) > 2"}]
causes:
  long.many: {title: Many, support: {many: 0.8}}
"""
)
LONGER = rule_set(HOT.replace("probe: pyspy", "probe: pyspy, with: {seconds: 6}"))
SAYS = {
    "pyspy": Evidence("pyspy", {"hot_share": 0.9}, {"hot_share": (Culprit("code", "f", file="/a.py", line=3),)}),
    "memray": Evidence("memray", {"leak_share": 0.9}, {"leak_share": (Culprit("code", "g", file="/a.py", line=7),)}),
    "neighbours": Evidence("neighbours", {"other_cores": 0.0}),
}
Does = Callable[[Target], Awaitable[Evidence]]


@dataclass
class Took:
    """One look that was taken."""

    probe: str
    pid: int | None
    began: float
    settings: dict[str, Any]
    ended: float = float("inf")


@dataclass
class Bench:
    """An investigator whose looks take three seconds of the fake clock, on made-up series of busy, growing processes."""

    rules: RuleSet
    pids: tuple[int, ...] = (7,)
    clock: FakeClock = field(default_factory=FakeClock)
    took: list[Took] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    does: dict[str, Does] = field(default_factory=dict)
    started: int = 1

    def __post_init__(self) -> None:
        self.made_up()
        probes = {name: self._maker(name) for name in SAYS}
        self.by = Investigator(self.rules, probes, {"pyspy": {"seconds": 2.0, "rate": 50}}, self.clock)

    def made_up(self) -> None:
        """The processes as they are now."""
        series = {of("process_anonymous_bytes", pid): "100000000+1000000x60" for pid in self.pids}
        series |= {of("process_start_time_seconds", pid): f"{self.started}*61" for pid in self.pids}
        series |= {of("process_cpu_seconds_total", pid): "0+0.9x60" for pid in self.pids}
        self.host = host_of(series, **{f"p{pid}": process(pid) for pid in self.pids})

    def _maker(self, name: str) -> Callable[..., Any]:
        bench = self

        class Probe:
            def __init__(self, **settings: Any) -> None:
                self.settings = settings

            async def look(self, target: Target, tools: Tools) -> Evidence:
                now = Took(name, target.pid, bench.clock.monotonic(), self.settings)
                bench.took.append(now)
                if name in bench.does:
                    return await bench.does[name](target)
                await bench.clock.sleep(3.0)
                now.ended = bench.clock.monotonic()
                return SAYS[name]

        return Probe

    def view(self) -> View:
        """The newest moment."""
        self.seen.append(self.clock.monotonic())
        return self.host

    async def run(self, limits: Limits | None = None) -> Assessment:
        """One investigation of all processes, while a minute passes."""
        target = Target("process", "python", pid=self.pids[0]) if len(self.pids) == 1 else Target()
        tools = ProbeTools("", "")
        run = self.by.run(self.view, lambda: Scope(target, self.pids), tools, limits or Limits(), self.said.append)
        task = asyncio.get_running_loop().create_task(run)
        for _ in range(300):
            if task.done():
                break
            await self.clock.advance(0.2)
        assessment, self.answers = await task
        return assessment

    def of(self, probe: str) -> list[Took]:
        """The looks of one probe."""
        return [took for took in self.took if took.probe == probe]

    def answer(self, probe: str) -> Evidence:
        """What one probe is said to have seen."""
        return next(evidence for key, evidence in self.answers.items() if key.probe == probe)


def most_at_once(took: list[Took]) -> int:
    """How many of these looks ran at the same moment."""
    return max(sum(other.began <= look.began < other.ended for other in took) for look in took)


async def test_cheap_looks_run_beside_sampling() -> None:
    """They begin once there is enough history to judge their gates, and cost no time of their own."""
    bench = Bench(LATENCY)
    assessment = await bench.run(Limits(sample_s=15.0))
    assert [cause.id for cause in assessment.causes] == ["latency.cpu-hotspot"]
    assert all(MIN_HISTORY_S <= took.began < 15.0 for took in bench.took)
    assert {took.probe for took in bench.took} == {"pyspy", "neighbours"}
    assert bench.seen[-1] == pytest.approx(15.0)


async def test_a_heavy_look_waits_until_the_view_is_frozen() -> None:
    """What it does to its target must not be taken for the target's own growth."""
    bench = Bench(MEMORY)
    assessment = await bench.run(Limits(sample_s=15.0))
    assert [cause.id for cause in assessment.causes] == ["memory.python-leak"]
    [memray] = bench.of("memray")
    assert memray.began >= 15.0
    assert max(bench.seen) <= memray.began
    assert any("memray at pid 7" in said for said in bench.said)


async def test_what_is_judged_is_the_frozen_moment_and_nothing_older() -> None:
    """A window of ten minutes may be half a minute old while sampling; the answer's figures are those of its moment."""
    bench = Bench(LONG)
    whole = bench.host = host_of({of("process_threads", 7): "3*611 9*60"}, p7=process(7))
    bench.view = lambda: whole.at(600.0 + bench.clock.monotonic())  # type: ignore[method-assign]
    assessment = await bench.run()
    (cause,) = assessment.causes
    assert "= 9 >" in cause.evidence[0].says


async def test_heavy_looks_are_taken_one_at_a_time_on_the_whole_host() -> None:
    """Two processes of one investigation, and two investigations at once."""
    bench = Bench(MEMORY, pids=(7, 8))
    bench.does["memray"] = _slow(bench, {"leak_share": 0.1})
    await bench.run(Limits(drill_s=60.0))
    assert sorted(took.pid or 0 for took in bench.of("memray")) == [7, 8]
    assert most_at_once(bench.took) == 1
    two = Bench(MEMORY)
    await asyncio.gather(two.run(Limits(drill_s=60.0)), two.run(Limits(drill_s=60.0)))
    assert len(two.took) == 2
    assert most_at_once(two.took) == 1
    assert "waiting for another look to end before memray at pid 7" in two.said


async def test_two_investigations_of_the_daemon_do_not_attach_to_one_process_in_turn() -> None:
    """The ledger counts a look from its beginning."""
    bench = Bench(MEMORY)
    await asyncio.gather(*(bench.run(Limits(drill_s=60.0, cool_down=True)) for _ in range(2)))
    assert len(bench.took) == 1


def _slow(bench: Bench, answers: dict[str, float | bool | str | None]) -> Does:
    async def look(target: Target) -> Evidence:
        now = bench.took[-1]
        await bench.clock.sleep(2.0)
        now.ended = bench.clock.monotonic()
        return Evidence(now.probe, answers)

    return look


async def test_never_two_light_looks_at_one_process_and_few_in_all() -> None:
    """Some of them stop threads for a moment."""
    bench = Bench(LATENCY, pids=(7, 8, 9, 10))
    await bench.run(Limits(drill_s=60.0))
    assert most_at_once(bench.took) <= LIGHT_AT_ONCE
    for pid in bench.pids:
        own = [took for took in bench.of("pyspy") if took.pid == pid]
        assert len(own) <= 1


async def test_what_is_refused_is_evidence_with_the_reason_and_the_mend() -> None:
    """A person learns why memray was not attached and which command would do it."""
    bench = Bench(MEMORY)
    assessment = await bench.run(Limits(heavy_refused="attaching was forbidden (--gentle)"))
    assert not bench.took
    refused = bench.answer("memray")
    assert (refused.because, refused.try_) == ("attaching was forbidden (--gentle)", "anfl-agent diagnose --pid 7")
    assert [p.id for p in assessment.possible] == ["memory.python-leak"]


async def test_a_look_for_which_no_time_is_left_is_not_begun() -> None:
    """The mend is to allow more time, and the diagnosis says so."""
    bench = Bench(MEMORY)
    assessment = await bench.run(Limits(drill_s=4.0))
    assert [p.try_ for p in assessment.possible] == ["anfl-agent diagnose --pid 7 --deep"]
    assert not bench.took
    assert bench.answer("memray").because == "no time left for memray"
    assert bench.answer("memray").try_ == "anfl-agent diagnose --pid 7 --deep"


async def test_a_probe_that_raises_is_evidence_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """A plug-in may fail in any way."""

    async def broken(target: Target) -> Evidence:
        raise ZeroDivisionError("no samples")

    bench = Bench(LATENCY)
    bench.does["pyspy"] = broken
    await bench.run()
    assert bench.answer("pyspy").because == "pyspy failed: ZeroDivisionError: no samples"
    assert bench.answer("neighbours").answers == {"other_cores": 0.0}
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall behind a light look stands after a moment."""
    monkeypatch.setitem(investigate.LIMIT_S, "light", 0.02)


@pytest.mark.usefixtures("impatient")
async def test_a_probe_that_overruns_is_stopped_and_is_evidence() -> None:
    """The diagnosis does not wait for it."""
    stopped = asyncio.Event()

    async def endless(target: Target) -> Evidence:
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.set()
        raise AssertionError

    bench = Bench(LATENCY)
    bench.does["pyspy"] = endless
    await asyncio.wait_for(bench.run(), 20)
    assert "gave no answer within" in bench.answer("pyspy").because
    assert stopped.is_set()


async def test_a_probe_that_is_not_installed_is_told() -> None:
    """Rules may know more than this installation has."""
    bench = Bench(LATENCY)
    bench.by.probes = {name: make for name, make in bench.by.probes.items() if name != "pyspy"}
    await bench.run()
    assert (bench.answer("pyspy").because, bench.answer("pyspy").try_) == ("there is no probe 'pyspy' here", "anfl-agent doctor")


async def test_a_rules_own_settings_go_before_the_configurations() -> None:
    """Both reach the probe."""
    bench = Bench(LONGER)
    await bench.run()
    assert bench.of("pyspy")[0].settings == {"seconds": 6.0, "rate": 50}


async def test_the_daemon_attaches_to_a_process_once_in_a_while_a_person_whenever_asked() -> None:
    """The ledger counts both; the same pid with another start time is another process."""
    bench = Bench(MEMORY)
    await bench.run(Limits(cool_down=True))
    await bench.run(Limits(cool_down=True))
    assert len(bench.took) == 1
    assert bench.answer("memray").because.startswith("memray looked at this process already; again in ")
    await bench.run(Limits())
    assert len(bench.took) == 2
    bench.started = 99
    bench.made_up()
    await bench.run(Limits(cool_down=True))
    assert len(bench.took) == 3
    await bench.clock.advance(COOL_DOWN_S)
    await bench.run(Limits(cool_down=True))
    assert len(bench.took) == 4


def test_the_ledger_forgets_what_no_longer_counts() -> None:
    """It stays small in a daemon that runs for months."""
    ledger = Ledger()
    request = ProbeRequest(ProbeKey("memray", 7), "heavy", Target("process", pid=7, start_time=1.0))
    ledger.note(request, 1000.0)
    assert ledger.cooling(request, 1000.0) == COOL_DOWN_S
    other = replace(request, key=ProbeKey("memray", 8))
    ledger.note(other, 1000.0 + COOL_DOWN_S)
    assert list(ledger.taken.values()) == [1000.0 + COOL_DOWN_S]


async def test_rules_reloaded_in_the_middle_do_not_mix_with_the_old_ones() -> None:
    """An investigation ends with the rules it began with."""
    bench = Bench(LATENCY)
    task = asyncio.ensure_future(bench.run())
    await bench.clock.settle()
    bench.by.rules = MEMORY
    assert [cause.id for cause in (await task).causes] == ["latency.cpu-hotspot"]
