"""The door to py-spy: the gentle rules, and plain words for every refusal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from agent.errors import AgentError, Refused
from agent.host import pyspy
from agent.host.procstat import NoSuchProcess, NotPermitted
from agent.host.run import Completed
from agent.stacks import Frame, ThreadDump


@pytest.mark.parametrize(("threads", "expected"), [(1, 100), (16, 100), (40, 50), (300, 7), (2000, 5)])
def test_the_rate_falls_with_the_threads(threads: int, expected: int) -> None:
    """At most 2,000 stacks a second, within 5 to 100 rounds."""
    assert pyspy.rate(threads) == expected


def test_looking_only_for_the_locks_holder_is_cheaper() -> None:
    """One stack a round instead of all: at least 20 rounds a second."""
    assert (pyspy.rate(300, gil=True), pyspy.rate(300), pyspy.rate(8, gil=True)) == (20, 7, 100)


@pytest.mark.parametrize(
    ("threads", "state", "traced_by", "expected"),
    [(4, "S", 0, False), (17, "S", 0, True), (4, "D", 0, True), (4, "T", 0, True), (4, "t", 0, True), (4, "S", 99, True)],
)
def test_a_target_is_stopped_only_where_that_is_harmless(threads: int, state: str, traced_by: int, expected: bool) -> None:
    """Many threads, a blocked, stopped or traced process: memory reads only."""
    assert pyspy.must_not_block(threads, state, traced_by) is expected


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"Permission Denied: Try running again with elevated permissions", NotPermitted),
        (b"Error: Failed to get process executable name. Check that the process is running.", NoSuchProcess),
        (b"Error: Failed to find python version from target process\n\nStack backtrace:\n 0: x", Refused),
        (b"Error: something new\n\nStack backtrace:\n 0: anyhow", Refused),
        (b"", Refused),
    ],
)
def test_every_refusal_is_one_line_with_a_remedy(said: bytes, kind: type[AgentError]) -> None:
    """py-spy's words and backtraces become one sentence."""
    refusal = pyspy._refusal(7, Completed(1, b"", said, 0.1, 0.0))
    assert isinstance(refusal, kind)
    assert refusal.help
    assert "\n" not in refusal.message
    assert "anyhow" not in refusal.message


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A program that is not Python."""
    process = subprocess.Popen(["sleep", "30"])
    yield process.pid
    process.kill()
    process.wait()


async def test_a_kernel_thread_and_a_program_that_is_not_python_are_refused(sleeper: int) -> None:
    """Refused before py-spy is started, with the reason."""
    with pytest.raises(Refused, match="not a Python program"):
        await pyspy.dump(sleeper)
    with pytest.raises(AgentError):
        await pyspy.dump(2)


def test_snapshots_show_the_running_threads_and_on_request_the_sleepers() -> None:
    """One row of snapshots serves both questions, and each snapshot is a round."""
    run, wait = Frame("run", "/srv/a.py", 3), Frame("wait", "/srv/a.py", 9)
    threads = (
        ThreadDump(1, "M", True, True, (run,)),
        ThreadDump(2, "W", False, False, (wait,)),
        ThreadDump(3, "", True, False, ()),
    )
    taken = [pyspy.Snapshot(threads, 0.1, 0.3)] * 4
    ran, everyone = pyspy.seen(taken, idle=False), pyspy.seen(taken, idle=True)
    assert ({s.tid for s in ran.stacks}, {s.tid for s in everyone.stacks}) == ({1}, {1, 2})
    assert (ran.rounds, ran.errors, len(ran.stacks)) == (4, 0, 4)
    assert ran.cpu_s == pytest.approx(0.4)
    assert taken[0].frames == 2


@pytest.fixture
def busy() -> Iterator[int]:
    """A program that computes."""
    code = "print(1, flush=True)\nwhile True: sum(range(50))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.real
async def test_a_row_of_snapshots_ends_with_its_allowance(busy: int) -> None:
    """As many as the CPU seconds allow, the first counted, however long there is time; each shows the program's line."""
    first = await pyspy.dump(busy)
    few = await pyspy.dumps(busy, first, seconds=0.6, cpu_s=2.5 * first.cpu_s)
    assert 2 <= len(few) <= 3
    assert await pyspy.dumps(busy, first, seconds=0.6, cpu_s=0.0) == [first]
    assert pyspy.seen(few, idle=True).stacks[-1].frames
