"""What the agent and the process that calls NVML (``nvml_worker``) share: a beacon and the codes that matter.

Imported by that small process, so it imports next to nothing.
"""

from __future__ import annotations

import mmap
import struct
from marshal import dumps

TYPE_CHECKING = False  # typing brings a MiB of modules
if TYPE_CHECKING:
    from typing import Any

UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND = 1, 2, 3, 4, 6
INSUFFICIENT_SIZE, DRIVER_NOT_LOADED, TIMEOUT, LIBRARY_NOT_FOUND, FUNCTION_NOT_FOUND = 7, 9, 10, 12, 13
CORRUPTED_INFOROM, GPU_IS_LOST, RESET_REQUIRED, OPERATING_SYSTEM, VERSION_MISMATCH = 14, 15, 16, 17, 18
ARGUMENT_VERSION_MISMATCH, DEPRECATED, GPU_NOT_FOUND, UNKNOWN = 25, 26, 28, 999

NEVER = frozenset((NOT_SUPPORTED, NO_PERMISSION, FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH, DEPRECATED, INVALID_ARGUMENT))
"""Answers that will not change while the library and the GPU's mode stay as they are: the call is not made again."""
GONE = frozenset((GPU_IS_LOST, RESET_REQUIRED, GPU_NOT_FOUND, OPERATING_SYSTEM, TIMEOUT))
"""The GPU answers nothing more this time: further calls would only cost (a GSP timeout takes 6 s a call)."""
LOST = frozenset((GPU_IS_LOST, RESET_REQUIRED, GPU_NOT_FOUND))
OVER = frozenset((UNINITIALIZED, DRIVER_NOT_LOADED, VERSION_MISMATCH))
"""The whole of NVML is gone from under the process: it ends and is started anew."""

NO_GPU = -1


HEADER = struct.Struct("<I")
"""Before every message: its length in bytes. Messages are marshalled: both ends are one interpreter, and one started the other."""


def packed(message: dict[str, Any]) -> bytes:
    """A message as it travels."""
    data = dumps(message)
    return HEADER.pack(len(data)) + data


class Where:
    """The call a worker is in: GPU index (``NO_GPU`` for calls without one), its name, since when (monotonic seconds)."""

    __slots__ = ("call", "gpu", "since")

    def __init__(self, gpu: int, call: str, since: float) -> None:
        self.gpu = gpu
        self.call = call
        self.since = since


class Beacon:
    """A page of memory in which the worker says which call it makes, so that the agent knows what hangs. One writer."""

    _LAYOUT = struct.Struct("<di56s")

    def __init__(self, fd: int) -> None:
        self._page = mmap.mmap(fd, mmap.PAGESIZE)

    def enter(self, index: int, call: bytes, now: float) -> None:
        """Before a call; ``now`` is on the monotonic clock, which all processes of a host share."""
        self._LAYOUT.pack_into(self._page, 0, now, index, call)

    def leave(self) -> None:
        """After it."""
        self._page[:8] = b"\0\0\0\0\0\0\0\0"

    def where(self) -> Where | None:
        """The call it is in, or None between calls."""
        since, index, call = self._LAYOUT.unpack_from(self._page, 0)
        return Where(index, call.rstrip(b"\0").decode("ascii", "replace"), since) if since else None

    def close(self) -> None:
        """Give the page back."""
        self._page.close()
