r"""Doors to the kernel log: /dev/kmsg, or a private file that stands for it. Neither ever waits.

/dev/kmsg hands out one record a read, oldest first, and after an overwrite EPIPE and then the oldest that is left; the records'
own numbers tell how many were lost. Text is handed on as it is: what it means is judged elsewhere.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator

from agent.errors import Unavailable

DEVICE = "/dev/kmsg"
RECORD_BYTES = 16_384
"""A record with its dictionary is at most 8 KiB (CONSOLE_EXT_LOG_MAX); a smaller buffer than a record would be EINVAL."""
CHUNK_BYTES = 262_144
LINE_BYTES = 65_536
"""A line of a private file that is longer is cut there."""
NUMBER = os.makedev(1, 11)
"""What /dev/kmsg is by number, whatever lies at its path (systemd hides it from units)."""
STDIN = 0
_GIVE = "run as root, or have it opened for the agent: the unit's StandardInput=file:/dev/kmsg, or < /dev/kmsg in a root shell"
_MENDS = {
    errno.EACCES: _GIVE,
    errno.EPERM: f"{_GIVE} (kernel.dmesg_restrict is on)",
    errno.ENOENT: "containers have none unless it is passed in",
}


class Door:
    """What both doors share: ``lost`` counts records that were overwritten before they were read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lost = 0
        self._fd = -1

    def close(self) -> None:
        """Give the descriptor back; the next read opens anew."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()

    def _open(self) -> int:
        if self._fd < 0:
            try:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                mend = _MENDS.get(error.errno or 0, "")
                raise Unavailable(f"{self.path} cannot be read: {error.strerror}", help=mend) from None
        return self._fd


class Given:
    """/dev/kmsg as standard input. The kernel asks who may read its log when it is opened, so systemd or a root shell can open it
    for an agent without that right. It is taken from there for good: programs that the agent starts must not have it."""

    def __init__(self, fd: int = STDIN, number: int = NUMBER) -> None:
        self._fd = fd
        self._number = number
        self._taken = -1

    def take(self) -> int:
        """A descriptor of it, at the oldest record; -1 where standard input is something else."""
        if self._taken < 0:
            if not self._there():
                return -1
            self._taken = fcntl.fcntl(self._fd, fcntl.F_DUPFD_CLOEXEC, STDIN + 3)
            os.set_blocking(self._taken, False)
            nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            os.dup2(nothing, self._fd)
            os.close(nothing)
        os.lseek(self._taken, 0, os.SEEK_SET)
        return os.dup(self._taken)

    def _there(self) -> bool:
        try:
            about, how = os.fstat(self._fd), fcntl.fcntl(self._fd, fcntl.F_GETFL)
        except OSError:
            return False
        return stat.S_ISCHR(about.st_mode) and about.st_rdev == self._number and how & os.O_ACCMODE != os.O_WRONLY


_given = Given()


class Device(Door):
    """/dev/kmsg from the oldest record on. ``read`` is the seam for tests: one record a call."""

    def __init__(self, path: str = DEVICE, read: Callable[[int, int], bytes] = os.read) -> None:
        super().__init__(path)
        self._read = read
        self._next: int | None = None

    def _open(self) -> int:
        if self._fd < 0 and self.path == DEVICE:
            self._fd = _given.take()
        return super()._open()

    def records(self, most: int) -> Iterator[list[str]]:
        """At most ``most`` records, each as its lines, the text first; Unavailable where the log may not be read."""
        fd = self._open()
        for _ in range(most):
            try:
                raw = self._read(fd, RECORD_BYTES)
            except BlockingIOError:
                return
            except BrokenPipeError:  # overwritten meanwhile; the gap in the numbers says how many
                continue
            except OSError as error:
                raise Unavailable(f"{self.path} cannot be read: {error.strerror}", help=_MENDS.get(error.errno or 0, "")) from None
            if not raw:
                return
            self._count(raw)
            yield raw.decode("utf-8", "replace").rstrip("\n").split("\n")

    def _count(self, raw: bytes) -> None:
        number = raw.split(b",", 2)[1] if raw.count(b",", 0, 48) >= 2 else b""
        if number.isdigit():
            seq = int(number)
            if self._next is not None and seq > self._next:
                self.lost += seq - self._next
            self._next = seq + 1


class File(Door):
    """A private file (or FIFO) of kernel-log text, as drills and other readers of the log write it: from its beginning, then
    what is added. A line is handed out once it is whole; a file cut short is read from its beginning again."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._rest = b""
        self._at = 0

    def lines(self, most: int) -> list[str]:
        """At most about ``most`` bytes of whole lines; Unavailable where there is no such file."""
        fd = self._open()
        self._begin_again(fd)
        parts = [self._rest]
        size = 0
        while size < most:
            try:
                part = os.read(fd, min(CHUNK_BYTES, most - size))
            except BlockingIOError:
                break
            if not part:
                break
            parts.append(part)
            size += len(part)
        self._at += size
        whole, _, self._rest = b"".join(parts).rpartition(b"\n")
        if len(self._rest) > LINE_BYTES:
            whole, self._rest = whole + b"\n" + self._rest[:LINE_BYTES], b""
        return whole.decode("utf-8", "replace").split("\n") if whole else []

    def _begin_again(self, fd: int) -> None:
        known = os.fstat(fd)
        if stat.S_ISREG(known.st_mode) and known.st_size < self._at:
            os.lseek(fd, 0, os.SEEK_SET)
            self._at, self._rest = 0, b""
