"""Blocking calls with a deadline each, on one daemon thread; a call that hangs keeps its thread, the others get a new one."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
LEAST_S = 0.05
"""So long at least, however late it is."""


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


Jobs = queue.SimpleQueue[Call[Any] | None]


class PatientThread:
    """Makes calls one after the other. Threads alive: one, and one for every call that hangs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: Jobs | None = None

    def calls(self, functions: Iterable[Callable[[], T]], seconds: float, until: float) -> list[Call[T]]:
        """Make the calls; look at ``done`` of what comes back. One that has not moved for so many seconds (or since ``until``, on
        the monotonic clock) is left, and the others are made on another thread. They are waited for together: going to and fro
        between two threads costs more than most calls.
        """
        calls = [Call(function) for function in functions]
        left = calls
        while left:
            if self._jobs is None:
                self._jobs = queue.SimpleQueue()
                threading.Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True).start()
            for call in left:
                self._jobs.put(call)
            left = self._wait(self._jobs, left, seconds, until)
        return calls

    def _wait(self, jobs: Jobs, calls: list[Call[T]], seconds: float, until: float) -> list[Call[T]]:
        """Until all are done; if one hangs, those behind it."""
        first: Call[T] | None = calls[0]
        while not calls[-1].wait(max(LEAST_S, min(seconds, until - time.monotonic()))):
            before, first = first, next((call for call in calls if not call.done), None)
            if first is before:
                break
        else:
            return []
        self._jobs = None
        behind = []
        with contextlib.suppress(queue.Empty):
            while (call := jobs.get_nowait()) is not None:
                behind.append(call)
        jobs.put(None)  # should the call come back one day, its thread ends
        return behind


def _work(jobs: Jobs) -> None:
    while (call := jobs.get()) is not None:
        call.work()
