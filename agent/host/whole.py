"""Files that stand whole or not at all: written beside their place and moved there when complete."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def whole(path: str, *, fresh: bool = False, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to fill, which takes the place of ``path`` at the end; whatever breaks off the filling leaves nothing behind.

    ``fresh``: FileExistsError where something stands there already. ``mode`` as for open(2), the umask taken off. OSError of the
    disk is the caller's to tell. A file that stands there and is none, such as ``/dev/stdout``, is written as it is.
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
        os.replace(beside, place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
