"""Files under /proc and /sys that are read again and again: the descriptor is kept, a read is one system call."""

from __future__ import annotations

import os

PART = 2048
"""A kernel file of many records (diskstats, net/dev) hands out whole records up to one page a read, whatever the buffer; a
shorter answer than this is taken as all of it (a record of 2 KiB would be needed to hide another)."""


class KeptFile:
    """A small kernel file kept open. Reading is one ``pread``; a larger file than ``size`` grows the buffer and is read again,
    one of several pages is read to its end.

    Kept descriptors cost about 4 KiB of kernel memory each and answer ESRCH once their process has ended, even if its pid is
    taken again (reference: measured on 6.18). Close what is no longer needed.
    """

    __slots__ = ("_fd", "_size", "path")

    def __init__(self, path: str, size: int = 4096) -> None:
        self.path = path
        self._size = size
        self._fd = -1

    def read(self) -> bytes:
        """The whole file; OSError as the kernel gives it."""
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        data = os.pread(self._fd, self._size, 0)
        while len(data) == self._size:
            self._size *= 2
            data = os.pread(self._fd, self._size, 0)
        return data if len(data) < PART else data + self._rest(len(data))

    def _rest(self, offset: int) -> bytes:
        parts = []
        while part := os.pread(self._fd, self._size, offset):
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Give the descriptor back; a later read opens it anew."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()


def read_once(path: str, limit: int = 65536) -> bytes:
    """A file that is rarely read, at most ``limit`` bytes; OSError as the kernel gives it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while limit > 0 and (part := os.read(fd, limit)):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)
    finally:
        os.close(fd)
