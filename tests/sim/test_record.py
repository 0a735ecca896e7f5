"""Recording real GPUs, which are simulated ones here: what comes out shows the same as what went in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.sim.change import busy, cut
from agent.sim.figures import COUNTERS, rates
from agent.sim.gpu import GpuSim
from agent.sim.statefile import State

pytestmark = pytest.mark.real
ROOT = Path(__file__).resolve().parents[2]


def recorded(sim: GpuSim, out: Path, *options: str) -> State:
    """The state that ``record`` writes on a host with these GPUs."""
    argv = [sys.executable, "-m", "agent", "sim", "gpu", "record", str(out), "--for", "0.6s", "--every", "0.1s", *options]
    done = subprocess.run(argv, env={**os.environ, **sim.environment()}, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    state: State = json.loads(out.read_text())
    return state


def both(one: Any, other: Any, path: str = "") -> list[str]:
    """Paths at which the recording says something else; what it cannot see (null, noise, curves) is left out."""
    if isinstance(one, dict) and "curve" not in one and isinstance(other, dict) and "curve" not in other:
        return [found for key in one for found in both(one[key], other.get(key), f"{path}.{key}".lstrip("."))]
    unseen = one in (None, "", False) or other is None or isinstance(one, dict | list) or isinstance(other, dict | list)
    return [] if unseen or one == other else [f"{path}: {one} != {other}"]


def average(value: Any) -> float:
    """Of a figure, or of a curve's steps."""
    return sum(step[1] for step in value["steps"]) / len(value["steps"]) if isinstance(value, dict) else float(value)


def test_a_recording_shows_what_it_was_made_from(sim: GpuSim, compiled: Path, tmp_path: Path) -> None:
    """Identity, limits, counters, links, instances' parent, processes; what moved is a curve that repeats."""
    with sim.change() as state:
        busy(state, [state["gpus"][1]])
        cut(state["gpus"][2], [3, 2])
    sim.set(2, {"processes.78.memory": "2GiB", "processes.78.gpu_instance": 2, "processes.78.compute_instance": 0})
    sim.set(1, {"power.usage": "ramp 100..600 over 60s", "throttle.sw_power_cap": 0.4, "pcie.receive": 3e9, "temperature.gpu": 71})
    sim.set(
        1, {"processes.77.memory": "grow 1GiB +1GiB/s", "processes.77.sm": 33, "nvlink.links.3.state": "down", "remap.corrected": 2}
    )
    sim.set(1, {"ecc.volatile.corrected.dram": 5, "pcie.errors.l0_to_recovery": 4, "recovery_action": "drain-and-reset"})
    with sim.change() as state:
        state["gpus"] = state["gpus"][:3]
    made = recorded(sim, tmp_path / "rec.json")
    assert [both(was, now) for was, now in zip(sim.read()["gpus"], made["gpus"], strict=True)] == [[], [], []]
    moved = made["gpus"][1]
    assert moved["power"]["usage"]["curve"] == "steps"
    assert moved["power"]["usage"]["repeat"] == 0.6
    assert average(moved["throttle"]["sw_power_cap"]) == pytest.approx(0.4, abs=0.2)
    assert average(moved["pcie"]["receive"]) == pytest.approx(3e9, rel=0.5)
    assert [one["pid"] for one in moved["processes"]] == [77]
    assert moved["processes"][0]["sm"] == 33
    assert moved["nvlink"]["links"] == [{"link": 3, "state": "down"}]
    assert [(one["name"].split()[-1], one["total"], one["other"]) for one in made["gpus"][2]["mig"]["instances"]] == [
        (one["name"].split()[-1], one["total"], 0) for one in sim.read()["gpus"][2]["mig"]["instances"]
    ]
    assert made["gpus"][2]["processes"][0]["gpu_instance"] == 2
    assert made["recorded"]["calls"]["nvmlDeviceGetPowerUsage"]["calls"] >= 6
    GpuSim(tmp_path / "rec.json", compiled).install()


def test_an_anonymous_recording_names_nobody(sim: GpuSim, tmp_path: Path) -> None:
    """Neither boards nor processes."""
    sim.set(0, {"processes.77.memory": "1GiB"})
    made = recorded(sim, tmp_path / "rec.json", "--anonymous")
    was = sim.read()["gpus"][0]
    text = json.dumps(made)
    assert was["uuid"] not in text
    assert was["serial"] not in text
    assert made["gpus"][0]["processes"] == []
    assert len({gpu["uuid"] for gpu in made["gpus"]}) == 8


def test_without_gpus_there_is_nothing_to_record(tmp_path: Path) -> None:
    """Exit 3, with the reason."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LD_", "ANFL_"))}
    argv = [sys.executable, "-m", "agent", "sim", "gpu", "record", str(tmp_path / "x.json"), "--for", "0s", "--json"]
    done = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        pytest.skip("this host has GPUs")
    assert done.returncode == 3
    assert "NVML cannot be started" in json.loads(done.stdout)["message"]


def test_counters_become_their_growth() -> None:
    """A restart reads as nothing, a share of time is never above one."""
    assert "throttle.sw_power_cap" in COUNTERS
    assert rates([(0, 100), (1, 300), (2, 50), (4, 60)], "pcie.transmit") == [(0, 200), (1, 0), (2, 5)]
    assert rates([(0, 0), (1, 1.5)], "throttle.hw_thermal") == [(0, 1.0)]
