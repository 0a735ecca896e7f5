"""The receiver of a drill: what is delivered to it, and what counts."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from agent.alerts.model import Address
from agent.alerts.senders import Senders
from agent.drill.postbox import about, postbox
from tests.alerts.test_senders import told
from tests.alerts.worlds import receiver


@pytest.fixture
def stranger() -> Iterator[int]:
    """The pid of a process in a session of its own."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process.pid
        process.kill()


async def send(url: str, **more: Any) -> None:
    """An alert is delivered as the agent does it."""
    outcome = await Senders(env={}).send(Address("r", receiver("r", url=url)), told(**more))
    assert outcome.ending == "done"


async def test_the_expected_cause_on_the_target_is_waited_for() -> None:
    """Other causes, and ends, are not what is waited for."""
    async with postbox() as (box, url):
        waiting = asyncio.ensure_future(box.wait(("memory.python-leak",), None, 20))
        await send(url, cause="memory.other")
        await send(url, status="resolved", closed=1.0)
        assert not waiting.done()
        await send(url)
        found = await waiting
    assert found is not None
    assert (found.culprit, found.command) == ("/srv/app.py:42 in remember 93%", "anfl-agent incidents show 7")


async def test_another_cause_that_counts_as_right_is_the_expected_one_too() -> None:
    """A fault may have two right names, and the agent tells of one."""
    async with postbox() as (box, url):
        waiting = asyncio.ensure_future(box.wait(("latency.disk-io", "memory.other"), None, 20))
        await send(url)
        assert not waiting.done()
        await send(url, cause="memory.other")
        found = await waiting
    assert found is not None
    assert found.cause == "memory.other"


async def test_anything_that_is_told_can_be_waited_for() -> None:
    """Of a healthy workload nothing may be told."""
    async with postbox() as (box, url):
        await send(url, status="resolved", closed=1.0)
        assert await box.wait((), None, 0.1) is None
        await send(url, cause="memory.other")
        found = await box.wait((), None, 20)
    assert found is not None
    assert found.cause == "memory.other"


async def test_one_that_never_comes_is_none() -> None:
    """And nonsense is no message."""
    async with postbox() as (box, url):
        port = int(url.split(":")[2].rstrip("/"))
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]")
        await writer.drain()
        assert await box.wait(("memory.python-leak",), None, 0.1) is None
        writer.close()


def test_a_process_of_another_session_is_somebody_else(stranger: int) -> None:
    """The host's trouble is everybody's; in a container even pid 1 may share the target's session."""
    assert about(None, 1)
    assert about(os.getpid(), os.getpid())
    assert not about(stranger, os.getpid())
    assert not about(2**22 + 1, os.getpid())
