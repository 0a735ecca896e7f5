"""What counts as noticed by the running agent."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from agent.drill.watchman import noticed, trees_of


@pytest.fixture
def stranger() -> Iterator[int]:
    """The pid of a process in a session of its own."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process.pid
        process.kill()


def status(tree: str, phase: str, **labels: str) -> dict[str, Any]:
    """A status with one symptom."""
    return {"symptoms": [{"tree": tree, "phase": phase, "labels": labels}]}


@pytest.mark.parametrize(
    ("said", "is_noticed"),
    [
        (status("memory", "firing", pid=str(os.getpid())), True),
        (status("memory", "pending"), True),
        (status("memory", "ok", pid=str(os.getpid())), False),
        (status("latency", "firing", pid=str(os.getpid())), False),
        ({}, False),
    ],
)
def test_a_symptom_of_the_tree_on_the_target_counts(said: dict[str, Any], is_noticed: bool) -> None:
    """Other trees and symptoms that do not hold do not."""
    assert noticed(said, {"memory"}, os.getpid()) is is_noticed


def test_a_symptom_on_a_process_of_another_session_does_not_count(stranger: int) -> None:
    """It is somebody else's trouble; in a container even pid 1 may share the target's session."""
    assert not noticed(status("memory", "firing", pid=str(stranger)), {"memory"}, os.getpid())


def test_the_trees_that_can_name_a_cause_are_looked_up() -> None:
    """One topic has a tree for each kind of thing; a cause of no shipped tree goes by its topic."""
    assert trees_of("memory.gpu-leak") == {"gpu_load"}
    assert trees_of("gpu.missing") == {"gpu_node"}
    assert trees_of("memory.python-leak") == {"memory"}
    assert trees_of("site.own-cause") == {"site"}
