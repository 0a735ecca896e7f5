"""Work beside a block of code."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from agent.host import beside as room
from agent.host.beside import beside


async def test_work_beside_ends_with_the_block_and_its_failure_is_not_lost() -> None:
    """An error of the block itself goes first."""
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def broken() -> None:
        raise ZeroDivisionError("the work")

    async with beside(endless(), "endless"):
        await asyncio.sleep(0)
    assert ended.is_set()
    with pytest.raises(ZeroDivisionError, match="the work"):
        async with beside(broken(), "broken"):
            await asyncio.sleep(0)
    with pytest.raises(ValueError, match="the block"):
        async with beside(broken(), "broken"):
            raise ValueError("the block")


async def test_work_that_swallows_a_cancel_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A diagnosis must not hang at its end."""
    monkeypatch.setattr(room, "AGAIN_S", 0.01)
    cancelled: list[int] = []

    async def deaf() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            cancelled.append(1)
            if len(cancelled) == 2:
                return

    async with asyncio.timeout(10):
        async with beside(deaf(), "deaf"):
            await asyncio.sleep(0)
    assert len(cancelled) == 2
