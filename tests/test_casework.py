"""The judge at work on a fake clock: what fires is looked into once, and every change is told once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.app import Agent, Request
from agent.casework import AGAIN_S, SAMPLE_S, WAITING_MOST, Case, Casework
from agent.config import Config
from agent.engine.evaluate import JudgeState
from agent.engine.trees import RuleSet
from agent.errors import AgentError, UsageError
from agent.host.procstat import NoSuchProcess
from agent.investigate import Limits
from agent.model import JsonObject, Sample, Series, labels
from agent.store.ring import Ring
from tests.fakes.clock import FakeClock
from tests.fakes.rules import rule_set

BUSY = rule_set(
    """
tree: busy
each: [pid]
symptom: {when: "process_threads > 100", clear: "process_threads < 50", for: 10s, keep_for: 10s, severity: warning}
checks: [{id: many, expr: "process_threads > 100"}]
causes:
  busy.threads: {title: Many threads, require: [many], support: {many: 0.8}}
""",
    """
tree: busy_fast
each: [pid]
symptom: {when: "process_threads > 60 and process_threads < 99", clear: "process_threads < 50", for: 10s, suspicion: [busy.threads]}
checks: []
causes: {}
""",
    """
tree: calm
symptom: {when: "host_load1 > 4", severity: notice}
checks: [{id: loaded, expr: "host_load1 > 4"}]
causes:
  calm.load: {title: Load, support: {loaded: 0.8}}
