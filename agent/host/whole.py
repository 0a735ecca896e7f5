"""Files that stand whole or not at all: written beside their place and moved there when complete."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import BinaryIO

LINKLESS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""Filesystems without hard links."""


@contextlib.contextmanager
def whole(path: str, *, fresh: bool = False, mode: int = 0o666, lasting: bool = False) -> Iterator[BinaryIO]:
    """A file to fill, which takes the place of ``path`` at the end; whatever breaks off the filling leaves nothing behind.

    ``fresh``: FileExistsError where something stands there already. ``mode`` as for open(2), the umask taken off. ``lasting``: it
    outlives a power cut. OSError of the disk is the caller's to tell. What stands there and is no file, such as ``/dev/stdout``,
    is written as it is.
    """
    if fresh and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            yield file
        return
    place = os.path.realpath(path)  # a link stays one
    beside = f"{place}.{os.getpid()}.part"
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
            if lasting:
                file.flush()
                os.fsync(fd)
        _put(beside, place, fresh)
        if lasting:
            sync_folder(place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def _put(beside: str, place: str, fresh: bool) -> None:
    """Into its place; ``fresh``: not in anybody else's, however close behind it came."""
    if fresh:
        try:
            os.link(beside, place)
        except OSError as error:
            if error.errno not in LINKLESS:
                raise
        else:
            os.unlink(beside)
            return
    os.replace(beside, place)


def sync_folder(path: str) -> None:
    """A new name in a folder is on the disk."""
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
