"""Work beside a block of code: it ends with the block, and its failure is not lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

AGAIN_S = 1.0


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run ``work`` until the block is left. What it raised comes out there, unless the block itself failed."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    try:
        yield
    except BaseException:
        await _ended(task)
        raise
    await _ended(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancelled again and again: libraries have been known to swallow a cancel that meets an answer."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN_S)
