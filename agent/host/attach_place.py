"""Where a capture lives: a folder both sides can reach, and a ledger that allows one capture per process.

The folder is made inside the target's own root (``/proc/PID/root``), so it works across mount namespaces::

    /tmp/anfl-TOKEN          ours, 0755: nobody but us can rename what is in it
    /tmp/anfl-TOKEN/out      the target's, 0700: captures and census files; hostile input from then on
    /tmp/anfl-TOKEN/bundle   ours: memray, only where the target cannot read ours

Paths below the target's root are opened one component at a time without following links: a container could point ``/tmp`` at
our ``/etc``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import stat

from agent.dataclass import dataclass
from agent.errors import Refused, Unavailable
from agent.host import procs

TEMPORARY = ("tmp", "var/tmp", "dev/shm")
NEEDED_BYTES = 160 << 20
"""Free space a folder must have: the capture's cap, a bundle, and room to spare."""


def beneath(root: int, path: str) -> int:
    """A descriptor of a folder below ``root``, no link followed; OSError as the kernel gives it."""
    fd = os.dup(root)
    for part in path.split("/"):
        try:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        finally:
            os.close(fd)
        fd = inner
    return fd


@dataclass
class Place:
    """A capture's folder: ``parent_fd`` and ``name`` on our side, ``inner`` as the target sees it."""

    parent_fd: int
    name: str
    inner: str
    top_fd: int
    out_fd: int

    def read(self, name: str, limit: int = 1 << 20) -> bytes | None:
        """A small file the target wrote; None if it is not there (yet), or is no plain file."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.out_fd)
        except OSError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            return os.pread(fd, limit, 0)
        finally:
            os.close(fd)

    def write(self, name: str, content: bytes) -> None:
        """A small file for the target to read; it appears whole."""
        part = f"{name}.{secrets.token_hex(4)}"
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=self.out_fd)
        try:
            os.write(fd, content)
        finally:
            os.close(fd)
        os.rename(part, name, src_dir_fd=self.out_fd, dst_dir_fd=self.out_fd)

    def open_capture(self, name: str, limit: int) -> int:
        """A descriptor of a finished capture; :class:`Unavailable` if it is missing, no plain file, or larger than ``limit``."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.out_fd)
        except OSError as error:
            raise Unavailable(f"the capture cannot be read: {error.strerror}") from None
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_blocks * 512 > limit:
            os.close(fd)
            raise Unavailable("the capture is larger than it was allowed to become, or not a plain file")
        return fd

    def put_bundle(self, source: str) -> str:
        """Copy memray beside the capture; its path as the target sees it."""
        shutil.copytree(source, f"/proc/self/fd/{self.top_fd}/bundle", symlinks=True)
        return f"{self.inner}/bundle"

    def remove(self) -> None:
        """Remove the folder and give the descriptors back: for an attach that got no further."""
        shutil.rmtree(self.name, ignore_errors=True, dir_fd=self.parent_fd)
        self.close()

    def close(self) -> None:
        """Give the descriptors back; the folder itself is removed by the guard."""
        for fd in (self.out_fd, self.top_fd, self.parent_fd):
            with contextlib.suppress(OSError):
                os.close(fd)


def make(pid: int, token: str, uid: int, gid: int) -> Place:
    """A fresh capture folder in the target's root; :class:`Unavailable` if nothing there can be written."""
    root = os.open(f"/proc/{pid}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    why = "no temporary folder"
    try:
        for path in TEMPORARY:
            try:
                return _make_in(beneath(root, path), path, f"anfl-{token}", uid, gid)
            except OSError as error:
                why = f"/{path}: {error.strerror}"
    finally:
        os.close(root)
    raise Unavailable(
        f"process {pid}: no folder to write a capture to ({why})", help="give it a writable /tmp with 160 MiB free, e.g. a tmpfs"
    )


def _make_in(parent: int, path: str, name: str, uid: int, gid: int) -> Place:
    opened = [parent]
    try:
        room = os.fstatvfs(parent)
        if room.f_bavail * room.f_frsize < NEEDED_BYTES:
            raise OSError(28, "less than 160 MiB free")
        os.mkdir(name, 0o755, dir_fd=parent)
        try:
            opened.append(beneath(parent, name))
            os.fchmod(opened[1], 0o755)
            os.mkdir("out", 0o700, dir_fd=opened[1])
            opened.append(beneath(opened[1], "out"))
            if os.geteuid() != uid:
                os.fchown(opened[2], uid, gid)
        except OSError:
            shutil.rmtree(name, dir_fd=parent, ignore_errors=True)
            raise
    except OSError:
        for fd in opened:
            os.close(fd)
        raise
    return Place(parent, name, f"/{path}/{name}", opened[1], opened[2])


class Ledger:
    """Which process is being captured, and where; held by a lock that dies with its holders (the agent and its guard)."""

    def __init__(self, state_dir: str) -> None:
        self.folder = os.path.join(state_dir, "captures")

    def take(self, pid: int) -> int:
        """The lock's descriptor; :class:`Refused` while another capture of the process runs."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self.sweep()
        path = os.path.join(self.folder, f"{pid}.json")
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                raise Refused(f"process {pid} is being captured already", help="wait until that capture has ended") from None
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(fd)):
                    return fd
            os.close(fd)  # swept away between opening and locking it

    def note(self, fd: int, pid: int, start: float, place: Place) -> None:
        """Write down what to remove should everyone die."""
        row = {"pid": pid, "start": start, "parent": os.path.dirname(place.inner), "name": place.name}
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(row).encode(), 0)

    def release(self, fd: int) -> None:
        """The capture is over and its folder gone."""
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.close(fd)

    def sweep(self) -> None:
        """Remove what captures left behind whose agent and guard both died."""
        for name in os.listdir(self.folder):
            path = os.path.join(self.folder, name)
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove_left_over(os.read(fd, 65536))
                    os.unlink(path)
                finally:
                    os.close(fd)


def _remove_left_over(raw: bytes) -> None:
    if not raw:
        return
    row = json.loads(raw)
    if not procs.still(int(row["pid"]), float(row["start"])) or not str(row["name"]).startswith("anfl-"):
        return
    root = os.open(f"/proc/{int(row['pid'])}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        parent = beneath(root, str(row["parent"]).strip("/"))
        try:
            shutil.rmtree(os.path.basename(row["name"]), dir_fd=parent, ignore_errors=True)
        finally:
            os.close(parent)
    finally:
        os.close(root)
