"""memory_map: what resident memory is made of; large processes are not held up without leave."""

from __future__ import annotations

import os

import pytest

from agent.host.tools import ProbeTools
from agent.model import Target
from agent.probes import memory_map
from agent.probes.memory_map import Probe, judge

ROLLUP = b"""55d0-7ffd ---p 00000000 00:00 0 [rollup]
Rss:                1000 kB
Shared_Clean:        200 kB
Shared_Dirty:        100 kB
Private_Clean:       300 kB
Private_Dirty:       400 kB
Anonymous:           600 kB
Swap:                 50 kB
"""


def test_the_rollup_is_split_into_its_parts() -> None:
    """Kilobytes become bytes; what is not anonymous has a file."""
    answers = judge(ROLLUP).answers
    assert (answers["map_anonymous_bytes"], answers["map_file_bytes"]) == (600 * 1024, 400 * 1024)
    assert (answers["map_private_bytes"], answers["map_swap_bytes"], answers["private_share"]) == (700 * 1024, 50 * 1024, 0.7)


def test_an_empty_map_is_unknown() -> None:
    """A kernel thread has no map."""
    assert set(judge(b"").answers.values()) == {None}


async def test_a_large_process_is_refused_unless_it_is_allowed(tools: ProbeTools, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal says how long the reading would hold it up; --deep allows it."""
    monkeypatch.setattr(memory_map, "LARGEST", 1)
    refused = await Probe().look(Target("process", pid=os.getpid()), tools)
    assert ("hold it up" in refused.because, refused.try_, refused.answers) == (True, "allow it with --deep", {})
    tools.deep = True
    allowed = await Probe().look(Target("process", pid=os.getpid()), tools)
    assert allowed.answers["map_private_bytes"] > 0  # type: ignore[operator]
