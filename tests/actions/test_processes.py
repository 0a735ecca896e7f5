"""Actions on real processes: they do what they say, to nobody else, and take it back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from agent.actions import continue_process, cpu_affinity, renice, signal_process, stop_process
from agent.actions._process import send, there
from agent.host import procs
from agent.host.lane import aside
from agent.host.reach import Reach, WillNot
from agent.model import Target
from tests.actions.conftest import Start

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


def ready(argv: str) -> subprocess.Popen[bytes]:
    """A Python process that has begun."""
    process = subprocess.Popen([sys.executable, "-c", argv], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.real
async def test_a_process_is_asked_to_end_before_it_is_made_to(start: Start, reach: Reach) -> None:
    """One that listens ends by TERM."""
    target = await aside(start)
    action = signal_process.Action(target, reach, grace=5.0)
    await action.check()
    assert await action.act() == {"signal": "TERM"}
    assert await action.verify({}) is True


@pytest.mark.real
async def test_one_that_does_not_listen_is_killed_after_its_grace(reach: Reach) -> None:
    """And only if the playbook says so."""
    process = await aside(lambda: ready(STUBBORN))
    try:
        target = Target("process", "python", process.pid, await aside(lambda: procs.start_time(process.pid)))
        with pytest.raises(Exception, match="did not end within"):
            await signal_process.Action(target, reach, grace=0.3, kill=False).act()
        assert await signal_process.Action(target, reach, grace=0.3).act() == {"signal": "KILL"}
    finally:
        process.kill()
        await aside(process.wait)
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.real
def test_a_process_with_another_start_time_is_not_the_one_that_was_meant(start: Start) -> None:
    """Its number was taken again: nothing is sent."""
    target = start()
    stale = replace(target, start_time=(target.start_time or 0.0) - 5.0)
    with pytest.raises(WillNot, match="or its number is another's"):
        send(stale, signal.SIGKILL)
    assert there(target)
    assert not there(stale)


@pytest.mark.parametrize("pid", [1, None])
def test_the_first_process_and_what_is_none_are_never_touched(pid: int | None) -> None:
    """Whatever the lists say."""
    with pytest.raises(WillNot):
        send(Target("process", "x", pid, 1.0), signal.SIGTERM)
    with pytest.raises(WillNot, match="never touched"):
        send(Target("process", "self", os.getpid(), procs.start_time(os.getpid())), signal.SIGTERM)


@pytest.mark.real
async def test_a_halted_process_goes_on_when_it_is_taken_back(start: Start, reach: Reach) -> None:
    """But not one that was halted before."""
    target = await aside(start)
    action = stop_process.Action(target, reach)
    done = await action.act()
    assert await action.verify(done) is True
    again = await action.act()
    await action.undo(again)
    assert await action.verify(again) is True
    await continue_process.Action(target, reach).check()
    await action.undo(done)
    assert await action.verify(done) is False
    with pytest.raises(WillNot, match="is not halted"):
        await continue_process.Action(target, reach).check()


@pytest.mark.real
async def test_priority_is_lowered_for_the_tree_and_given_back(start: Start, reach: Reach) -> None:
    """Children too; raising it again needs the right to."""
    target = await aside(lambda: start("sh", "-c", "sleep 60 & wait"))
    assert target.pid is not None
    action = renice.Action(target, reach, nice=7)
    done = await action.act()
    values = [os.getpriority(os.PRIO_PROCESS, pid) for pid in await aside(lambda: procs.tree(target.pid or 0))]
    assert set(values) == {7}
    assert await action.verify(done) is True
    if os.geteuid() == 0:
        await action.undo(done)
        assert os.getpriority(os.PRIO_PROCESS, target.pid) == done["before"][0][2]


@pytest.mark.real
async def test_cpus_are_taken_and_given_back(start: Start, reach: Reach) -> None:
    """As they were, for every thread."""
    target = await aside(start)
    assert target.pid is not None
    have = os.sched_getaffinity(target.pid)
    if len(have) < 2:
        with pytest.raises(WillNot):
            await cpu_affinity.Action(target, reach, leave=1).check()
        return
    action = cpu_affinity.Action(target, reach, leave=1)
    await action.check()
    done = await action.act()
    assert os.sched_getaffinity(target.pid) == set(sorted(have)[:-1])
    await action.undo(done)
    assert os.sched_getaffinity(target.pid) == have


async def test_settings_that_make_no_sense_are_refused(start: Start, reach: Reach) -> None:
    """Before anything is touched."""
    target = Target("process", "x", 2**22 + 1, 1.0)
    with pytest.raises(WillNot, match="say either cpus or leave"):
        await cpu_affinity.Action(target, reach).check()
    with pytest.raises(WillNot, match="no list of CPUs"):
        cpu_affinity.parse("a-b")
    with pytest.raises(WillNot, match="between -20 and 19"):
        await renice.Action(target, reach, nice=99).check()
