"""The agent put together from a configuration, on a fake clock: whom a diagnosis looks at, for how long, and what it says."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent import app, collectors, plugins, registry
from agent.app import Agent, Request
from agent.config import Config, parse_config
from agent.engine import looks
from agent.errors import AgentError, Unavailable, UsageError
from agent.host.lane import InlineLane
from agent.model import Event, JsonObject, Sample, Series, labels
from agent.store.ring import Tap
from tests.fakes.clock import FakeClock
from tests.fakes.gpusim import Host

TREE = """\
tree: looked
each: [pid]
symptom: {when: "process_resident_bytes > 1000GiB"}
checks:
  - {id: large, expr: "process_resident_bytes > 1MiB"}
  - {id: grows, expr: "floor_slope(process_resident_bytes, 1h) > 1MiB / 1m"}
causes:
  looked.large: {title: It is large, require: [large], support: {large: 0.8}, severity: notice}
  looked.growth: {title: It grows, require: [grows], support: {grows: 0.8}}
"""
ONLY = ("processes", "cgroup")


def configured(folder: Path, text: str = "") -> Config:
    """A configuration below a folder with one tree and two collectors."""
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules" / "looked.yaml").write_text(TREE)
    others = [name for name in registry.names(collectors) if name not in ONLY]
    off = ", ".join(f"{name}: {{enabled: false}}" for name in others)
    paths = f"rules_dir: {folder}/rules\nstate_dir: {folder}/state\nsocket: {folder}/agent.sock\n"
    return parse_config(f"{paths}collectors: {{{off}}}\n{text}", str(folder / "config.yaml"))


def built(folder: Path, *, burst: bool = True) -> Agent:
    """An agent whose blocking parts run inline."""
    return app.build(configured(folder), burst=burst, clock=FakeClock(), lane=lambda name: InlineLane())


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """For one diagnosis."""
    made = built(tmp_path)
    yield made
    made.close()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing."""
    made = subprocess.Popen(["sleep", "60"])
    yield made
    made.kill()
    made.wait()


async def diagnosed(agent: Agent, request: Request, said: Any = lambda text: None, symptom: str = "") -> JsonObject:
    """A diagnosis while the fake clock runs."""
    task = asyncio.get_running_loop().create_task(agent.diagnose(request, said, symptom=symptom))
    assert isinstance(agent.clock, FakeClock)
    for _ in range(100):
        if task.done():
            break
        await agent.clock.advance(0.5)
    return await task


async def test_a_process_is_diagnosed_from_a_burst_of_samples(agent: Agent, child: subprocess.Popen[bytes]) -> None:
    """It samples once a second for as long as it was told, and says that it had no history."""
    found = await diagnosed(agent, Request(pid=child.pid, for_s=6.0))
    assert (found["schema"], found["source"]) == ("anfl.diagnosis/1", "burst")
    assert found["took_s"] == pytest.approx(6.0, abs=0.6)
    assert [cause["id"] for cause in found["causes"]] == ["looked.large"]
    assert found["causes"][0]["target"]["pid"] == child.pid
    assert agent.ring.ticks in (6, 7)
    assert [(n["id"], bool(n["try"])) for n in found["not_checked"]] == [("looked.grows", True)]


