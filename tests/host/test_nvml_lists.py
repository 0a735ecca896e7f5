"""Counts that no driver should tell: bounded in time and memory, and one GPU's nonsense costs no other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.nvml import Nvml
from agent.host.nvml_child import Child
from tests.fakes.gpusim import Host

pytestmark = pytest.mark.real
CALL_S, PATIENCE_S = 1.5, 20.0
MOST_KIB = 64 << 10
LISTS = ("ComputeRunningProcesses", "MPSComputeRunningProcesses", "GraphicsRunningProcesses", "ProcessUtilization")
NONSENSE = ("DeviceGetCount", "DeviceGetMaxMigDeviceCount", *(f"DeviceGet{name}" for name in LISTS), "DeviceGetName", "*")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Two GPUs, one with a process, the other cut in two."""
    made = Host(tmp_path)
    made.put(0, processes__4711__memory=1 << 30, processes__4711__sm=50)
    made.cut(1, [3, 2])
    return made


@pytest.fixture
def child(host: Host, request: pytest.FixtureRequest) -> Iterator[Child]:
    """The process that calls NVML, started among nonsense: the call and the value that ``param`` names."""
    call, value = request.param
    host.break_("garbage", {"call": call, "value": value})
    made = Child(host.file, env=host.env)
    yield made
    made.kill()
    made.ended(PATIENCE_S)


@pytest.mark.parametrize("child", [(call, value) for call in NONSENSE for value in (20_000_000, 2**64 - 1)], indirect=True)
def test_nonsense_is_bounded_from_the_start(child: Child) -> None:
    """Both GPUs are listed and read in both tiers, with little memory."""
    opened = child.receive(PATIENCE_S, CALL_S, CALL_S)
    assert opened is not None
    assert [gpu["index"] for gpu in opened["list"]] == [0, 1]
    for tier in ("fast", "health"):
        child.send({"do": tier, "skip": [], "procs": True})
        reply = child.receive(PATIENCE_S, CALL_S, CALL_S)
        assert reply is not None
        assert [("gone" in values) for values in reply["gpus"].values()] == [False, False], reply["gpus"]
    peak = next(line for line in Path(f"/proc/{child.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    assert int(peak.split()[1]) < MOST_KIB


def test_processes_beyond_the_first_room_are_listed(tmp_path: Path) -> None:
    """The list is asked again with more room."""
    host = Host(tmp_path, gpus=1)
    with host.sim.change() as state:
        state["gpus"][0]["processes"] = [{"pid": 1000 + n, "type": "compute", "memory": 1 << 20, "sm": 1} for n in range(100)]
    nvml = Nvml(host.library, env=host.env).used()
    values = next(gpu.values for gpu in nvml.read("fast", procs=True).gpus) or {}
    nvml.close()
    assert sorted(pid for pid, _, _ in values["procs"]) == [*range(1000, 1100)]
    assert sorted(pid for pid, _ in values["putil"]) == [*range(1000, 1100)]


def test_memory_that_the_driver_cannot_tell_is_none(tmp_path: Path) -> None:
    """As in containers, and under MIG on some drivers."""
    host = Host(tmp_path, gpus=1)
    with host.sim.change() as state:
        state["gpus"][0]["processes"] = [{"pid": os.getpid(), "type": "compute", "memory": None}]
    nvml = Nvml(host.library, env=host.env).used()
    values = next(gpu.values for gpu in nvml.read("fast", procs=True).gpus) or {}
    nvml.close()
    assert values["procs"] == [[os.getpid(), None, ord("C")]]
