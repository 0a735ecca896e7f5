"""The clock, injected everywhere; tests bring a fake one."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for stamps, monotonic time for durations, and sleeping."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Sleep; at once if ``seconds`` is not positive."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep; at once if ``seconds`` is not positive."""
        await asyncio.sleep(max(0.0, seconds))


async def until(event: asyncio.Event, seconds: float, clock: Clock) -> None:
    """Wait for an event, at most so many seconds; at once if they are not positive."""
    if seconds <= 0 or event.is_set():
        return
    loop = asyncio.get_running_loop()
    waits = {loop.create_task(event.wait()), loop.create_task(clock.sleep(seconds))}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()
