"""One collection in a running Python program: its memory falls, it goes on, and where it would do harm nothing is done."""

from __future__ import annotations

import gc
import re
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from agent.actions import collect_garbage
from agent.actions._process import there
from agent.host import attach_collect, attach_payload
from agent.host.lane import aside
from agent.host.reach import Reach, WillNot
from agent.model import Target
from tests.actions.conftest import Start

CYCLES = """
import gc, os, threading, time
gc.set_threshold(10**9)
{first}
class Node:
    def __init__(self):
        self.me, self.room = self, bytearray(4 << 20)
    def __del__(self):
        ends.add(threading.get_ident())
ends = set()
for _ in range(20):
    Node()
log = open({log!r}, "w", buffering=1)
print("READY", file=log)
for _ in range(12000):
    time.sleep(0.005)
    if len(ends):
        print("MAIN" if ends == {{threading.main_thread().ident}} else "OTHER", file=log)
        ends.clear()
"""
ALONE, MANY = "", "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"


def begin(start: Start, log: Path, first: str = ALONE) -> Target:
    """A program with 80 MiB of garbage that its collector does not come round to."""
    target = start(sys.executable, "-c", CYCLES.format(first=first, log=str(log)))
    assert said(log) == "READY"
    return target


def said(log: Path) -> str:
    """The program's newest line."""
    for _ in range(1000):
        if log.exists() and (text := log.read_text()).endswith("\n"):
            return text.split()[-1]
        time.sleep(0.01)
    return ""


def made(target: Target, reach: Reach, tmp_path: Path, **more: Any) -> collect_garbage.Action:
    """The action, with a state folder of its own."""
    return collect_garbage.Action(target, Reach(reach.clock, reach.run, "", {}, state_dir=str(tmp_path / "state")), **more)


@pytest.mark.real
@pytest.mark.skipif(shutil.which("gdb") is None, reason="needs gdb")
@pytest.mark.parametrize(("first", "where"), [(ALONE, "MAIN"), (MANY, "OTHER")])
async def test_garbage_goes_and_the_program_goes_on(start: Start, reach: Reach, tmp_path: Path, first: str, where: str) -> None:
    """A lone thread runs its finalisers itself."""
    log = tmp_path / "log"
    target = await aside(lambda: begin(start, log, first), 20.0)
    action = made(target, reach, tmp_path)
    await action.check()
    done = await action.act()
    assert done["before"] - done["after"] > 60 * 2**20
    assert done["unreachable"] >= 20
    assert await action.verify(done) is True
    await reach.clock.sleep(0.1)
    assert await aside(lambda: said(log), 20.0) == where
    assert not await aside(lambda: list((tmp_path / "state" / "captures").glob("anfl-*")))


@pytest.mark.real
@pytest.mark.skipif(shutil.which("gdb") is None, reason="needs gdb")
async def test_a_program_that_switched_its_collector_off_is_left_alone(start: Start, reach: Reach, tmp_path: Path) -> None:
    """It may share its pages with children, or wait for a better moment."""
    log = tmp_path / "log"
    target = await aside(lambda: begin(start, log, "gc.disable()"), 20.0)
    with pytest.raises(WillNot, match="switched its collector off itself"):
        await made(target, reach, tmp_path).act()
    assert await aside(lambda: said(log)) == "READY"
    assert await aside(lambda: there(target))


@pytest.mark.real
async def test_what_memray_would_not_be_attached_to_is_refused(start: Start, reach: Reach, tmp_path: Path) -> None:
    """Before anything is touched."""
    target = await aside(start)
    with pytest.raises(WillNot, match=r"not a Python program|may not be traced"):
        await made(target, reach, tmp_path).check()
    with pytest.raises(WillNot, match="is gone, or its number is another's"):
        await made(Target("process", "sleep", target.pid, 1.0), reach, tmp_path).check()


def stage(**more: Any) -> dict[str, Any]:
    """What the agent asks for."""
    return {"seconds": 0.2, "pause": 60.0, "though_off": False, **more}


def test_a_program_with_several_threads_collects_on_the_one_brought_in(tmp_path: Path) -> None:
    """What was found is written where the agent reads it."""
    held = threading.Event()
    others = [threading.Thread(target=held.wait) for _ in range(2)]
    for each in others:
        each.start()
    config = {"folder": str(tmp_path), "token": "t", "stage": stage()}
    attach_collect.collect(config, attach_payload.put, attach_payload.stopped, attach_payload.real_sleep)
    held.set()
    for each in others:
        each.join()
    assert re.search(r'"token": "t".*"by": "a thread of its own"', (tmp_path / "done-1").read_text())


def test_a_long_pause_is_refused() -> None:
    """By the size of the heap, which is known without walking it."""
    assert "would stand still" in attach_collect.found(stage(pause=1e-6), time.sleep)["refused"]


def test_the_main_thread_is_asked_where_it_passes() -> None:
    """As it would handle a signal."""
    told: dict[str, Any] = {}
    other = threading.Thread(target=lambda: told.update(attach_collect.by_main(20.0, time.sleep)))
    other.start()
    while other.is_alive():
        sum(range(1000))
    other.join()
    assert told["by"] == "the main thread"
    assert told["unreachable"] >= 0


def test_a_main_thread_that_comes_too_late_finds_nothing_to_do() -> None:
    """What was given up is not done behind the agent's back."""
    before = gc.get_stats()[2]["collections"]
    told: dict[str, Any] = {}

    def late() -> None:
        time.sleep(0.2)  # by now the main thread waits for this one
        told.update(attach_collect.by_main(0.05, time.sleep))

    other = threading.Thread(target=late)
    other.start()
    other.join()
    assert "did not come by" in told["refused"]
    sum(range(1000))
    assert gc.get_stats()[2]["collections"] == before


def test_only_a_collector_that_is_on_is_used() -> None:
    """Unless whoever wrote the playbook knows the program."""
    gc.disable()
    try:
        assert "switched its collector off" in attach_collect.found(stage(), time.sleep)["refused"]
    finally:
        gc.enable()
