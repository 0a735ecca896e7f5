"""The figures of one process that belongs to a subject: status, io, schedstat, descriptors. Never smaps."""

from __future__ import annotations

import functools
import os
import re

from agent.collectors._board import Board
from agent.collectors._proc import Proc
from agent.collectors._threads import ThreadSums
from agent.host.procfs import KeptFile, read_once
from agent.host.procstat import TICKS
from agent.model import Sample, Series, labels

PAGE = os.sysconf("SC_PAGE_SIZE")
BUSY_EVERY = 2
"""A member that burns time is looked at closely every so many ticks (what the stat line tells is there each tick); a pinned one
each tick."""
IDLE_EVERY = 4
"""The same for a member that moved without burning 10 ms."""
QUIET_EVERY = 10
"""A member whose stat line stands still is looked at closely every so many ticks only; it may still have been swapped out."""

FROM_NICE = 34
"""Fields of a stat line from the nice value (19th of 52) on; counted from the end, for a name may hold spaces and brackets."""
POLICY, SCHED_IDLE = 23, b"5"
"""The scheduling policy (41st field) among those, and its value for who runs only where nobody else wants to."""

_SIZES = re.compile(
    rb"\nRssAnon:\s*(\d+) kB\nRssFile:\s*(\d+) kB\nRssShmem:\s*(\d+) kB\n(?:.*\n)*?VmSwap:\s*(\d+) kB\n",
)
_SWITCHES = re.compile(rb"\nvoluntary_ctxt_switches:\s*(\d+)\nnonvoluntary_ctxt_switches:\s*(\d+)")
_IO = re.compile(rb"rchar: (\d+)\n(?:.*\n)*?read_bytes: (\d+)\nwrite_bytes: (\d+)")
_FILES = re.compile(rb"^Max open files\s+(\d+)", re.MULTILINE)


