"""A clock that moves only when told to."""

from __future__ import annotations

import asyncio
import heapq
import itertools

SETTLE_TURNS = 20  # turns of the loop that let woken tasks run on to their next wait


class FakeClock:
    """Implements :class:`agent.host.clock.Clock`; ``advance`` wakes sleepers one by one, each at its own due time."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._start = self._now = now
        self._offset = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Unix seconds."""
        return self._now + self._offset

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._now - self._start

    @property
    def sleeping(self) -> int:
        """How many sleeps wait for time to pass."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until ``advance`` has gone that far; not positive: one turn of the loop."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass: every sleeper due until then wakes at its due time and runs on before the next one wakes."""
        target = self._now + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= target + 1e-9:
            due, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, due)
            if not future.done():
                future.set_result(None)
                await self.settle()
        self._now = target
        await self.settle()

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back, as NTP or a person does; monotonic time does not move."""
        self._offset += seconds

    async def settle(self) -> None:
        """Let every runnable task run until it waits for something."""
        for _ in range(SETTLE_TURNS):
            await asyncio.sleep(0)
