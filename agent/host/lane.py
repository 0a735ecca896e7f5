"""One daemon thread per lane: a call that hangs stalls its lane, never the agent, its exit or its neighbours."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from agent.errors import AgentError

T = TypeVar("T")


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


class Lane:
    """A daemon thread that runs one blocking call at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.AbstractEventLoop, asyncio.Future[Any]] | None]
        self._jobs = queue.SimpleQueue()
        self._busy = False
        self._thread: threading.Thread | None = None
        self._last: Callable[[], None] | None = None

    @property
    def stalled(self) -> bool:
        """True while a call is still out."""
        return self._busy

    async def run(self, call: Callable[[], T], timeout: float) -> T:
        """The call's result; :class:`Stalled` past ``timeout`` seconds or while an earlier call still hangs."""
        if self._busy:
            raise Stalled(f"{self.name}: the last call has not come back")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"lane-{self.name}", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        try:
            # not wait_for: before Python 3.12 it swallows a cancel that arrives together with the result
            async with asyncio.timeout(timeout):
                # put last: the thread wakes at once, and would wait for whatever this one still does
                self._busy = True
                self._jobs.put((call, loop, future))
                return await future
        except TimeoutError:
            if not future.cancelled():  # the answer came at the same moment, or the call itself raised TimeoutError
                return future.result()
            raise Stalled(f"{self.name}: no answer within {timeout:g} s") from None

    def close(self, last: Callable[[], None] | None = None) -> None:
        """Let the thread end after its current call, with ``last`` as its very last one; it is never waited for."""
        self._last = last
        self._jobs.put(None)
        if self._thread is None and last is not None:
            last()

    def _work(self) -> None:
        self._serve()
        if self._last is not None:
            with contextlib.suppress(Exception):  # nobody is left to be told
                self._last()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            call, loop, future = job
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
