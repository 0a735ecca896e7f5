"""pyspy: who burns the CPU, holds the interpreter lock, blocks the event loop; idle programs look idle."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from agent.host.pyspy import Recording
from agent.host.threads import Look, WaitKind
from agent.host.tools import ProbeTools
from agent.model import Target
from agent.probes._found import Window
from agent.probes._loops import in_callback, is_loop
from agent.probes._profile import judge
from agent.probes.pyspy import Probe, merge
from agent.stacks import Frame, Stack, parse_dump, parse_raw
from tests.probes.conftest import Start

RECORDED = Path(__file__).parents[1] / "fixtures" / "pyspy"
HOT = Frame("crunch", "/srv/app/a.py", 7)
TURN = Frame("BaseEventLoop._run_once", "/usr/lib/python3.11/asyncio/base_events.py", 1922)
RUN = Frame("Handle._run", "/usr/lib/python3.11/asyncio/events.py", 80)
SELECT = Frame("EpollSelector.select", "/usr/lib/python3.11/selectors.py", 468)


def record(*stacks: Stack, rounds: int = 100) -> Recording:
    """What py-spy would have brought."""
    return Recording(tuple(stacks), rounds, 0, 1.0, 0.0, 0.0)


def window(**given: object) -> Window:
    """One second of one process with one busy thread, unless told otherwise."""
    settings: dict[str, object] = {
        "pid": 5, "seconds": 1.0, "cpu": {1: 1.0}, "wakes": {1: 0.0}, "names": {1: "MainThread"}, "python_threads": 1,
    }  # fmt: skip
    return Window(**{**settings, **given})  # type: ignore[arg-type]


def looks(*kinds: WaitKind) -> dict[int, list[Look]]:
    """Thread 1 as the kernel showed it, look by look."""
    return {1: [Look(1, "R" if kind is WaitKind.NONE else "S", "", kind) for kind in kinds]}


def test_shares_follow_the_kernels_cpu_time_not_the_samples() -> None:
    """A thread that was sampled often but burnt nothing does not look hot."""
    idle = Stack(2, "idle", (Frame("wait", "/srv/app/b.py", 1),), 500)
    found = judge(window(wall=record(Stack(1, "MainThread", (HOT,), 50), idle), cpu={1: 0.8, 2: 0.0}))
    assert (found.answers["hot_share"], found.culprits["hot_share"][0].function) == (1.0, "crunch")
    assert found.answers["hot_cores"] == pytest.approx(0.8)


def test_an_idle_process_has_no_hotspot() -> None:
    """Samples of a process that burns no CPU say nothing."""
    found = judge(window(wall=record(Stack(1, "MainThread", (HOT,), 99)), cpu={1: 0.01}))
    assert found.answers["hot_share"] == 0.0


def test_cpu_burnt_outside_python_is_not_blamed_on_python() -> None:
    """A native thread's CPU time lowers the share of the Python function."""
    found = judge(window(wall=record(Stack(1, "MainThread", (HOT,), 99)), cpu={1: 0.5, 9: 1.5}))
    assert found.answers["hot_share"] == pytest.approx(0.25)


def test_cpu_without_any_sample_is_unknown() -> None:
    """CPU time that no stack explains is not read as no hotspot."""
    found = judge(window(wall=record(), cpu={1: 0.9}))
    assert found.answers["hot_share"] is None


def test_a_thread_that_holds_the_lock_whenever_it_runs_is_seen_by_the_locks_samples_too() -> None:
    """Few samples of many threads are filled up by the lock's; a thread that computes without the lock keeps its own."""
    other = Frame("pack", "/srv/app/a.py", 9)
    wall, gil = record(Stack(1, "M", (HOT,), 1)), record(Stack(1, "M", (HOT,), 60), Stack(1, "M", (other,), 39))
    assert judge(window(wall=wall, gil=gil)).answers["hot_share"] == pytest.approx(0.61)
    seldom = record(Stack(1, "M", (other,), 10))
    assert judge(window(wall=wall, gil=seldom)).answers["hot_share"] == 1.0


