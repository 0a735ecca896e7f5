"""The files of one process, read once: its stat line, and errors that tell a process that is gone from one that is closed to us."""

from __future__ import annotations

import functools
import os
from typing import NamedTuple

from agent.errors import AgentError
from agent.host.procfs import read_once

TICKS = os.sysconf("SC_CLK_TCK")
"""Clock ticks per second, the unit of times in stat files."""


class NoSuchProcess(AgentError):
    """The process is not there, or no longer there. Named by a person: a mistake in the call (exit 2)."""

    exit_code = 2

    def __init__(self, pid: int) -> None:
        super().__init__(f"there is no process {pid}", help="it may have ended; see `ps -p PID` and the events of its unit")
        self.pid = pid


class NotPermitted(AgentError):
    """The process belongs to someone else; nothing could be checked (exit 3)."""

    exit_code = 3

    def __init__(self, pid: int, what: str) -> None:
        super().__init__(
            f"process {pid}: {what} may not be read",
            help="run as the process's own user or as root, or give the agent CAP_SYS_PTRACE",
        )
        self.pid = pid


class Stat(NamedTuple):
    """The part of ``/proc/PID/stat`` that tells processes apart."""

    comm: bytes
    state: str
    ppid: int
    cpu_seconds: float
    threads: int
    start_ticks: int


@functools.cache
def boot_time(proc: str = "/proc") -> float:
    """When the host booted, Unix seconds; read once, so that start times do not move when the clock is set."""
    for line in read_once(f"{proc}/stat", 1 << 20).split(b"\n"):
        if line.startswith(b"btime "):
            return float(line[6:])
    return 0.0


def parse_stat(raw: bytes) -> Stat:
    """Parse a stat line; the name may hold anything, so fields count from the last parenthesis."""
    end = raw.rindex(b")")
    fields = raw[end + 2 :].split(None, 20)
    cpu = (int(fields[11]) + int(fields[12])) / TICKS
    return Stat(raw[raw.index(b"(") + 1 : end], fields[0].decode(), int(fields[1]), cpu, int(fields[17]), int(fields[19]))


def stat(pid: int, proc: str = "/proc") -> Stat:
    """The process's stat line; :class:`NoSuchProcess` if it is gone."""
    raw = read(pid, "stat", proc)
    try:
        return parse_stat(raw)
    except (ValueError, IndexError):
        raise NoSuchProcess(pid) from None


def read(pid: int, name: str, proc: str) -> bytes:
    """One file of a process, all of it."""
    try:
        return read_once(f"{proc}/{pid}/{name}")
    except (FileNotFoundError, ProcessLookupError):
        raise NoSuchProcess(pid) from None
    except PermissionError:
        raise NotPermitted(pid, name) from None


def optional(base: int | str, name: str, proc: str, limit: int = 65536) -> bytes:
    """One file of a process (or of ``PID/task/TID``), empty where it is gone, absent or closed to us."""
    try:
        return read_once(f"{proc}/{base}/{name}", limit)
    except OSError:
        return b""


def status_field(status: bytes, name: bytes) -> bytes | None:
    """The value of one line of a status file, None if it has no such line."""
    _, found, rest = (b"\n" + status).partition(b"\n" + name + b":")
    return rest.partition(b"\n")[0].lstrip(b" \t") if found else None
