"""The board beside the state file, shared with every client: a bell for changes, the calls counted, how often a fault was met.

The layout is that of ``nvml/board.h``; the calls are numbered by their place in ``nvml/calls.h``.
"""

from __future__ import annotations

import functools
import mmap
import os
import re
import struct
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

SOURCES = Path(__file__).resolve().parent / "nvml"
MAGIC = 0x314D4953474C4641
_CALLS, _FAULTS = 256, 64
_GENERATION, _TOTAL, _FIRST_CALL = 8, 16, 24
_FIRST_FAULT = _FIRST_CALL + 8 * _CALLS
SIZE = _FIRST_FAULT + 16 * _FAULTS


@functools.cache
def call_names() -> tuple[str, ...]:
    """Every function of the library, with its prefix, in the order of its counters."""
    return tuple(f"nvml{name}" for name in re.findall(r"CALL\((\w+)\)", (SOURCES / "calls.h").read_text("utf-8")))


def key_of(fault_id: str) -> int:
    """What a fault's hits are kept under (FNV-1a; never 0)."""
    value = 0xCBF29CE484222325
    for byte in fault_id.encode():
        value = ((value ^ byte) * 0x100000001B3) & (1 << 64) - 1
    return value | 1


class Board:
    """The shared page, open as long as the context lasts."""

    def __init__(self, state: Path) -> None:
        fd = os.open(f"{state}.board", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if os.fstat(fd).st_size != SIZE:
                os.ftruncate(fd, SIZE)
            self._page = mmap.mmap(fd, SIZE)
        finally:
            os.close(fd)
        struct.pack_into("<Q", self._page, 0, MAGIC)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._page.close()

    def _get(self, offset: int) -> int:
        value: int = struct.unpack_from("<Q", self._page, offset)[0]
        return value

    def ring(self) -> None:
        """Tell every client that the state has changed."""
        struct.pack_into("<Q", self._page, _GENERATION, self._get(_GENERATION) + 1)

    def calls(self) -> dict[str, int]:
        """How often each function has been called, by all clients together; only those that were."""
        counts = struct.unpack_from(f"<{_CALLS}Q", self._page, _FIRST_CALL)
        return {name: count for name, count in zip(call_names(), counts, strict=False) if count}

    def hits(self, fault_id: str) -> int:
        """How often calls have met a fault."""
        key = key_of(fault_id)
        for place in range(_FAULTS):
            if self._get(_FIRST_FAULT + 16 * place) == key:
                return self._get(_FIRST_FAULT + 16 * place + 8)
        return 0

    def forget(self) -> None:
        """Count from nothing."""
        self._page[_TOTAL:SIZE] = bytes(SIZE - _TOTAL)

    def keep(self, fault_ids: Collection[str]) -> None:
        """Forget the hits of faults that are no more."""
        known = {key_of(one) for one in fault_ids}
        for place in range(_FAULTS):
            at = _FIRST_FAULT + 16 * place
            if self._get(at) and self._get(at) not in known:
                struct.pack_into("<QQ", self._page, at, 0, 0)