def test_the_holder_of_the_interpreter_lock_is_named_with_its_thread() -> None:
    """The thread with most of the lock's samples, and the own line it stands on."""
    found = judge(window(gil=record(Stack(1, "report", (HOT,), 90), Stack(2, "web", (), 5)), names={1: "report"}))
    assert found.answers["gil_share"] == pytest.approx(0.95)
    assert found.answers["gil_top_share"] == pytest.approx(90 / 95)
    assert "thread report" in found.culprits["gil_share"][0].detail


def test_a_sleep_inside_a_callback_blocks_the_loop_and_is_named() -> None:
    """Kernel and stacks agree: three of four looks asleep inside a callback."""
    blocking = Stack(1, "MainThread", (TURN, RUN, HOT), 75)
    idle = record(blocking, Stack(1, "MainThread", (TURN, SELECT), 25))
    seen = looks(WaitKind.SLEEP, WaitKind.SLEEP, WaitKind.SLEEP, WaitKind.EPOLL)
    found = judge(window(loops=(1,), looks=seen, idle=idle, wall=record(), cpu={1: 0.0}))
    assert found.answers["loop_blocked_share"] == pytest.approx(0.75)
    assert found.answers["loop_blocked_longest_s"] == pytest.approx(0.75)
    assert (found.culprits["loop_blocked_share"][0].function, found.culprits["loop_blocked_share"][0].line) == ("crunch", 7)


def test_a_sleeper_that_the_sampler_calls_active_is_named_all_the_same() -> None:
    """On Python 3.10 and older every thread looks active; the kernel counted no CPU time, so the sleep stays a sleep."""
    other = Stack(1, "MainThread", (TURN, RUN, Frame("greet", "/srv/app/a.py", 50)), 1)
    seen = record(Stack(1, "MainThread", (TURN, RUN, HOT), 95), other)
    found = judge(window(loops=(1,), looks=looks(*[WaitKind.SLEEP] * 8), idle=seen, wall=seen, cpu={1: 0.01}))
    assert [c.function for c in found.culprits["loop_blocked_share"]] == ["crunch"]


def test_a_busy_callback_is_busy_not_blocked() -> None:
    """A loop that computes is on a CPU: busy, and nothing blocks."""
    idle = record(Stack(1, "MainThread", (TURN, RUN, HOT), 100))
    found = judge(window(loops=(1,), looks=looks(*[WaitKind.NONE] * 8), idle=idle, wall=idle))
    assert (found.answers["loop_blocked_share"], found.answers["loop_busy_share"]) == (0.0, 1.0)


def test_waiting_for_the_interpreter_lock_is_no_blocking_call() -> None:
    """A loop that another thread starves wakes hundreds of times a second; it makes no blocking call."""
    idle = record(Stack(1, "MainThread", (TURN, RUN, HOT), 100))
    found = judge(window(loops=(1,), looks=looks(*[WaitKind.TIMED] * 8), idle=idle, wakes={1: 190.0}))
    assert found.answers["loop_blocked_share"] == 0.0


def test_what_the_loop_waits_for_is_unknown_without_rights() -> None:
    """Kernel states that may not be read leave the answer unknown."""
    found = judge(window(loops=(1,), looks=looks(*[WaitKind.UNKNOWN] * 8), idle=record()))
    assert found.answers["loop_blocked_share"] is None


def test_recorded_loops_are_recognised_inside_and_outside_callbacks() -> None:
    """Real stacks of an event loop: the blocking callback and the idle turn are told apart."""
    inside = {s.frames[-1].short: in_callback(s.frames) is not None for s in parse_raw((RECORDED / "loopblock.raw").read_text())}
    assert inside["fetch"]
    assert not inside.get("select", False)
    assert is_loop(parse_dump((RECORDED / "loopblock.json").read_text())[0].frames)


def test_a_loop_without_python_frames_counts_what_stands_above_its_runner() -> None:
    """uvloop shows the runner and then, only during a callback, the coroutine."""
    runner = Frame("Runner.run", "/usr/lib/python3.11/asyncio/runners.py", 118)
    main = Frame("<module>", "/srv/app/a.py", 9)
    assert in_callback((main, runner, HOT)) == 2
    assert in_callback((main, runner)) is None