async def test_the_target_has_series_of_its_own_while_it_is_looked_at_and_not_longer(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if it is neither large nor busy."""
    pinned: list[tuple[tuple[int, ...], str]] = []
    monkeypatch.setattr(agent.collectors["processes"], "pin", lambda pids, by: pinned.append((tuple(pids), by)))
    await diagnosed(agent, Request(pid=os.getpid(), for_s=1.0))
    assert pinned == [((os.getpid(),), "diagnosis-1"), ((), "diagnosis-1")]
    with pytest.raises(UsageError):
        await diagnosed(agent, Request(unit="none.service"))
    assert pinned[-1] == ((), "diagnosis-2")


async def test_what_a_launcher_started_is_looked_into_by_itself(agent: Agent, child: subprocess.Popen[bytes]) -> None:
    """A symptom of the launcher is not proven by what a program of its own does; who asks about it asks about all of them."""

    def known(pid: int, subject: int) -> Sample:
        text = dict.fromkeys(("cgroup", "comm", "container", "job", "unit", "user"), "")
        return Sample(Series("process_info", labels(pid=pid, subject=subject, **text)), 1.0)

    tap = agent.ring.tap = Tap()
    agent.ring.add(agent.ring.now, [known(os.getpid(), os.getpid()), known(child.pid, child.pid)])
    request = Request(pid=os.getpid(), for_s=1.0)
    for symptom, seen in (("looked", False), ("", True)):
        await diagnosed(agent, request, symptom=symptom)
        asked = [said[0] for event in tap.events if event.kind == looks.TOLD and (said := looks.read(event))]
        assert (child.pid in asked[-1].pids) is seen
        assert os.getpid() in asked[-1].pids


async def test_a_host_is_diagnosed_through_its_subjects(agent: Agent) -> None:
    """Without a target every process that has series is walked."""
    found = await diagnosed(agent, Request(for_s=3.0))
    assert {cause["target"]["kind"] for cause in found["causes"]} == {"process"}


async def test_a_target_that_ends_meanwhile_is_no_all_clear(agent: Agent, child: subprocess.Popen[bytes]) -> None:
    """And nobody is told to look at it again."""

    def said(text: str) -> None:
        if text.startswith("sampling 2"):
            child.kill()
            child.wait()

    found = await diagnosed(agent, Request(pid=child.pid, for_s=5.0), said)
    assert found["verdict"] == "unknown"
    assert found["not_checked"][0]["because"] == f"process {child.pid} ended while it was looked at"
    assert not any(p["try"] for p in found["possible"])


async def test_an_artefact_folder_that_cannot_be_made_costs_the_files_and_no_more(
    tmp_path: Path, agent: Agent, child: subprocess.Popen[bytes]
) -> None:
    """The diagnosis says why nothing was kept."""
    (tmp_path / "state").write_text("a file in the way")
    found = await diagnosed(agent, Request(pid=child.pid, for_s=2.0))
    assert found["not_checked"][0]["id"] == "artifacts"
    assert "Not a directory" in found["not_checked"][0]["because"]
    assert found["causes"]


async def test_a_target_of_which_nothing_was_sampled_is_no_all_clear(agent: Agent) -> None:
    """The agent's own process has no series: nothing is known, so nothing is well."""
    found = await diagnosed(agent, Request(pid=os.getpid(), for_s=1.0))
    assert (found["verdict"], found["causes"]) == ("unknown", [])
    assert found["not_checked"][0]["because"] == f"no samples of process {os.getpid()} were taken"


@pytest.mark.parametrize(
    ("request_", "error", "code", "words"),
    [
        (Request(trees=("lookd",)), UsageError, 2, "did you mean 'looked'"),
        (Request(for_s=0.0), UsageError, 2, "longer than 0 s"),
        (Request(for_s=float("nan")), UsageError, 2, "longer than 0 s"),
        (Request(for_s=float("inf")), UsageError, 2, "at most a day"),
        (Request(since=float("nan")), UsageError, 2, "--since must be"),
        (Request(pid=4_000_000), AgentError, 2, "there is no process 4000000"),
        (Request(unit="none.service"), UsageError, 2, "no process runs in unit 'none.service'"),
        (Request(gpu="0"), Unavailable, 3, "GPUs are not watched"),
        (Request(since=60.0), Unavailable, 3, "needs a running agent"),
    ],
)
async def test_what_cannot_be_looked_at_is_an_error_with_a_mend(
    agent: Agent, request_: Request, error: type[AgentError], code: int, words: str
) -> None:
    """Before anything is sampled."""
    with pytest.raises(error) as caught:
        await diagnosed(agent, request_)
    assert words in str(caught.value)
    assert caught.value.help
    assert caught.value.exit_code == code
    assert agent.ring.ticks == 0


def test_the_time_for_closer_looks_is_the_budgets(agent: Agent) -> None:
    """More with --deep; --gentle refuses everything heavy and says so."""
    assert agent._limits(Request(for_s=5.0)).drill_s == agent.config.budget.drill
    assert agent._limits(Request(deep=True)).drill_s == agent.config.budget.drill_deep
    assert "--gentle" in agent._limits(Request(gentle=True)).heavy_refused


def test_cgroups_of_subjects_are_told_to_their_collector(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that limits of the ones that matter are read."""
    told: list[dict[str, int]] = []
    monkeypatch.setattr(agent.collectors["cgroup"], "watch", told.append)

    async def rounds() -> None:
        for _ in range(6):
            await agent.watch.round()
            agent.after_round()
            await agent.clock.sleep(0)
            assert isinstance(agent.clock, FakeClock)
            await agent.clock.advance(1.0)

    asyncio.run(rounds())
    assert told
    assert all(cgroup.startswith("/") and pid > 0 for found in told for cgroup, pid in found.items())
    assert told[-1]


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes]) -> Host:
    """Two simulated GPUs; the child is on the second one."""
    (tmp_path / "gpus").mkdir()
    host = Host(tmp_path / "gpus")
    for name, value in host.sim.environment().items():
        monkeypatch.setenv(name, value)
    host.put(1, **{f"processes__{child.pid}__memory": 1 << 30})
    return host


@pytest.fixture
def watched(tmp_path: Path, gpus: Host) -> Iterator[Agent]:
    """An agent that watches them."""
    plain = configured(tmp_path)
    section = parse_config(f"collectors: {{gpu: {{library: {gpus.library}}}}}", "c.yaml").collectors
    config = replace(plain, collectors={**plain.collectors, **section})
    made = app.build(config, burst=True, clock=FakeClock(), lane=lambda name: InlineLane())
    yield made
    made.close()


@pytest.mark.real
async def test_a_gpu_is_diagnosed_with_the_processes_on_it(watched: Agent, child: subprocess.Popen[bytes]) -> None:
    """By its UUID; it is read every second meanwhile."""
    cards: Any = watched.collectors["gpu"]
    read: list[float] = []
    task = asyncio.get_running_loop().create_task(watched.diagnose(Request(gpu="1", for_s=6.0), lambda text: None))
    while not task.done():
        await watched.clock.advance(0.5)  # type: ignore[attr-defined]
        read.append(cards.interval)
    assert (await task)["verdict"] in ("ok", "unknown")
    assert child.pid in {int(dict(kept.labels)["pid"]) for kept in watched.ring.live("process_info")}
    assert (min(read), cards.interval) == (1.0, 5.0)
    with pytest.raises(UsageError, match="there are: 0 "):
        await watched.diagnose(Request(gpu="7"), lambda text: None)


@pytest.mark.real
async def test_whoever_is_on_a_gpu_is_a_subject(
    watched: Agent, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little CPU it burns."""
    told: list[set[int]] = []
    monkeypatch.setattr(watched.collectors["processes"], "favour", told.append)
    for _ in range(12):
        await watched.watch.round()
        watched.after_round()
        await watched.clock.advance(1.0)  # type: ignore[attr-defined]
    assert {child.pid} in told
    assert watched.nvml() is not None


def test_checking_the_plugins_refuses_what_a_start_would_refuse(tmp_path: Path) -> None:
    """And nothing more."""
    plugins.check(configured(tmp_path))
    with pytest.raises(AgentError, match="unknown name 'pispy' under probes"):
        plugins.check(configured(tmp_path, "probes: {pispy: {}}\n"))
    with pytest.raises(AgentError, match="mode 'always' is not one of ask, auto, off"):
        plugins.check(configured(tmp_path, "probes: {memray: {mode: always}}\n"))


def test_the_kernel_log_calls_gpus_as_nvml_does(tmp_path: Path) -> None:
    """The kernel knows an address, the collector of GPUs index and UUID."""
    log = tmp_path / "kernel.log"
    log.touch()
    config = configured(tmp_path, "kernel_log: {trust_user_records: true}\n")
    section = parse_config(f"collectors: {{kernel_log: {{path: {log}}}}}", "c.yaml").collectors
    agent = app.build(
        replace(config, collectors={**config.collectors, **section}), burst=True, clock=FakeClock(), lane=lambda name: InlineLane()
    )
    known = labels(gpu="5", uuid="GPU-5", pci="0000:3b:00.0", name="H100", driver="1", vbios="2")
    for _ in range(6):
        assert isinstance(agent.clock, FakeClock)
        asyncio.run(agent.clock.advance(1.0))
        agent.ring.add(agent.clock.now(), [Sample(Series("gpu_info", known), 1.0)])
        agent.after_round()
    log.write_text("NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.\n")
    (event,) = [item for item in agent.collectors["kernel_log"].collect() if isinstance(item, Event)]
    assert dict(event.labels) == {"gpu": "5", "uuid": "GPU-5", "pci": "0000:3b:00.0"}
    assert event.trusted
    agent.close()