""",
)


def found(cause: str = "busy.threads", severity: str = "warning", **culprit: Any) -> JsonObject:
    """As much of a diagnosis as is logged."""
    target = {"kind": "process", "name": "trainer", "pid": 7}
    culprits = [{"kind": "code", "name": "f", "file": None, "line": None} | culprit] if culprit else []
    one = {"id": cause, "severity": severity, "target": target, "confidence": {"lo": 0.8, "hi": 0.9}, "culprits": culprits}
    one |= {"title": "Many threads", "symptoms": ["busy"], "consequences": []}
    return {"verdict": "warning", "causes": [one], "possible": [], "ruled_out": [], "not_checked": []}


@dataclass
class FakeAgent:
    """The parts of an agent that casework uses; ``diagnose`` answers what it is told after two seconds."""

    clock: FakeClock = field(default_factory=FakeClock)
    ring: Ring = field(default_factory=Ring)
    rules: RuleSet = BUSY
    config: Config = field(default_factory=Config)
    judged: JudgeState = field(default_factory=JudgeState)
    answer: JsonObject | Exception = field(default_factory=found)
    asked: list[tuple[Request, Limits]] = field(default_factory=list)
    takes: float = 2.0
    pinned: dict[str, list[int]] = field(default_factory=dict)

    def pin(self, pids: Iterable[int], by: str) -> None:
        self.pinned[by] = list(pids)

    async def diagnose(self, request: Request, progress: Callable[[str], None], *, limits: Limits, symptom: str) -> JsonObject:
        self.asked.append((request, limits))
        await self.clock.sleep(self.takes)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Host:
    """A casework on made-up processes, sampled once a second."""

    def __init__(self, heavy: str = "ask", pids: tuple[int, ...] = (7,)) -> None:
        self.agent = FakeAgent()
        self.work = Casework(cast(Agent, self.agent), heavy)
        self.threads = dict.fromkeys(pids, 10.0)
        self.load = 0.0
        known = {"comm": "t", "cgroup": "/", "unit": "", "container": "", "job": "", "user": "u"}
        self._known = {pid: Series("process_info", labels(pid=pid, subject=pid, **known)) for pid in pids}
        self._series = {pid: Series("process_threads", labels(pid=pid)) for pid in pids}
        self._load = Series("host_load1")

    async def live(self, seconds: int) -> None:
        """Let seconds pass, with a sample of everything in each."""
        for _ in range(seconds):
            samples = [Sample(self._known[pid], 1.0) for pid in self.threads]
            samples += [Sample(self._series[pid], value) for pid, value in self.threads.items()]
            self.agent.ring.add(self.agent.clock.now(), [*samples, Sample(self._load, self.load)])
            await self.agent.clock.advance(1.0)


@pytest.fixture
async def host(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Host]:
    """A calm host, judged since half a minute."""
    caplog.set_level(logging.INFO)
    made = Host()
    async with running(made):
        await made.live(30)
        yield made


class running:
    """The organ, beside a block."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def __aenter__(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self.host.work.run())

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def test_a_calm_host_is_judged_and_nothing_is_said(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """One round every five seconds."""
    assert 5 <= host.work.rounds <= 6
    assert not caplog.records
    assert not host.agent.asked


async def test_a_symptom_that_fires_is_looked_into_once(host: Host) -> None:
    """With the process it fires for, within the daemon's limits; the answer is kept."""
    host.threads[7] = 200.0
    await host.live(40)
    [(request, limits)] = host.agent.asked
    assert (request.pid, request.trees, request.for_s) == (7, (), SAMPLE_S)
    assert limits.cool_down
    assert "probes.memray.mode is ask" in limits.heavy_refused
    assert list(host.work.diagnoses) == [host.agent.answer]


async def test_a_gpu_is_looked_into_with_who_is_on_it(host: Host) -> None:
    """By its UUID, or as the kernel names it; the whole host where NVML does not know it."""
    for known, asked in (
        ({"gpu": 3, "uuid": "GPU-3", "pci": "0000:30:00.0"}, ["GPU-3"]),
        ({"gpu": "", "uuid": "", "pci": "0000:40:00.0"}, ["0000:40:00.0"]),
    ):
        host.agent.asked.clear()
        host.work._open(Case("gpu", labels(**known), "lost"))
        await host.live(10)
        assert [request.gpu for request, _ in host.agent.asked] == asked
    host.agent.asked.clear()
    host.agent.answer = UsageError("no GPU is '0000:50:00.0'")
    host.work._open(Case("gpu", labels(gpu="", uuid="", pci="0000:50:00.0"), "lost"))
    await host.live(10)
    assert [request.gpu for request, _ in host.agent.asked] == ["0000:50:00.0", None]


async def test_a_dead_process_that_holds_a_gpu_is_looked_into_by_its_gpu(host: Host) -> None:
    """Who is gone can be no target; without a GPU there is nothing left to look at."""
    host.agent.answer = NoSuchProcess(9)
    for known, asked in (({"pid": 9}, [(9, None)]), ({"pid": 9, "uuid": "GPU-1"}, [(9, None), (None, "GPU-1")])):
        host.agent.asked.clear()
        host.work._open(Case("gpu_process", labels(**known), "dead"))
        await host.live(10)
        assert [(request.pid, request.gpu) for request, _ in host.agent.asked] == asked


async def test_a_symptom_that_comes_back_soon_is_told_but_not_looked_into_again(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten minutes later it is."""
    for _ in range(3):
        host.threads[7] = 200.0
        await host.live(40)
        host.threads[7] = 10.0
        await host.live(40)
    assert len(host.agent.asked) == 1
    assert sum("busy pid=7: firing" in line for line in caplog.messages) == 3
    await host.live(int(AGAIN_S))
    host.threads[7] = 200.0
    await host.live(40)
    assert len(host.agent.asked) == 2


async def test_every_change_of_a_symptom_is_logged_once(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """Firing as a warning with the figures, resolved as news; pending is no news."""
    host.threads[7] = 200.0
    await host.live(60)
    host.threads[7] = 10.0
    await host.live(60)
    told = [(r.levelname, r.getMessage().split(" since ")[0]) for r in caplog.records if r.name == "anfl.judge"]
    assert told == [
        ("WARNING", "symptom busy pid=7: firing"),
        ("WARNING", "diagnosis busy.threads: trainer pid=7, no culprit (confidence 0.80)"),
        ("INFO", "symptom busy pid=7: resolved"),
    ]
    assert "200" in caplog.messages[0]


async def test_a_notice_is_told_and_not_looked_into(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is profiled for what alarms nobody."""
    host.load = 9.0
    await host.live(20)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "symptom calm host: firing" in caplog.text
    assert not host.agent.asked


async def test_many_symptoms_are_looked_into_one_after_the_other(caplog: pytest.LogCaptureFixture) -> None:
    """Those that do not fit the queue are told as such, and looked into if they come back."""
    host = Host(pids=tuple(range(1, WAITING_MOST + 5)))
    async with running(host):
        await host.live(10)
        host.threads = dict.fromkeys(host.threads, 200.0)
        await host.live(22)
        assert 1 <= len(host.agent.asked) <= 5
        await host.live(100)
        pids = [request.pid for request, _ in host.agent.asked]
        assert len(pids) == len(set(pids)) >= WAITING_MOST
        assert caplog.text.count("this one is only reported") == len(host.threads) - len(pids)
        left = min(set(host.threads) - set(pids))
        host.threads = dict.fromkeys(host.threads, 10.0)
        await host.live(40)
        host.threads[left] = 200.0
        await host.live(40)
        assert [request.pid for request, _ in host.agent.asked] == [*pids, left]


@pytest.mark.parametrize(("heavy", "refused"), [("auto", ""), ("ask", "mode is ask"), ("off", "mode is off")])
async def test_memray_is_attached_only_where_the_configuration_says_so(heavy: str, refused: str) -> None:
    """Otherwise the reason is in the answer."""
    host = Host(heavy)
    async with running(host):
        await host.live(10)
        host.threads[7] = 200.0
        await host.live(40)
    [(_, limits)] = host.agent.asked
    assert (refused in limits.heavy_refused, bool(limits.heavy_refused)) == (True, bool(refused))


@pytest.mark.parametrize(
    ("answer", "level"), [(AgentError("there is no process 7"), "INFO"), (ZeroDivisionError("a fault of ours"), "ERROR")]
)
async def test_what_cannot_be_looked_into_does_not_end_the_watch(
    host: Host, caplog: pytest.LogCaptureFixture, answer: Exception, level: str
) -> None:
    """A process may be gone by then; a fault of ours is logged with its place."""
    host.agent.answer = answer
    host.threads[7] = 200.0
    await host.live(60)
    assert level in {record.levelname for record in caplog.records if "look" in record.getMessage()}
    before = host.work.rounds
    await host.live(20)
    assert host.work.rounds > before


async def test_rounds_come_sooner_while_somebody_waits_for_an_answer(host: Host) -> None:
    """As long as any of several diagnoses runs."""
    with host.work.hurried():
        await host.live(10)
        with host.work.hurried():
            await host.live(1)
        before = host.work.rounds
        await host.live(10)
    assert host.work.rounds == before + 10


async def test_a_judge_that_stands_still_is_noticed(host: Host) -> None:
    """The watchdog then gets no sign of life."""
    assert host.work.healthy()
    await host.agent.clock.advance(0.0)
    host.agent.clock._now += 60.0
    assert not host.work.healthy()


def test_answers_are_logged_with_the_place_to_blame(caplog: pytest.LogCaptureFixture) -> None:
    """File and line, or kind and name; a notice is no warning; nothing found is said."""
    caplog.set_level(logging.INFO)
    work = Casework(cast(Agent, SimpleNamespace(config=Config())), "ask")
    work.keep(found(file="/srv/app.py", line=3))
    work.keep(found(kind="device", name="sda"))
    work.keep(found(kind="process", name="python", pid=9))
    work.keep(found(severity="notice"))
    work.keep({"verdict": "unknown", "causes": [], "possible": [{"id": "busy.threads"}]})
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "diagnosis busy.threads: trainer pid=7, /srv/app.py:3 (confidence 0.80)"),
        ("WARNING", "diagnosis busy.threads: trainer pid=7, device sda (confidence 0.80)"),
        ("WARNING", "diagnosis busy.threads: trainer pid=7, process python pid=9 (confidence 0.80)"),
        ("INFO", "diagnosis busy.threads: trainer pid=7, no culprit (confidence 0.80)"),
        ("INFO", "diagnosis unknown: possible: busy.threads"),
    ]
