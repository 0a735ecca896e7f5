"""A file that a process names, read as that process could read it: a name is all a hostile program needs to have others read.

The path is walked by hand in the process's own root: a link cannot lead out of it, every folder must be open to its user, and what
is not a plain file on a disk (a pipe, a device, anything of /proc and /sys) is not even opened. Access lists are not asked: what
only they allow is not read.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import threading
from collections.abc import Iterator

from agent.dataclass import dataclass
from agent.host.mounts import read_mounts
from agent.host.procfs import read_once
from agent.host.procstat import status_field

LARGEST = 2 << 20
LINKS_MOST, PARTS_MOST = 40, 256
_WALK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ, _SEARCH = 4, 1
_KERNELS = frozenset((
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fusectl",
    "hugetlbfs", "mqueue", "nfsd", "nsfs", "proc", "pstore", "resctrl", "rpc_pipefs", "securityfs", "selinuxfs", "smackfs", "sysfs",
    "tracefs",
))  # fmt: skip
"""Filesystems whose files do something when they are read, or are none."""


@dataclass(frozen=True)
class Reader:
    """Whose rights count: user and groups, in the root folder of a process (``/`` for one that is gone)."""

    uid: int
    gids: frozenset[int]
    root: str = "/"

    def may(self, file: os.stat_result, what: int) -> bool:
        """Whether it may read (4) or search (1) what that is of."""
        if self.uid == 0:
            return True
        shift = 6 if file.st_uid == self.uid else 3 if file.st_gid in self.gids else 0
        return bool(file.st_mode >> shift & what)


def of_process(pid: int) -> Reader:
    """As a running process may; OSError if it is gone."""
    status = read_once(f"/proc/{pid}/status")
    uid, gid = (int((status_field(status, name) or b"").split()[1]) for name in (b"Uid", b"Gid"))
    groups = map(int, (status_field(status, b"Groups") or b"").split())
    return Reader(uid, frozenset((gid, *groups)), f"/proc/{pid}/root")


def of_user(name: str | None) -> Reader:
    """As a user of this host may; one that is not known here may read what everybody may."""
    with contextlib.suppress(KeyError, OSError):
        if name:
            known = pwd.getpwnam(name)
            return Reader(known.pw_uid, frozenset(os.getgrouplist(name, known.pw_gid)))
    return Reader(-1, frozenset())


def read_soon(reader: Reader, path: str, seconds: float = 1.0) -> bytes | None:
    """The file's content, or None if :func:`read` refuses or takes longer: the path may lie on a mount that does not answer."""
    found: list[bytes] = []

    def attempt() -> None:
        with contextlib.suppress(OSError, ValueError):
            found.append(read(reader, path))

    thread = threading.Thread(target=attempt, name="asread", daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else None


def read(reader: Reader, path: str) -> bytes:
    """The file's content; OSError if it cannot or must not be read, is none, or is larger than :data:`LARGEST`."""
    with _found(reader, path) as at:
        file = os.fstat(at)
        if not stat.S_ISREG(file.st_mode) or not 0 < file.st_size <= LARGEST:
            raise OSError("not a plain file of a bearable size")
        if not reader.may(file, _READ):
            raise PermissionError("its user may not read it")
        if not _on_disk(reader.root, file.st_dev):
            raise OSError("not a file on a disk")
        fd = os.open(f"/proc/self/fd/{at}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(fd, "rb") as content:
            return content.read(LARGEST)


@contextlib.contextmanager
def _found(reader: Reader, path: str) -> Iterator[int]:
    """A descriptor of what lies there, not opened for reading. Folders walked so far are kept, for ``..`` and links."""
    fds = [os.open(reader.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        parts, links = path.split("/")[::-1], 0
        if path.count("/") > PARTS_MOST:
            raise OSError("the path is too long")
        while parts:
            part = parts.pop()
            if part == "..":
                if len(fds) > 1:
                    os.close(fds.pop())
            elif part not in ("", "."):
                links += _step(reader, fds, part, parts)
                if links > LINKS_MOST or len(parts) > PARTS_MOST:
                    raise OSError("too many links")
        yield fds[-1]
    finally:
        for fd in fds:
            os.close(fd)


def _step(reader: Reader, fds: list[int], part: str, parts: list[str]) -> int:
    """One name further; for a link its words are put before what is left of the path. How many links that was."""
    if not reader.may(os.fstat(fds[-1]), _SEARCH):
        raise PermissionError("its user may not enter a folder on the way")
    fd = os.open(part, _WALK, dir_fd=fds[-1])
    if not stat.S_ISLNK(os.fstat(fd).st_mode):
        fds.append(fd)
        return 0
    try:
        where = os.readlink("", dir_fd=fd)
    finally:
        os.close(fd)
    if where.startswith("/"):
        while len(fds) > 1:
            os.close(fds.pop())
    parts += where.split("/")[::-1]
    return 1


def _on_disk(root: str, device: int) -> bool:
    pid = root.split("/")[2] if root.startswith("/proc/") else "self"
    number = f"{os.major(device)}:{os.minor(device)}"
    kinds = {mount.fstype for mount in read_mounts(pid=pid) if mount.device == number}
    return not kinds & _KERNELS  # a subvolume has a number of its own that no mount shows
