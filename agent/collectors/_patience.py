"""Blocking calls with a deadline each, on one daemon thread; a call that hangs keeps its thread, the others get a new one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Call(Generic[T]):
    """One call and, once ``done``, what came of it."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._ended = threading.Event()
        self._result: tuple[T] | tuple[()] = ()
        self._error: Exception | None = None

    @property
    def done(self) -> bool:
        """True once the call has come back."""
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the call to come back; False if it did not."""
        return self._ended.wait(seconds)

    def result(self) -> T:
        """What the call returned; raises what it raised, and TimeoutError while it is still out."""
        if self._error is not None:
            raise self._error
        if not self._result:
            raise TimeoutError
        return self._result[0]

    def work(self) -> None:
        """On the thread: make the call."""
        try:
            self._result = (self._function(),)
        except Exception as error:  # handed to whoever asks for the result
            self._error = error
        self._ended.set()


class PatientThread:
    """Makes calls one after the other. Threads alive: one, and one for every call that hangs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Call[Any] | None] | None = None

    def call(self, function: Callable[[], T], seconds: float) -> Call[T]:
        """Make the call and wait at most so long; look at ``done`` of what comes back."""
        if self._jobs is None:
            self._jobs = queue.SimpleQueue()
            threading.Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True).start()
        call = Call(function)
        self._jobs.put(call)
        if not call.wait(seconds):
            self._jobs.put(None)  # should the call come back one day, its thread ends
            self._jobs = None
        return call


def _work(jobs: queue.SimpleQueue[Call[Any] | None]) -> None:
    while (call := jobs.get()) is not None:
        call.work()
