"""Lanes: one thread each, deadlines, no pile-up."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest

from agent.host.lane import SLACK_S, Lane, Stalled


async def test_a_lane_gives_the_result_or_the_error_of_the_call() -> None:
    """What the call returns or raises reaches the awaiting side."""
    lane = Lane("t")
    assert await lane.run(lambda: 41 + 1, 1.0) == 42
    with pytest.raises(ZeroDivisionError):
        await lane.run(lambda: 1 // 0, 1.0)
    lane.close()


async def test_a_timeout_raised_by_the_call_itself_is_not_a_stall() -> None:
    """TimeoutError from inside the call is its own error."""

    def call() -> None:
        raise TimeoutError("own")

    lane = Lane("t")
    with pytest.raises(TimeoutError, match="own"):
        await lane.run(call, 1.0)
    lane.close()


async def test_a_hung_call_stalls_the_lane_until_it_comes_back() -> None:
    """Past the deadline the lane says so, refuses a second call, and works again after the first one ends."""
    release, lane = threading.Event(), Lane("t")
    with pytest.raises(Stalled):
        await lane.run(lambda: release.wait(10), 0.02)
    with pytest.raises(Stalled, match="has not come back"):
        await lane.run(lambda: 1, 1.0)
    release.set()
    while lane.stalled:
        pass
    assert await lane.run(lambda: 7, 1.0) == 7
    lane.close()


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancel_that_meets_the_result_is_not_lost(turns: int) -> None:
    """Whatever the order in which the answer and a cancel arrive, the awaiting task ends."""
    lane = Lane("t")

    async def work() -> None:
        await lane.run(lambda: 1, 5.0)
        await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    while lane.stalled:
        pass  # the answer is on its way to a loop that does not turn
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 2.0)
    lane.close()


async def test_what_fails_after_nobody_waits_any_more_is_no_noise() -> None:
    """A caller that was cancelled has gone; its call's error is not reported as one that was forgotten."""
    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context["message"]))
    go, lane = threading.Event(), Lane("late")

    def call() -> None:
        go.wait(10)
        raise OSError("too late")

    task = asyncio.ensure_future(lane.run(call, 5.0))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.wait([task])
    lane.close()
    go.set()
    while any(t.name == "lane-late" for t in threading.enumerate()):
        pass
    await asyncio.sleep(0.01)
    del task
    gc.collect()
    assert said == []


async def test_a_call_may_be_given_before_its_time() -> None:
    """The thread waits by itself; two that follow in a rhythm need no bell, and neither begins early."""
    lane, period = Lane("t"), 0.1
    began = time.monotonic()
    first = await lane.run_later(time.monotonic, 1.0, period, period)
    await asyncio.sleep(0.02)
    second = await lane.run_later(time.monotonic, 1.0, began + 2 * period - time.monotonic(), period)
    assert first >= began + period - SLACK_S
    assert second >= began + 2 * period - 2 * SLACK_S
    assert not lane.stalled
    lane.close()


async def test_a_call_that_is_wanted_sooner_than_expected_is_made_at_once() -> None:
    """The thread expects the next one in an hour, and hears of it all the same."""
    lane = Lane("t")
    assert await lane.run_later(lambda: 1, 1.0, 0.0, 3600.0) == 1
    await asyncio.sleep(0.05)  # it has gone to sleep
    assert await lane.run(lambda: 2, 5.0) == 2
    lane.close()


async def test_a_call_that_nobody_waits_for_any_more_is_not_made() -> None:
    """Before its time it can be taken back, and the lane is free for others."""
    lane, made = Lane("t"), list[int]()
    waiting = asyncio.ensure_future(lane.run_later(lambda: made.append(1), 1.0, 3600.0))
    await asyncio.sleep(0.01)
    assert lane.stalled
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await lane.run(lambda: 7, 5.0) == 7
    assert made == []
    lane.close()
