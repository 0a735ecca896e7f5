"""One process as the sweep last saw it, and the descriptors kept open on stat lines and schedstats."""

from __future__ import annotations

import os
import resource
from typing import Any

STAT_BYTES = 1024  # a stat line has at most 52 numbers and a name of 64 bytes; usually 200 to 320 bytes
RAN_BYTES = 96  # a schedstat line has three numbers
NOT_COUNTED = b"0 0 0\n"
"""What schedstat says where the kernel does not count (and of a process that has never run)."""
HEADROOM = 512
"""Descriptors left for the rest of the agent."""
MOST_DESCRIPTORS = 65536


class Proc:
    """One process as the last reading of its stat line saw it. Sizes in pages, times in clock ticks."""

    __slots__ = (
        "burnt", "ccpu", "comm", "cpu", "cpu_mark", "dccpu", "dcpu", "detail", "fd", "io", "io_mark", "kernel", "majflt", "marks",
        "matched", "minflt", "owner", "pid", "ppid", "quiet", "ran", "raw", "restless", "rss", "session", "sizes", "start", "state",
        "summed", "threads", "told",
    )  # fmt: skip

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.fd = -1
        self.raw = self.comm = self.state = b""
        self.ran = b""  # its schedstat line while its descriptor stands on that instead of the stat line
        self.restless = False  # it runs now and then without moving its stat line
        self.start = -1
        self.ppid = self.session = self.threads = self.rss = self.quiet = 0
        self.cpu = self.ccpu = self.dcpu = self.dccpu = self.minflt = self.majflt = 0
        self.kernel = self.told = self.matched = False
        # What the choice of subjects remembers: CPU and I/O since its last turn, sizes of the last 40 s.
        self.burnt = self.cpu_mark = 0
        self.io = self.io_mark = -1
        self.marks: tuple[int, ...] = ()
        self.owner: Any = None  # the innermost Subject whose tree it is in
        self.detail: Any = None  # its Member, if it has series of its own
        self.sizes: tuple[int, int, int, int] | None = None  # anonymous, swapped, descriptors, and the size when they were read
        self.summed: tuple[int, ...] | None = None  # what it stands for in its owner's sums


class Descriptors:
    """Stat lines kept open, as many as the process may; the others are opened for each reading."""

    def __init__(self, proc: str) -> None:
        self.proc = proc
        self.kept = 0
        self.most = raise_limit() - HEADROOM

    @property
    def scarce(self) -> bool:
        """True when those that sleep should give theirs back."""
        return self.kept >= self.most * 0.9

    @property
    def plenty(self) -> bool:
        """True while those that sleep may have one too."""
        return self.kept < self.most // 2

    def open(self, p: Proc, keep: bool = True) -> bytes:
        """Open the stat line, keep it if wanted and there is room, and read it; OSError as the kernel gives it."""
        fd = os.open(f"{self.proc}/{p.pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            raw = os.pread(fd, STAT_BYTES, 0)
        except OSError:
            os.close(fd)
            raise
        if keep and self.kept < self.most:
            p.fd = fd
            self.kept += 1
        else:
            os.close(fd)
        return raw

    def watch(self, p: Proc) -> None:
        """Exchange the stat line of a quiet process of one thread for its shorter schedstat: while that does not move, the process
        has not run, and cannot have changed. Read before the stat line is compared once more, so that nothing falls between.
        """
        try:
            fd = os.open(f"{self.proc}/{p.pid}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # gone, or a kernel without it
            p.restless = True
            return
        try:
            ran = os.pread(fd, RAN_BYTES, 0)
            if ran != NOT_COUNTED and os.pread(p.fd, STAT_BYTES, 0) == p.raw:
                fd, p.fd, p.ran = p.fd, fd, ran
            else:
                p.restless = True
        except OSError:
            p.restless = True
        os.close(fd)

    def close(self, p: Proc) -> None:
        """Give the process's descriptor back, if it has one."""
        if p.fd >= 0:
            os.close(p.fd)
            p.fd, p.ran = -1, b""
            self.kept -= 1


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one (at most 65,536) and return what holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return most
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def is_thread(raw: bytes) -> bool:
    """True if the stat line is that of a thread that is not its process's leader: it sends no signal when it exits."""
    fields = raw.rsplit(None, 15)
    return len(fields) == 16 and fields[1] == b"-1"
