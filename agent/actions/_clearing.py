"""Removes old files below a folder; what clear_directory and shm_cleanup share."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from typing import ClassVar

from agent.actions._action import Base
from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.lane import aside
from agent.host.reach import Class, WillNot
from agent.model import JsonObject
from agent.yamlfile import Bytes, Seconds

NEVER = (
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/usr",
    "/var",
)
PLAIN = re.compile(r"(/[^/\0]+)+")
MOST_FILES = 100_000


@dataclass
class Clearing(Base):
    """Files below ``path`` older than ``age`` whose names fit ``pattern``, at most ``most`` bytes, the oldest first.

    Nothing is followed: folders are walked by descriptor, links are removed as links only if ``links``, other file systems are left
    alone, and so is what somebody has open with ``skip_open``. Folders stay.
    """

    class_: ClassVar[Class] = "destructive"
    kinds: ClassVar[tuple[str, ...]] = ("host", "process", "unit", "cgroup")
    idempotent: ClassVar[bool] = True
    path: str = ""
    age: Seconds = 86400.0
    pattern: str = "*"
    most: Bytes = 2.0**40
    skip_open: bool = True

    def plan(self) -> str:
        """In words."""
        most = f"at most {self.most / 2**20:.0f} MiB"
        return f"remove files like '{self.pattern}' older than {self.age / 3600:g} h below {self.path}, {most}"

    async def check(self) -> None:
        """The folder is one that may be cleared."""
        if not PLAIN.fullmatch(self.path) or "/../" in f"{self.path}/" or "/./" in f"{self.path}/":
            raise WillNot(f"'{self.path}' is no plain absolute path")
        if self.path in NEVER or self.path.count("/") < 2:
            raise WillNot(f"{self.path} is never cleared")
        if self.age < 60:
            raise WillNot("files younger than a minute are never removed")
        await aside(self._open_root)

    def _open_root(self) -> None:
        os.close(self._root())

    def _root(self) -> int:
        """The folder, reached without following a link anywhere."""
        fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in self.path.strip("/").split("/"):
                deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
                os.close(fd)
                fd = deeper
        except OSError as error:
            os.close(fd)
            raise WillNot(f"{self.path}: {error.strerror}", help="name a folder, not a link") from None
        return fd

    async def act(self) -> JsonObject:
        """What went, in files and bytes."""
        return await aside(self._clear, 300.0)

    def _clear(self) -> JsonObject:
        root = self._root()
        try:
            device = os.fstat(root).st_dev
            now = self.reach.clock.now()
            held = _open_files() if self.skip_open else frozenset()
            found = sorted(self._old(root, "", device, now - self.age))[:MOST_FILES]
            files, size = 0, 0
            for changed, inside, inode, length in found:
                if size + length > self.most:
                    break
                if (device, inode) not in held and self._remove(root, inside, device, inode, changed):
                    files, size = files + 1, size + length
        except OSError as error:
            raise AgentError(f"{self.path}: {error.strerror}") from None
        finally:
            os.close(root)
        return {"files": files, "bytes": size}

    def _old(self, fd: int, inside: str, device: int, before: float) -> Iterator[tuple[float, str, int, int]]:
        """Regular files: time of change, path below the root, inode, length."""
        from fnmatch import fnmatchcase

        with os.scandir(fd) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            with contextlib.suppress(OSError):
                info = os.stat(name, dir_fd=fd, follow_symlinks=False)
                place = f"{inside}/{name}" if inside else name
                if stat.S_ISDIR(info.st_mode) and info.st_dev == device:
                    deeper = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
                    try:
                        yield from self._old(deeper, place, device, before)
                    finally:
                        os.close(deeper)
                elif stat.S_ISREG(info.st_mode) and info.st_dev == device and fnmatchcase(name, self.pattern):
                    newest = max(info.st_mtime, info.st_ctime)
                    if newest < before and info.st_nlink == 1:
                        yield newest, place, info.st_ino, info.st_blocks * 512

    @staticmethod
    def _remove(root: int, inside: str, device: int, inode: int, changed: float) -> bool:
        """Remove the very file that was seen; False if another stands there by now."""
        fd, (*folders, name) = os.dup(root), inside.split("/")
        try:
            for folder in folders:
                deeper = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
                os.close(fd)
                fd = deeper
            info = os.stat(name, dir_fd=fd, follow_symlinks=False)
            same = (info.st_dev, info.st_ino, max(info.st_mtime, info.st_ctime)) == (device, inode, changed)
            if same and stat.S_ISREG(info.st_mode):
                os.unlink(name, dir_fd=fd)
                return True
        except OSError:
            return False
        finally:
            os.close(fd)
        return False


def _open_files() -> frozenset[tuple[int, int]]:
    """Device and inode of every file that some process has open or mapped, as far as one may see."""
    found = set()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    info = os.stat(f"/proc/{pid}/fd/{name}")
                    found.add((info.st_dev, info.st_ino))
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/map_files"):
                with contextlib.suppress(OSError):
                    info = os.stat(f"/proc/{pid}/map_files/{name}")
                    found.add((info.st_dev, info.st_ino))
    return frozenset(found)
