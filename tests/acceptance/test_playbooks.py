"""Playbooks as an operator sees them at work, from the symptom to its verified end, by the real agent on real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.acceptance.command import REPO

PATIENCE_S = 240.0
FORBIDDEN = ("Operation not permitted", "ermission denied", "did not boot", "returned non-zero exit status 32")
"""What is said where namespaces or mounts are not to be had."""


def played(name: str, patience: float = PATIENCE_S) -> Any:
    """What a program of bench/ saw; skipped where it says that it cannot be done, or the kernel does."""
    argv = [sys.executable, str(REPO / "bench" / name), "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=patience)
    if done.returncode == 3 or any(words in done.stderr for words in FORBIDDEN):
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr or done.stdout
    return json.loads(done.stdout)


@pytest.mark.boot
def test_limits_are_in_effect_under_a_kernel_with_cgroups_of_version_2() -> None:
    """Set on a cgroup and through systemd, felt by who is bound and by its neighbour, and lifted."""
    told = played("boot_kernel.py", 900.0)
    cpu, memory, disk, unit = (told[name] for name in ("cpu", "memory", "disk", "unit"))
    assert cpu["bounded"]["cores"] < 0.3 < cpu["lifted"]["cores"]
    assert memory["bounded"]["mib"] < 40 < memory["lifted"]["mib"]
    assert disk["bounded"]["neighbour_per_s"] < disk["bounded"]["victim_per_s"] / 3
    assert disk["lifted"]["io.weight"] == disk["before"]["io.weight"]
    assert unit["bounded"]["memory.high"] == str(64 * 2**20)
    assert (unit["bounded"]["io.weight"], unit["lifted"]["memory.high"]) == ("default 50", "max")


@pytest.mark.boot
def test_a_unit_that_leaks_is_restarted_by_the_agent_in_its_own_unit() -> None:
    """In a systemd of its own, without a person; that the new worker does not leak is seen by the agent, and from outside."""
    told = played("recycle_worker.py")
    assert (told["phase"], told["cause"], told["agent_restarts"]) == ("verified", "memory.leak-unlocalised", 0)
    assert told["slope_before_mib_s"] > 2 > 0.5 > abs(told["slope_after_mib_s"])
    assert told["another_process"]
    assert told["evidence_files"] == 1
    assert any("records: whole" in line for line in told["told"])


@pytest.mark.real
def test_the_worker_that_a_dead_training_left_on_a_gpu_is_ended_when_a_person_agrees() -> None:
    """Not before; the memory is seen to be free; a worker whose training lives is left alone."""
    told = played("gpu_orphans.py")
    assert (told["phase"], told["gib_before"], told["gib_after"]) == ("verified", 60.0, 20.0)
    assert told["untouched_until_approved"]
    assert told["live_trainer_untouched"]
