"""Who suffers: real processes, their trees."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import AgentError, UsageError
from agent.host import targets
from agent.host.lane import InlineLane, Lane
from tests.fakes.clock import FakeClock

PARENT = """
import subprocess, sys
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
sys.stdin.read()
child.kill()
child.wait()
"""


@pytest.fixture
def family() -> Iterator[tuple[int, int]]:
    """A parent and its child."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    yield parent.pid, child
    parent.communicate("", timeout=10)


def test_a_process_is_told_by_name_start_and_user() -> None:
    """What a diagnosis says of its target."""
    me = targets.process(os.getpid())
    assert (me.kind, me.pid, me.name) == ("process", os.getpid(), Path("/proc/self/comm").read_text().strip())
    assert me.start_time is not None
    assert me.user


def test_what_is_no_process_is_refused() -> None:
    """A pid nobody has, and a unit nothing runs in."""
    with pytest.raises(AgentError, match="there is no process 4000000"):
        targets.process(4_000_000)
    with pytest.raises(UsageError, match="no process runs in unit"):
        targets.unit("none.service")


def test_a_tree_holds_the_children_and_only_its_top_is_a_root(family: tuple[int, int]) -> None:
    """Roots are pinned, members are walked; who is gone is neither."""
    parent, child = family
    assert targets.tree(parent) == (parent, child)
    assert targets.tree(4_000_000) == (4_000_000,)
    assert targets.roots((parent, child, 4_000_000)) == (parent,)


async def test_members_are_looked_up_again_as_they_come_and_go(family: tuple[int, int]) -> None:
    """A worker that was started meanwhile belongs to the target."""
    parent, child = family
    clock = FakeClock()
    members = targets.Members((parent,), (parent,), InlineLane())
    async with members.kept(clock):
        assert members.now() == (parent,)
        await clock.advance(targets.MEMBERS_EVERY_S + 0.1)
        assert members.now() == (parent, child)
    assert clock.sleeping == 0


async def test_a_lookup_that_hangs_leaves_the_members_as_they_were() -> None:
    """A file system of the kernel may hang, the diagnosis goes on."""
    clock, lane = FakeClock(), Lane("stuck")
    held = asyncio.ensure_future(lane.run(lambda: time.sleep(0.3), 5.0))
    await asyncio.sleep(0.01)
    members = targets.Members((1,), (1,), lane)
    async with members.kept(clock):
        await clock.advance(targets.MEMBERS_EVERY_S + 0.1)
        assert members.now() == (1,)
    await held
    lane.close()


async def test_members_of_a_host_are_those_with_series() -> None:
    """Asked for each time; nothing is looked up."""
    live = [1, 2]
    members = targets.Members((), (), InlineLane(), lambda: tuple(live))
    async with members.kept(FakeClock()):
        assert members.now() == (1, 2)
        live.append(3)
        assert members.now() == (1, 2, 3)
