"""What counts as noticed by the running agent."""

from __future__ import annotations

import os
from typing import Any

import pytest

from agent.drill.watchman import noticed

OTHER = 1


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
        (status("memory", "firing", pid=str(OTHER)), False),
        ({}, False),
    ],
)
def test_a_symptom_of_the_tree_on_the_target_counts(said: dict[str, Any], is_noticed: bool) -> None:
    """Other trees, other processes and symptoms that do not hold do not."""
    assert noticed(said, "memory.python-leak", os.getpid()) is is_noticed
