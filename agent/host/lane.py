"""One daemon thread per lane: a call that hangs stalls its lane, never the agent, its exit or its neighbours."""

from __future__ import annotations

import asyncio
import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from agent.errors import AgentError

T = TypeVar("T")
SLACK_S = 0.001
"""A call so soon before its time is in time: two clocks' roundings must not make the thread sleep once more."""


class Stalled(AgentError):
    """The lane's last call has not come back; no second call is piled on it."""


class Runner(Protocol):
    """Runs blocking code with a deadline."""

    @property
    def stalled(self) -> bool:
        """True while a call is still out: another would not be begun."""
        ...

    async def run(self, call: Callable[[], T], timeout: float) -> T:
        """The call's result; :class:`Stalled` past ``timeout`` seconds or while an earlier call still hangs."""
        ...


class _Job(NamedTuple):
    """A call to be made, not before ``when`` (``time.monotonic``); the next one is expected at ``following``."""

    when: float
    following: float
    call: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Lane:
    """A daemon thread that runs one blocking call at a time.

    A call may be given before its time: the thread waits by itself then. Where it also knows when the next one is due, it wakes at
    that time, not when it is given the call: a loop with such a rhythm neither wakes for its beginning nor has to wake the thread.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: list[_Job] = []  # one at most; whoever takes it out, it is theirs
        self._bell: queue.SimpleQueue[bool] = queue.SimpleQueue()  # True: look for a job; False: the end
        self._following = math.inf
        self._wakes = math.inf  # written before the thread looks for a job: who puts one there first, or reads this, is safe
        self._busy = False
        self._thread: threading.Thread | None = None
        self._last: Callable[[], None] | None = None

    @property
    def stalled(self) -> bool:
        """True while a call is still out."""
        return self._busy

    async def run(self, call: Callable[[], T], timeout: float) -> T:
        """The call's result; :class:`Stalled` past ``timeout`` seconds or while an earlier call still hangs."""
        return await self.run_later(call, timeout)

    async def run_later(self, call: Callable[[], T], timeout: float, after: float = 0.0, every: float = math.inf) -> T:
        """The same, made in ``after`` seconds. ``every``: so many seconds later the thread looks for the next call by itself."""
        if self._busy:
            raise Stalled(f"{self.name}: the last call has not come back")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"lane-{self.name}", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        when = time.monotonic() + after
        job = _Job(when, when + every, call, loop, future)
        try:
            # not wait_for: before Python 3.12 it swallows a cancel that arrives together with the result
            async with asyncio.timeout(max(0.0, after) + timeout):
                # put last: the thread wakes at once, and would wait for whatever this one still does
                self._busy = True
                self._jobs.append(job)
                if self._wakes > when + SLACK_S:
                    self._bell.put(True)
                return await future
        except TimeoutError:
            if not future.cancelled():  # the answer came at the same moment, or the call itself raised TimeoutError
                return future.result()
            raise Stalled(f"{self.name}: no answer within {timeout:g} s") from None
        except asyncio.CancelledError:
            self._withdraw()
            raise

    def _withdraw(self) -> None:
        """A call that waits for its time need not be made any more."""
        with contextlib.suppress(IndexError):
            if self._jobs[0].when > time.monotonic():
                self._jobs.pop()
                self._busy = False
                self._bell.put(True)

    def close(self, last: Callable[[], None] | None = None) -> None:
        """Let the thread end after its current call, with ``last`` as its very last one; it is never waited for."""
        self._last = last
        self._bell.put(False)
        if self._thread is None and last is not None:
            last()

    def _work(self) -> None:
        self._serve()
        if self._last is not None:
            with contextlib.suppress(Exception):  # nobody is left to be told
                self._last()

    def _take(self) -> _Job | None:
        """The next call, once its time has come; None at the end."""
        while True:
            self._wakes = self._following
            now, job = time.monotonic(), next(iter(self._jobs), None)
            when = self._following if job is None else job.when
            if when <= now + SLACK_S:
                self._following = math.inf
                with contextlib.suppress(IndexError):  # it was withdrawn just now
                    if job is not None:
                        return self._jobs.pop()
                continue
            with contextlib.suppress(queue.Empty):
                if not self._bell.get(timeout=None if when == math.inf else when - now):
                    return None

    def _serve(self) -> None:
        while (job := self._take()) is not None:
            _, self._following, call, loop, future = job
            result: Any = None
            error: BaseException | None = None
            try:
                result = call()
            except BaseException as caught:  # handed to the awaiting side, whatever it is
                error = caught
            self._busy = False
            try:
                loop.call_soon_threadsafe(_settle, future, result, error)
            except RuntimeError:  # the loop is closed; nobody waits any more
                return


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):
        future.set_exception(RuntimeError(str(error)))
    else:
        future.set_exception(error)


async def once(name: str, call: Callable[[], T], timeout: float) -> T:
    """Run one blocking call on a thread of its own; :class:`Stalled` past ``timeout`` seconds."""
    lane = Lane(name)
    try:
        return await lane.run(call, timeout)
    finally:
        lane.close()


class InlineLane:
    """Runs the call at once, on the caller's thread: for tests on the fake clock and for one-shot commands."""

    stalled = False

    async def run(self, call: Callable[[], T], timeout: float) -> T:
        """The call's result; ``timeout`` is not enforced."""
        return call()


async def aside(call: Callable[[], T], timeout: float = 60.0) -> T:
    """One blocking call on a thread of its own, for rare calls that nobody waits for in a hurry."""
    return await once("aside", call, timeout)
