"""What runs inside the target to collect its garbage once; sent as text like attach_payload, and must run on Python 3.9 to 3.13.

CPython runs finalisers on whichever thread allocates. A program with one thread may rely on that thread, so there the main thread
itself is asked, at a point where it would handle a signal; a program with several has to bear it anyway, and the collection runs
on the thread that was brought in. A program that switched its collector off had a reason, and is left alone.
"""

from __future__ import annotations

import _thread
import gc
import sys
import time
from typing import Any

THREAD_BOUND = ("_tkinter", "PyQt5", "PyQt6", "PySide2", "PySide6", "gi")
"""Their objects must end on the main thread, however many there are."""
PER_BLOCK_S = 3e-7
"""What a collection takes for each block of Python's heap, at most (measured: 0.03 to 0.24 microseconds)."""
BEGUN_S = 60.0


def collect(config: dict[str, Any], put: Any, stopped: Any, real_sleep: Any) -> None:
    """Collect once, or write down why not."""
    folder, stage = config["folder"], config["stage"]
    if stopped(folder):
        return
    put(folder, "done-1", {"token": config["token"], **found(stage, real_sleep())})


def found(stage: dict[str, Any], sleep: Any) -> dict[str, Any]:
    """How it went: ``refused`` with the reason, or what was found and how long the program stood still."""
    if not gc.isenabled() and not stage["though_off"]:
        return {"refused": "it has switched its collector off itself"}
    expected = sys.getallocatedblocks() * PER_BLOCK_S
    if expected > stage["pause"]:
        return {"refused": "it would stand still for up to %.1f s, %.1f are allowed" % (expected, stage["pause"])}  # noqa: UP031
    others = len(sys._current_frames()) - 1
    if others > 1 and not any(name in sys.modules for name in THREAD_BOUND):
        return {**once(), "by": "a thread of its own"}
    return by_main(stage["seconds"], sleep)


def once() -> dict[str, Any]:
    """One full collection."""
    began = time.perf_counter()
    unreachable = gc.collect()
    return {"unreachable": unreachable, "pause_s": round(time.perf_counter() - began, 4), "stuck": len(gc.garbage)}


def by_main(patience: float, sleep: Any) -> dict[str, Any]:
    """The main thread collects when it next comes by; given up in time, it finds that there is nothing left to do."""
    try:
        import ctypes
    except ImportError:
        return {"refused": "its only thread cannot be asked: it has no ctypes"}
    turn, done = _thread.allocate_lock(), {}

    def called(_: Any) -> int:
        if turn.acquire(False):
            try:
                done["told"] = once()
            except BaseException as error:  # whatever it is must not reach the program
                done["told"] = {"refused": repr(error)[:200]}
        return 0

    made = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(called)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))  # it may be called long after we have gone
    if ctypes.pythonapi.Py_AddPendingCall(made, None) != 0:
        return {"refused": "its only thread has too much to do already"}
    until = time.monotonic() + patience
    while "told" not in done:
        if time.monotonic() > until and turn.acquire(False):
            return {"refused": "its only thread did not come by in %g s: it waits in a system call or computes in C" % patience}  # noqa: UP031
        if time.monotonic() > until + BEGUN_S:
            return {"refused": "a finaliser does not end"}
        sleep(0.02)
    return {**done["told"], "by": "the main thread"}
