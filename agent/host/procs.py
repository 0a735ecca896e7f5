"""The door to one process: who it is, its threads, its tree, whether it is still the same one.

Everything here is asked rarely (once per process, or by a diagnosis). Files that take the target's memory-map lock (cmdline,
environ, maps) are left alone while the target is in uninterruptible sleep: reading them could hang with it.
"""

from __future__ import annotations

import functools
import os
import re
from typing import NamedTuple

from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.placement import environment, place
from agent.host.procfs import read_once
from agent.host.procstat import TICKS, NoSuchProcess, NotPermitted, boot_time, optional, parse_stat, read, stat, status_field
from agent.host.text import clean

__all__ = [
    "Identity",
    "NoSuchProcess",
    "NotPermitted",
    "Thread",
    "boot_time",
    "identity",
    "python_minor",
    "start_time",
    "state",
    "still",
    "threads",
    "tracer",
    "tree",
    "user_name",
]

SAME_START_S = 0.5
"""Two start times this close are one process; the kernel counts them in hundredths of a second since boot."""

_PYTHON_EXE = re.compile(rb"(?:^|/)python(3\.\d+t?)(?:[^/]*)$")
_PYTHON_MAPPED = re.compile(rb"/libpython(3\.\d+t?)[^/\n]*\.so|/lib/python(3\.\d+t?)/")
_MAPS_LIMIT = 4 << 20


@dataclass(frozen=True)
class Identity:
    """Who a process is. ``start_time`` in Unix seconds; text is cleaned; None or "" where it cannot be told."""

    pid: int
    start_time: float
    comm: str
    cmdline: str
    exe: str
    uid: int
    user: str
    ppid: int
    cgroup: str
    unit: str | None
    container: str | None
    job: str | None
    python: str | None
    pod: str | None = None


class Thread(NamedTuple):
    """One thread at one moment. ``cpu_seconds`` and ``run_delay`` (waiting for a CPU) are sums since its start, in seconds."""

    tid: int
    name: str
    state: str
    cpu_seconds: float
    run_delay: float
    voluntary: int
    involuntary: int


def start_time(pid: int, proc: str = "/proc") -> float:
    """Unix seconds; with the pid it names a process for good."""
    return boot_time(proc) + stat(pid, proc).start_ticks / TICKS


def still(pid: int, start: float, proc: str = "/proc") -> bool:
    """True while the process that began at ``start`` (Unix seconds) is there and not a zombie; a reused pid is another process."""
    try:
        now = stat(pid, proc)
    except AgentError:
        return False
    return now.state not in "ZX" and abs(boot_time(proc) + now.start_ticks / TICKS - start) < SAME_START_S


def state(pid: int, proc: str = "/proc") -> str:
    """The kernel's letter: R running, S sleeping, D blocked, T stopped, t traced, Z zombie, I idle kernel thread."""
    return stat(pid, proc).state


def tracer(pid: int, proc: str = "/proc") -> int:
    """The pid of the debugger that is attached, or 0."""
    return int(status_field(read(pid, "status", proc), b"TracerPid") or 0)


def kernel_thread(pid: int, proc: str = "/proc") -> bool:
    """True for a thread of the kernel itself (PF_KTHREAD in the flags of its stat line): it runs no program."""
    raw = read(pid, "stat", proc)
    return bool(int(raw[raw.rindex(b")") + 2 :].split(None, 8)[6]) & 0x0020_0000)


def identity(pid: int, proc: str = "/proc") -> Identity:
    """Who the process is; :class:`NoSuchProcess` if it is gone or its pid was taken over meanwhile."""
    first = stat(pid, proc)
    uid = int((status_field(read(pid, "status", proc), b"Uid") or b"-1").split()[0])
    calm = first.state != "D"
    cmdline = optional(pid, "cmdline", proc, 8192) if calm else b""
    variables = environment(optional(pid, "environ", proc)) if calm else {}
    where = place(optional(pid, "cgroup", proc), variables)
    exe = _exe(pid, proc)
    python = _python(pid, exe, proc, calm=calm)
    if stat(pid, proc).start_ticks != first.start_ticks:
        raise NoSuchProcess(pid)
    return Identity(
        pid=pid,
        start_time=boot_time(proc) + first.start_ticks / TICKS,
        comm=clean(first.comm, 64),
        cmdline=clean(cmdline.rstrip(b"\0").replace(b"\0", b" "), 1024),
        exe=clean(exe, 1024),
        uid=uid,
        user=user_name(uid),
        ppid=first.ppid,
        cgroup=where.cgroup,
        unit=where.unit,
        container=where.container,
        job=where.job,
        python=python,
        pod=where.pod,
    )


