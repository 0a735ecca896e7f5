"""The memray probe on a real program, and where it must not attach."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from agent.host.lane import once
from agent.host.tools import ProbeTools
from agent.probes.memray import Probe
from tests.probes.conftest import Start

LEAK = """
    import time
    print("READY", flush=True)
    SEEN = {}
    def remember(number):
        SEEN[number] = [str(number)] * 40
    number = 0
    while True:
        for _ in range(20):
            remember(number)
            number += 1
        time.sleep(0.02)
"""


@pytest.mark.real
async def test_a_leaking_dict_is_found_with_function_and_line(start: Start, tools: ProbeTools) -> None:
    """Without memray in the target: bytes that stay, the line that allocates them, and a flame graph."""
    found = await Probe(seconds=4).look(start(LEAK), tools)
    assert found.because == ""
    assert found.answers["verdict"] == "leak"
    culprit = found.culprits["leak_share"][0]
    assert (culprit.function, culprit.line) == ("remember", 6)
    assert found.target_pause_s > 0
    assert [artifact.kind for artifact in found.artifacts] == ["flamegraph", "collapsed-stacks", "memray-report"]
    drawn = await once("test", Path(found.artifacts[0].path).read_text, 5.0)
    assert "Python objects" in drawn
    assert "remember (" in drawn


async def test_gentle_forbids_attaching(start: Start, tools: ProbeTools) -> None:
    """It says so, and how to allow it."""
    found = await Probe().look(
        start("print('READY', flush=True)\nimport time\ntime.sleep(60)"), dataclasses.replace(tools, gentle=True)
    )
    assert "--gentle" in found.because
    assert found.try_
    assert not found.answers