class Member:
    """One process with series of its own.

    Run-queue delay and switches are those of the leader thread, which is what the kernel gives for a process; a pinned process
    of at most 64 threads has them summed over its threads, never falling.
    """

    __slots__ = ("_back", "_base", "_due", "_files", "_fresh", "_kin", "_sums", "board", "keep_until", "p", "subject")

    def __init__(self, p: Proc, proc: str, boot: float) -> None:
        self.p = p
        self._base = base = f"{proc}/{p.pid}"
        self._files = {name: KeptFile(f"{base}/{name}", 2048) for name in ("status", "io", "schedstat")}
        self.board = Board(labels(pid=p.pid))
        self._kin = (-1, -1)
        self._sums = ThreadSums(base)
        self._fresh = True
        self._back = 0  # as last told
        self._due = True  # it moved after the last close look
        self.keep_until = 0.0
        self.subject = -1  # pid of the root that process_info tells
        self.board.put({"process_start_time_seconds": boot + p.start / TICKS} | _limit(base))

    def name(self, **told: str | int) -> None:
        """Set the labels of ``process_info``."""
        self.board.add(Sample(Series("process_info", labels(**told)), 1.0))

    def close(self) -> None:
        """Give the descriptors back."""
        for file in self._files.values():
            file.close()

    def wants(self, tick: int) -> bool:
        """Whether it is to be looked at although it has not moved."""
        return self._due or (tick + self.p.pid) % QUIET_EVERY == 0

    def look(self, moved: bool, pinned: bool, tick: int) -> None:
        """Read what is due: all of it if the process is busy or pinned, else now and then."""
        p = self.p
        fresh, self._fresh = self._fresh, False
        if moved or fresh:
            self._from_stat(p)
            self._due = True
        every = 1 if pinned else BUSY_EVERY if p.dcpu else IDLE_EVERY
        quiet_turn = (tick + p.pid) % QUIET_EVERY == 0 and not p.ran  # else it is known not to have run
        if fresh or ((self._due or pinned) and tick % every == p.pid % every) or quiet_turn:
            self._due = False
            self._from_files(pinned)

    def count_kin(self, children: int, zombies: int) -> None:
        """Take over how many children it has, and how many of them have ended."""
        if self._kin != (children, zombies):
            self._kin = (children, zombies)
            self.board.put({"process_children": children, "process_zombie_children": zombies})

    def _from_stat(self, p: Proc) -> None:
        self.board.put(
            {
                "process_cpu_seconds_total": p.cpu / TICKS,
                "process_resident_bytes": p.rss * PAGE,
                "process_threads": p.threads,
                "process_minor_faults_total": p.minflt,
                "process_major_faults_total": p.majflt,
                "process_blocked": float(p.state == b"D"),
                "process_stopped": float(p.state in b"Tt"),
            }
        )

    def _from_files(self, pinned: bool) -> None:
        values: dict[str, float] = {}
        status = self._read("status")
        anon, swapped, fds, _ = self.p.sizes or (0, 0, 0, 0)
        if status:
            sizes = _SIZES.search(status)  # a zombie has none
            anon, file, shared, swapped = (int(kb) * 1024 for kb in sizes.groups()) if sizes else (0, 0, 0, 0)
            values |= {"process_anonymous_bytes": anon, "process_file_bytes": file, "process_shared_bytes": shared}
            values["process_swap_bytes"] = swapped
        if switches := _SWITCHES.search(status):
            self._add_waits(int(switches[1]), int(switches[2]), pinned, values)
        if done := _IO.search(self._read("io")):
            values["process_read_chars_total"] = int(done[1])
            values["process_read_bytes_total"] = int(done[2])
            values["process_written_bytes_total"] = int(done[3])
        count = count_fds(self._base)
        if count is not None:
            values["process_open_fds"] = fds = count
        back = stands_back(self.p.raw)
        if back or self._back:
            values["process_nice"] = self._back = back
        self.p.sizes = (anon, swapped, fds, self.p.rss)
        if self.p.owner is not None:
            self.p.owner.count(self.p)
        self.board.put(values)

    def _add_waits(self, voluntary: int, involuntary: int, pinned: bool, values: dict[str, float]) -> None:
        parts = self._read("schedstat").split()
        self._sums.leader(int(parts[1]) if len(parts) > 1 else 0, voluntary, involuntary)
        if pinned:
            blocked = self._sums.all_threads(self.p.threads)
            values["process_blocked"] = float(blocked or self.p.state == b"D")
        values |= self._sums.values()

    def _read(self, name: str) -> bytes:
        """One file, or nothing where it is closed to us; the sweep tells when the process has ended."""
        file = self._files.get(name)
        if file is None:
            return b""
        try:
            return file.read()
        except PermissionError:
            del self._files[name]
        except OSError:
            pass
        return b""


def stands_back(stat: bytes) -> int:
    """How far the leader stands back for others: its nice value where above 0, 20 under SCHED_IDLE, else 0."""
    fields = stat.rsplit(None, FROM_NICE)
    try:
        return 20 if fields[POLICY] == SCHED_IDLE else max(0, int(fields[1]))
    except (IndexError, ValueError):
        return 0


def count_fds(base: str) -> int | None:
    """Open descriptors: the size of the fd directory (kernel 6.2 and later), else by listing it; None where it is closed to us."""
    try:
        if sizes_tell(base[: base.rindex("/")]):
            return os.stat(f"{base}/fd").st_size
        return len(os.listdir(f"{base}/fd"))
    except OSError:
        return None


@functools.cache
def sizes_tell(proc: str) -> bool:
    """True where the kernel gives the number of descriptors as the directory's size."""
    try:
        return os.stat(f"{proc}/self/fd").st_size > 0
    except OSError:
        return False


def memory_of(base: str) -> tuple[int, int]:
    """Anonymous and swapped bytes of a process without series of its own; OSError as the kernel gives it."""
    sizes = _SIZES.search(read_once(f"{base}/status"))
    return (int(sizes[1]) * 1024, int(sizes[4]) * 1024) if sizes else (0, 0)


def _limit(base: str) -> dict[str, float]:
    try:
        found = _FILES.search(read_once(f"{base}/limits"))
    except OSError:
        return {}
    return {"process_fd_limit": int(found[1])} if found else {}
