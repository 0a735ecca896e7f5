"""The agent's own heap: small, and given back. For glibc; elsewhere the C library does as it likes."""

from __future__ import annotations

import contextlib
import ctypes
import gc

GC_AFTER = 20_000
"""New objects before the garbage collector looks; the samples of a tick live for milliseconds and are not its business."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of mallopt(3)
_TRIM, _MMAP = 256 << 10, 1 << 20


def frugal() -> None:
    """One heap for all threads, which shrinks as soon as its end is free. Before the first thread starts.

    The GIL lets one thread allocate at a time, so that arenas of their own win nothing; each keeps what its busiest moment
    took. And glibc raises the size from which free memory goes back to what was given back once. Together that was 6 MiB after
    a few diagnoses. Blocks from 1 MiB on are mapped: pages of the metrics page are smaller and come every second.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_ARENA_MAX, 1), (_TRIM_THRESHOLD, _TRIM), (_MMAP_THRESHOLD, _MMAP)):
            mallopt(option, value)


def settle() -> None:
    """Once started: what was imported stays out of every later garbage collection, and what start-up freed goes back."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_AFTER)
    gc.enable()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
