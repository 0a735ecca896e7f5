"""What a thread waits for, read from the kernel's words."""

from __future__ import annotations

import os
import platform
import threading

import pytest

from agent.host.procstat import NoSuchProcess
from agent.host.threads import WaitKind, inner_ids, look, nested, parse_syscall, task_ids

x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="system call numbers of x86-64")


@x86
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"202 0x55e3ab0230e0 0x189 0x0 0x0 0x0 0xffffffff 0x7f 0x7f\n", (WaitKind.FUTEX, 0x55E3AB0230E0)),
        (b"202 0x7f2b3f74e6f4 0x89 0x0 0x7ffc6630c5c0 0x0 0xffffffff 0x7f 0x7f\n", (WaitKind.TIMED, 0x7F2B3F74E6F4)),
        (b"232 0x3 0x7f0008244450 0x2 0x32 0x0 0x0 0x7f 0x7f\n", (WaitKind.EPOLL, 0)),
        (b"230 0x1 0x1 0x7fff805f9530 0x0 0x0 0x0 0x7f 0x7f\n", (WaitKind.SLEEP, 0)),
        (b"43 0x3 0x0 0x0 0x0 0x0 0x0 0x7f 0x7f\n", (WaitKind.ACCEPT, 0)),
        (b"running\n", (WaitKind.NONE, 0)),
        (b"-1 0x7f 0x7f\n", (WaitKind.OTHER, 0)),
        (b"", (WaitKind.UNKNOWN, 0)),
    ],
)
def test_a_system_call_line_tells_kind_and_lock(line: bytes, expected: tuple[WaitKind, int]) -> None:
    """A lock shows its address; a time limit tells the interpreter lock's waiters; rights that lack are unknown."""
    assert parse_syscall(line) == expected


def test_our_own_waiting_thread_is_seen_in_a_futex() -> None:
    """A thread that waits for a lock is asleep in a futex."""
    lock = threading.Lock()
    lock.acquire()
    waiter = threading.Thread(target=lock.acquire)
    waiter.start()
    try:
        kinds = set()
        for _ in range(200):
            kinds = {seen.kind for seen in look(os.getpid(), [waiter.native_id or 0])}
            if kinds == {WaitKind.FUTEX}:
                break
    finally:
        lock.release()
        waiter.join()
    assert kinds == {WaitKind.FUTEX}


def test_threads_that_ended_are_left_out() -> None:
    """A look at a thread id that is gone brings nothing; a process that is gone is an error with its pid."""
    assert look(os.getpid(), [2**22 - 3]) == []
    with pytest.raises(NoSuchProcess):
        task_ids(2**22 - 3)


def test_our_own_ids_are_not_nested() -> None:
    """Outside a container a thread has one id."""
    assert not nested(os.getpid())
    assert inner_ids(os.getpid(), [os.getpid()]) == {os.getpid(): os.getpid()}
