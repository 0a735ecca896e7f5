"""The fake clock keeps its promises."""

from __future__ import annotations

import asyncio

from tests.fakes.clock import FakeClock


async def test_sleepers_wake_in_order_and_at_their_due_time() -> None:
    """Each sleeper sees its own due time, however far the clock is advanced at once."""
    clock = FakeClock(now=100.0)
    woke: list[tuple[str, float]] = []

    async def nap(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woke.append((name, clock.now()))

    async with asyncio.TaskGroup() as group:
        group.create_task(nap("late", 3.0))
        group.create_task(nap("early", 1.0))
        await clock.advance(10.0)
    assert woke == [("early", 101.0), ("late", 103.0)]
    assert clock.now() == 110.0


async def test_a_loop_of_sleeps_runs_through_one_advance() -> None:
    """A periodic task runs as often as its period fits into the advance."""
    clock = FakeClock()
    ticks = 0

    async def beat() -> None:
        nonlocal ticks
        while True:
            await clock.sleep(1.0)
            ticks += 1

    async with asyncio.TaskGroup() as group:
        task = group.create_task(beat())
        await clock.advance(60.0)
        assert (ticks, clock.sleeping) == (60, 1)
        task.cancel()


def test_a_clock_step_moves_only_the_wall_clock() -> None:
    """Durations are not fooled by a stepped wall clock."""
    clock = FakeClock(now=50.0)
    clock.step(-20.0)
    assert (clock.now(), clock.monotonic()) == (30.0, 0.0)