def python_minor(pid: int, proc: str = "/proc") -> str | None:
    """The Python it runs, such as ``3.11``, from its executable's name or mapped libraries; None if it is not Python.

    :class:`NotPermitted` where another user's process may not be looked at.
    """
    now = stat(pid, proc)
    try:
        exe = os.readlink(f"{proc}/{pid}/exe").encode("utf-8", "surrogateescape")
    except PermissionError:
        raise NotPermitted(pid, "its executable and memory map") from None
    except OSError:
        return None
    return _python(pid, exe, proc, calm=now.state != "D")


def tree(pid: int, proc: str = "/proc") -> tuple[int, ...]:
    """The process itself first, then all its descendants, nearest first; :class:`NoSuchProcess` if it is gone."""
    stat(pid, proc)
    children: dict[int, list[int]] = {}
    for name in os.listdir(proc):
        if name.isdigit():
            try:
                children.setdefault(stat(int(name), proc).ppid, []).append(int(name))
            except AgentError:
                continue
    found = [pid]
    for member in found:
        found.extend(sorted(children.get(member, ())))
    return tuple(found)


def threads(pid: int, proc: str = "/proc") -> list[Thread]:
    """All threads now, the leader first; one that ends meanwhile is left out."""
    try:
        tids = sorted(map(int, os.listdir(f"{proc}/{pid}/task")))
    except (FileNotFoundError, ProcessLookupError):
        raise NoSuchProcess(pid) from None
    except PermissionError:
        raise NotPermitted(pid, "its list of threads") from None
    found = [_thread(pid, tid, proc) for tid in tids]
    return [thread for thread in found if thread is not None]


def user_name(uid: int) -> str:
    """The name from /etc/passwd, else the number. Name services are not asked: they may hang."""
    return _users().get(uid, str(uid))


@functools.cache
def _users() -> dict[int, str]:
    names: dict[int, str] = {}
    try:
        text = read_once("/etc/passwd", 1 << 20)
    except OSError:
        return names
    for line in text.split(b"\n"):
        parts = line.split(b":")
        if len(parts) > 2 and parts[2].isdigit():
            names.setdefault(int(parts[2]), clean(parts[0], 64))
    return names


def _thread(pid: int, tid: int, proc: str) -> Thread | None:
    base = f"{pid}/task/{tid}"
    try:
        now = parse_stat(read_once(f"{proc}/{base}/stat"))
        status = read_once(f"{proc}/{base}/status")
    except (OSError, ValueError, IndexError):
        return None
    ran, waited, *_ = (*optional(base, "schedstat", proc).split(), b"0", b"0")
    return Thread(
        tid=tid,
        name=clean(now.comm, 64),
        state=now.state,
        cpu_seconds=int(ran) / 1e9 or now.cpu_seconds,
        run_delay=int(waited) / 1e9,
        voluntary=int(status_field(status, b"voluntary_ctxt_switches") or 0),
        involuntary=int(status_field(status, b"nonvoluntary_ctxt_switches") or 0),
    )


def _exe(pid: int, proc: str) -> bytes:
    try:
        return os.readlink(os.fsencode(f"{proc}/{pid}/exe"))
    except OSError:
        return b""


def _python(pid: int, exe: bytes, proc: str, *, calm: bool) -> str | None:
    if named := _PYTHON_EXE.search(exe.removesuffix(b" (deleted)")):
        return named[1].decode()
    if not calm:  # reading the map could hang with it
        return None
    mapped = _PYTHON_MAPPED.search(optional(pid, "maps", proc, _MAPS_LIMIT))
    return (mapped[1] or mapped[2]).decode() if mapped else None
