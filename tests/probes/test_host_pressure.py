"""host_pressure: what runs outside the target's tree."""

from __future__ import annotations

import os

import pytest

from agent.host.procstat import Stat
from agent.host.tools import ProbeTools
from agent.model import Target
from agent.probes._found import Found
from agent.probes.host_pressure import Moment, Probe, judge


def process(name: bytes, cpu: float, ppid: int = 1, ticks: int = 1) -> Stat:
    """A process with that much CPU time so far."""
    return Stat(name, "R", ppid, cpu, 1, ticks)


BEFORE = Moment(
    0.0, {10: process(b"job", 5), 20: process(b"stress", 100), 30: process(b"agent", 1)}, {20: 0}, 106.0, {"cpu": 1.0}, {"sda": 1.0}
)
AFTER = Moment(
    2.0,
    {10: process(b"job", 6), 20: process(b"stress", 103), 30: process(b"agent", 2)},
    {20: 4 << 20},
    111.0,
    {"cpu": 2.0},
    {"sda": 2.5},
)


def found(before: Moment = BEFORE, after: Moment = AFTER) -> Found:
    """Judged with process 10 as the target and 30 as the agent."""
    return judge(before, after, {10}, {30}, lambda pid: f"cmd {pid}")


def test_only_the_others_count() -> None:
    """Neither the target nor the agent is another process."""
    assert found().answers["other_cpu_cores"] == pytest.approx(1.5)
    assert (found().culprits["other_cpu_cores"][0].name, found().culprits["other_cpu_cores"][0].detail) == (
        "stress",
        "1.50 cores: cmd 20",
    )


def test_waiting_devices_and_disk_traffic_are_rates() -> None:
    """Half of the time waiting for a CPU, a disk busy for three quarters, two MiB a second; no memory figures are unknown."""
    answers = found().answers
    assert (answers["cpu_waiting_share"], answers["device_busy_share"], answers["memory_waiting_share"]) == (0.5, 0.75, None)
    assert answers["other_io_bytes"] == 2 << 20
    assert found().culprits["device_busy_share"][0].name == "sda"


def test_programs_that_came_and_went_still_count() -> None:
    """CPU time the host spent and no process shows belongs to others."""
    assert found(after=Moment(2.0, AFTER.processes, {}, 115.0)).answers["other_cpu_cores"] == pytest.approx(1.5 + 2.0)


def test_in_a_container_nobody_is_named_for_what_is_burnt_out_of_sight() -> None:
    """The little that is seen is not most of it; where most is seen, it is named there, too."""
    out = Moment(2.0, AFTER.processes, {}, 117.0)
    hidden = judge(BEFORE, out, {10}, {30}, str, whole=False)
    assert "other_cpu_cores" not in hidden.culprits
    assert "most of it out of sight" in hidden.says["other_cpu_cores"]
    assert hidden.answers == found(after=out).answers
    assert found(after=out).culprits["other_cpu_cores"]
    assert judge(BEFORE, AFTER, {10}, {30}, str, whole=False).culprits["other_cpu_cores"]


def test_a_reused_pid_starts_from_nothing() -> None:
    """A new process under an old pid is charged with all it burnt, not with a negative amount."""
    after = Moment(2.0, {**AFTER.processes, 20: process(b"new", 1.0, ticks=9)}, {}, 0.0)
    assert found(after=after).answers["other_cpu_cores"] == pytest.approx(0.5)


async def test_this_host_can_be_read(tools: ProbeTools) -> None:
    """A real reading beside this process."""
    evidence = await Probe(seconds=0.5).look(Target("process", pid=os.getpid()), tools)
    assert evidence.because == ""
    assert evidence.answers["other_cpu_cores"] is not None
