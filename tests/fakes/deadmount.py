"""A FUSE file system that takes requests and never answers: whoever looks into it sleeps as with a hung driver, in state D.

It speaks the kernel's protocol itself, so it needs no library; it needs root and a mount namespace of its own, or everybody on the
host would see it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
import threading
from pathlib import Path

INIT, INTERRUPT = 26, 36
_IN = struct.Struct("<IIQQIIII")
_OUT = struct.Struct("<IiQ")
MS_NOSUID, MS_NODEV = 2, 4
MNT_DETACH = 2


class DeadMount:
    """Mounted on a folder; ``answer`` ends its silence: every request then fails with ENOENT."""

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.folder = folder
        self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._fd},rootmode=40000,user_id=0,group_id=0".encode()
        if self._libc.mount(b"dead", os.fsencode(folder), b"fuse", MS_NOSUID | MS_NODEV, options):
            raise OSError(ctypes.get_errno(), "mount")
        self._lock = threading.Lock()
        self._waiting: list[int] = []
        self._dead = True
        self._over = False
        threading.Thread(target=self._serve, daemon=True).start()

    def answer(self) -> None:
        """The driver has recovered: answer what waits, and all that comes."""
        with self._lock:
            self._dead = False
            waiting, self._waiting = self._waiting, []
        for unique in waiting:
            self._reply(unique, -errno.ENOENT)

    def fall_silent(self) -> None:
        """From now on nothing is answered any more."""
        with self._lock:
            self._dead = True

    def close(self) -> None:
        """Answer and unmount."""
        self.answer()
        self._over = True
        self._libc.umount2(os.fsencode(self.folder), MNT_DETACH)

    def _serve(self) -> None:
        while not self._over:
            if not select.select([self._fd], [], [], 0.1)[0]:
                continue
            try:
                request = os.read(self._fd, 1 << 18)
            except OSError:
                return
            _, opcode, unique, *_ = _IN.unpack_from(request)
            if opcode == INIT:
                self._reply(unique, 0, struct.pack("<IIIIHHIIHH8I", 7, 31, 65536, 0, 12, 9, 65536, 1, 32, 0, *[0] * 8))
            elif opcode != INTERRUPT:
                self._take(unique)

    def _take(self, unique: int) -> None:
        with self._lock:
            if self._dead:
                self._waiting.append(unique)
                return
        self._reply(unique, -errno.ENOENT)

    def _reply(self, unique: int, error: int, data: bytes = b"") -> None:
        os.write(self._fd, _OUT.pack(_OUT.size + len(data), error, unique) + data)
