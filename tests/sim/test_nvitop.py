"""A foreign tool on the simulated GPUs: what nvitop's text screen shows. Skipped where nvitop is not installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from agent.sim.change import cut
from agent.sim.gpu import GpuSim

pytestmark = [pytest.mark.real, pytest.mark.skipif(shutil.which("nvitop") is None, reason="needs nvitop on PATH")]


def test_the_text_screen_shows_gpus_instances_processes_and_a_lost_one(sim: GpuSim) -> None:
    """With the state's own figures."""
    with sim.change() as state:
        cut(state["gpus"][5], [3, 2])
    mine = f"processes.{os.getpid()}"
    sim.set(0, {f"{mine}.memory": "40GiB", f"{mine}.sm": 88, "utilization.gpu": 90, "power.usage": 612, "temperature.gpu": 71})
    sim.fault("lost", gpu=7)
    shown = subprocess.run(["nvitop", "-1"], env={**os.environ, **sim.environment()}, capture_output=True, text=True).stdout
    assert "Driver Version: 580.95.05" in shown
    assert re.search(r"N/A +71C +P0 +612W / 700W .* 40\.00GiB / 141\.0GiB .* 90% ", shown)
    assert re.search(r"5:0 +3g\.70gb @ GI/CI: 1/0", shown)
    assert re.search(rf"│ +0 +{os.getpid()} C .* 40\.00GiB +88 ", shown)
    assert "GPU is Lost" in shown
