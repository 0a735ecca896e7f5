"""A piece of work in a copy of this process: what it imports and takes goes with the copy. Before the first thread starts."""

from __future__ import annotations

import os
from collections.abc import Callable


def apart(work: Callable[[], bytes]) -> bytes | None:
    """What ``work`` returns in a forked copy; None if it failed there, in whatever way: then it is for the caller to do it here.

    The copy has this process's files: ``work`` must only compute.
    """
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
    except OSError:  # no more processes, or none allowed
        os.close(read)
        os.close(write)
        return None
    if pid == 0:
        _answer(work, read, write)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        said = answer.read()
    _, status = os.waitpid(pid, 0)
    return said if status == 0 else None


def _answer(work: Callable[[], bytes], read: int, write: int) -> None:
    """In the copy, which never returns from here: neither output buffers nor exit handlers of the original are its own."""
    code = 1
    try:
        os.close(read)
        with os.fdopen(write, "wb") as answer:
            answer.write(work())
        code = 0
    finally:
        os._exit(code)
