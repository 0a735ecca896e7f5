"""What a thread is waiting for, from ``/proc/PID/task/TID/{stat,syscall,wchan}``: cheap enough to look many times a second.

``syscall`` gives the number and arguments of the call a sleeping thread is in; for a futex the address names the lock, so threads
that queue on one lock show one address. It needs the rights py-spy needs; without them the kinds are guessed from ``wchan``.
"""

from __future__ import annotations

import os
import platform
from enum import StrEnum
from typing import NamedTuple

from agent.host.procfs import read_once
from agent.host.procstat import NoSuchProcess, NotPermitted
from agent.host.text import clean


class WaitKind(StrEnum):
    """What kind of call a thread that is not on a CPU sits in."""

    NONE = "none"  # runs, or is runnable
    FUTEX = "futex"  # a lock, a condition, a semaphore, without time limit
    TIMED = "timed futex"  # the same with a time limit: waiters for the interpreter lock are here, 200 times a second
    EPOLL = "epoll"  # an event loop with nothing to do
    POLL = "poll"  # select, poll: a socket with a time limit
    SLEEP = "sleep"
    IO = "io"  # read, write, receive, send, connect, sync
    ACCEPT = "accept"  # a server with nothing to do
    CHILD = "child"  # waits for a process
    OTHER = "other"
    UNKNOWN = "unknown"  # may not be read


_X86 = {
    WaitKind.FUTEX: (202, 449),
    WaitKind.EPOLL: (232, 281, 441),
    WaitKind.POLL: (7, 271, 23, 270),
    WaitKind.SLEEP: (35, 230),
    WaitKind.IO: (0, 1, 17, 18, 19, 20, 42, 44, 45, 46, 47, 73, 74, 75, 299, 307, 2, 257, 16),
    WaitKind.ACCEPT: (43, 288),
    WaitKind.CHILD: (61, 247),
}
_ARM = {
    WaitKind.FUTEX: (98, 449),
    WaitKind.EPOLL: (22, 441),
    WaitKind.POLL: (73, 72),
    WaitKind.SLEEP: (101, 115),
    WaitKind.IO: (63, 64, 65, 66, 67, 68, 32, 82, 83, 203, 206, 207, 211, 212, 243, 269, 56, 29),
    WaitKind.ACCEPT: (202, 242),
    WaitKind.CHILD: (260, 95),
}
_TABLES = {"x86_64": _X86, "aarch64": _ARM}
_BY_NUMBER = {number: kind for kind, numbers in _TABLES.get(platform.machine(), {}).items() for number in numbers}
_BY_WCHAN = (
    ("futex", WaitKind.FUTEX),
    ("epoll", WaitKind.EPOLL),
    ("ep_poll", WaitKind.EPOLL),
    ("poll_schedule", WaitKind.POLL),
    ("nanosleep", WaitKind.SLEEP),
    ("do_wait", WaitKind.CHILD),
    ("pipe_read", WaitKind.IO),
    ("wait_for_packet", WaitKind.IO),
    ("sk_wait", WaitKind.IO),
)


class Look(NamedTuple):
    """One thread at one moment. ``address`` is the futex's, 0 where there is none; ``state`` the kernel's letter."""

    tid: int
    state: str
    wchan: str
    kind: WaitKind
    address: int = 0


def task_ids(pid: int, proc: str = "/proc") -> list[int]:
    """The thread ids now, ascending."""
    try:
        return sorted(map(int, os.listdir(f"{proc}/{pid}/task")))
    except (FileNotFoundError, ProcessLookupError):
        raise NoSuchProcess(pid) from None
    except PermissionError:
        raise NotPermitted(pid, "its list of threads") from None


def look(pid: int, tids: list[int], proc: str = "/proc") -> list[Look]:
    """One look at each of the threads; those that ended are left out."""
    found = []
    for tid in tids:
        base = f"{proc}/{pid}/task/{tid}"
        try:
            raw = read_once(f"{base}/stat", 1024)
        except OSError:
            continue
        state = raw[raw.rfind(b")") + 2 :][:1].decode("ascii", "replace") or "?"
        found.append(_asleep(tid, state, base) if state not in "RZX" else Look(tid, state, "", WaitKind.NONE))
    return found


def _asleep(tid: int, state: str, base: str) -> Look:
    wchan = clean(_quiet(f"{base}/wchan"), 64)
    kind, address = parse_syscall(_quiet(f"{base}/syscall"))
    if kind is WaitKind.UNKNOWN:
        kind = next((kind for word, kind in _BY_WCHAN if word in wchan), WaitKind.OTHER if len(wchan) > 1 else WaitKind.UNKNOWN)
    return Look(tid, state, wchan, kind, address)


def parse_syscall(raw: bytes) -> tuple[WaitKind, int]:
    """Kind and futex address from a ``syscall`` line: ``NUMBER ARG0 .. ARG5 SP PC``, ``-1 SP PC`` or ``running``."""
    words = raw.split()
    if not words:
        return WaitKind.UNKNOWN, 0
    if words[0] == b"running":
        return WaitKind.NONE, 0
    number = int(words[0])
    if not _BY_NUMBER:
        return WaitKind.UNKNOWN, 0
    kind = _BY_NUMBER.get(number, WaitKind.OTHER)
    if kind is not WaitKind.FUTEX or len(words) < 5:
        return kind, 0
    return (WaitKind.TIMED if int(words[4], 16) else WaitKind.FUTEX), int(words[1], 16)


def inner_ids(pid: int, tids: list[int], proc: str = "/proc") -> dict[int, int]:
    """The thread's id in the target's own pid namespace → its id here. py-spy reports the former."""
    found = {}
    for tid in tids:
        status = _quiet(f"{proc}/{pid}/task/{tid}/status")
        at = status.find(b"\nNSpid:")
        chain = status[at + 7 :].split(b"\n", 1)[0].split() if at >= 0 else []
        found[int(chain[-1]) if chain else tid] = tid
    return found


def nested(pid: int, proc: str = "/proc") -> bool:
    """True if the process lives in a pid namespace below ours (a container), where thread ids differ."""
    return inner_ids(pid, [pid], proc) != {pid: pid}


def _quiet(path: str) -> bytes:
    try:
        return read_once(path, 8192)
    except OSError:
        return b""
