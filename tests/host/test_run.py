"""Other programs: deadlines, output, limits."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from agent.errors import Unavailable
from agent.host.run import run


async def test_a_program_gets_its_input_and_gives_its_output() -> None:
    """Bytes go in and come out whole."""
    done = await run(["cat"], input=b"x" * 200_000, timeout=10)
    assert (done.rc, len(done.out), done.timed_out) == (0, 200_000, False)


async def test_a_program_past_its_deadline_is_ended_with_its_children() -> None:
    """The whole session goes; what it had printed is kept."""
    done = await run(["sh", "-c", "echo here; sleep 60 & sleep 60"], timeout=0.3)
    assert done.timed_out
    assert done.out == b"here\n"
    assert done.rc == -signal.SIGTERM


async def test_too_much_output_is_cut_and_marked() -> None:
    """A flood does not fill our memory."""
    done = await run(["sh", "-c", "head -c 500000 /dev/zero"], timeout=10, max_output=1000)
    assert len(done.out) == 1000
    assert done.truncated


async def test_a_missing_program_is_unavailable_with_a_mend() -> None:
    """No traceback for a tool that is not installed."""
    with pytest.raises(Unavailable, match="install no-such-tool"):
        await run(["no-such-tool"], timeout=1)


async def test_memory_is_bounded() -> None:
    """A child that wants more than its limit fails, we do not."""
    done = await run([sys.executable, "-c", "import time; time.sleep(.3); bytearray(1 << 30)"], timeout=10, memory=256 << 20)
    assert done.rc == 1
    assert b"MemoryError" in done.err


async def test_cancelling_the_caller_ends_the_program() -> None:
    """Nobody is left behind when a diagnosis is abandoned."""
    task = asyncio.ensure_future(run(["sleep", "60"], timeout=60))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_program_whose_child_left_the_session_is_not_waited_for() -> None:
    """It keeps our pipe as long as it lives; what was said is kept, and the deadline holds."""
    done = await run(["sh", "-c", "setsid sleep 60 & echo $!; sleep 60"], timeout=0.3)
    assert done.timed_out
    os.kill(int(done.out), signal.SIGKILL)