def test_garbage_collection_is_charged_to_the_allocating_line_and_unknown_without_its_flag() -> None:
    """The flag tells the share, the CPU samples the line."""
    found = judge(window(wall=record(Stack(1, "M", (HOT,), 9)), collecting=0.4))
    assert (found.answers["gc_share"], found.culprits["gc_share"][0].line) == (0.4, 7)
    assert judge(window(wall=record())).answers["gc_share"] is None


def test_several_processes_answer_with_the_worst_of_them() -> None:
    """Each group of answers comes from the process where it is worst; thread counts add up."""
    calm, hot = judge(window(wall=record(), cpu={1: 0.0})), judge(window(wall=record(Stack(1, "M", (HOT,), 9))))
    both = merge([hot, calm])
    assert (both.answers["hot_share"], both.answers["python_threads"]) == (1.0, 2.0)


async def test_a_vanished_process_is_a_reason_not_an_exception(tools: ProbeTools) -> None:
    """No such pid: no answers, why, and what to do."""
    evidence = await Probe().look(Target("process", pid=2**22 - 3), tools)
    assert (evidence.answers, bool(evidence.because), bool(evidence.try_)) == ({}, True, True)


async def test_a_process_taken_over_by_another_is_not_looked_at(tools: ProbeTools) -> None:
    """The start time tells a reused pid."""
    evidence = await Probe().look(Target("process", pid=os.getpid(), start_time=1.0), tools)
    assert "no process" in evidence.because


@pytest.mark.real
async def test_a_json_hotspot_names_the_own_caller_and_keeps_a_private_flame_graph(start: Start, tools: ProbeTools) -> None:
    """A loop around json.dumps: the calling line, near one core, files with mode 0600."""
    target = start("""
        import json
        DATA = {str(i): list(range(20)) for i in range(100)}
        def serialise():
            return json.dumps(DATA, indent=1)
        print("READY", flush=True)
        while True:
            serialise()
    """)
    evidence = await Probe(seconds=1).look(target, tools)
    culprit = evidence.culprits["hot_share"][0]
    assert (culprit.function, culprit.line) == ("serialise", 5)
    assert evidence.answers["hot_share"] > 0.8  # type: ignore[operator]
    assert {stat.S_IMODE(os.stat(kept.path).st_mode) for kept in evidence.artifacts} == {0o600}
    assert len(evidence.artifacts) == 2


@pytest.mark.real
async def test_a_thread_that_hogs_the_interpreter_lock_is_named(start: Start, tools: ProbeTools) -> None:
    """A computing thread beside a sleeping one holds nearly all of the lock's time."""
    target = start("""
        import threading, time
        def hog():
            while True:
                sum(i * i for i in range(20000))
        threading.Thread(target=hog, name="report-builder", daemon=True).start()
        print("READY", flush=True)
        while True:
            time.sleep(0.005)
    """)
    evidence = await Probe(seconds=1, mode="gil").look(target, tools)
    assert evidence.answers["gil_share"] > 0.7  # type: ignore[operator]
    assert "report-builder" in evidence.culprits["gil_share"][0].detail


@pytest.mark.real
async def test_a_sleep_in_a_coroutine_is_found_and_an_idle_loop_is_not_blamed(start: Start, tools: ProbeTools) -> None:
    """time.sleep in a coroutine blocks most of the time; a loop that only waits blocks never."""
    loop = """
        import asyncio, time
        def fetch():
            time.sleep(BLOCK)
        async def main():
            print("READY", flush=True)
            while True:
                fetch()
                await asyncio.sleep(0.05)
        asyncio.run(main())
    """
    blocked = await Probe(seconds=1, mode="wall").look(start(loop.replace("BLOCK", "0.2")), tools)
    assert blocked.answers["loop_blocked_share"] > 0.4  # type: ignore[operator]
    assert blocked.culprits["loop_blocked_share"][0].function == "fetch"
    calm = await Probe(seconds=1, mode="wall").look(start(loop.replace("BLOCK", "0")), tools)
    assert calm.answers["loop_blocked_share"] < 0.1  # type: ignore[operator]
