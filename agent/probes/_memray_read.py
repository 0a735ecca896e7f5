"""Reads one capture in a process of its own, with limits, and prints a table of survivors as JSON.

``python -m agent.probes._memray_read CAPTURE ROOT``: the capture is written by the target and so is hostile; ROOT
(``/proc/PID/root``) is where its source files are, looked at only to see whether a line opens something.
"""

from __future__ import annotations

import json
import os
import re
import resource
import stat
import sys
from collections.abc import Iterable
from typing import Any

QUARTERS = 4
LATE = 0.9
"""Survivors born in the last tenth may simply be in use."""
ROWS = 500
"""The largest rows are kept; what the others hold is summed up."""
FRAMES = 80
OURS = "<anfl-agent>"
PYTHON, MALLOC, MAPPED = "python", "malloc", "mapped"
LARGEST_SOURCE = 2 << 20
OPENS = re.compile(
    rb"\b(open|fdopen|popen|Popen|socket|socketpair|accept|connect|create_connection|makefile|dup|dup2|pipe2?"
    rb"|mkstemp|memfd_create|eventfd|timerfd_create|epoll|inotify_init|NamedTemporaryFile|TemporaryFile|mmap)\s*\("
)


def kind(allocator: int) -> str:
    """Who was asked for the memory: Python's allocators (1 to 4), mmap (14), or the C library."""
    return PYTHON if allocator <= 4 else MAPPED if allocator == 14 else MALLOC


def survivors(records: Iterable[Any], native: bool) -> tuple[list[dict[str, Any]], int]:
    """One row for each stack and kind: what was allocated and what survived, by quarter of birth; and how many rows were ours."""
    found: list[tuple[tuple[Any, ...], list[Any]]] = []
    last = ours = 0
    for record in records:
        stack = record.stack_trace(FRAMES)
        intervals = record.intervals
        for each in intervals:  # the last look: our own payload allocates until the end, too
            last = max(last, each.allocated_before_snapshot, each.deallocated_before_snapshot or 0)
        if any(frame[1] == OURS for frame in stack):
            ours += 1
            continue
        library = native_leaf(record.hybrid_stack_trace(FRAMES)) if native else ""
        found.append(((kind(record.allocator), library, *map(tuple, stack)), intervals))
    rows: dict[Any, dict[str, Any]] = {}
    for key, intervals in found:
        row = rows.setdefault(key, new_row(key))
        for interval in intervals:
            add(row, interval, last)
    return sorted(rows.values(), key=lambda row: -sum(row["bytes"]) - row["late"]), ours


def new_row(key: tuple[Any, ...]) -> dict[str, Any]:
    """An empty row; frames run outermost first."""
    zeros = [0] * QUARTERS
    frames = [[str(name)[:200], str(file)[:500], int(line)] for name, file, line in reversed(key[2:])]
    return {
        "kind": key[0],
        "library": key[1],
        "frames": frames,
        "bytes": zeros[:],
        "count": zeros[:],
        "born": zeros[:],
        "late": 0,
        "late_count": 0,
        "largest": 0,
    }


def add(row: dict[str, Any], interval: Any, last: int) -> None:
    """Count one group of allocations that were born between two looks, and died between two others or not at all."""
    quarter = int(interval.allocated_before_snapshot * QUARTERS / (LATE * max(1, last)))
    alive = interval.deallocated_before_snapshot is None
    if quarter < QUARTERS:
        row["born"][quarter] += interval.n_bytes
        if alive:
            row["bytes"][quarter] += interval.n_bytes
            row["count"][quarter] += interval.n_allocations
    elif alive:
        row["late"] += interval.n_bytes
        row["late_count"] += interval.n_allocations
    if alive and interval.n_allocations:
        row["largest"] = max(row["largest"], interval.n_bytes // interval.n_allocations)


def native_leaf(frames: list[Any]) -> str:
    """The innermost C function and file below Python that is neither the allocator nor the interpreter."""
    for name, file, _ in frames:
        base = os.path.basename(str(file))
        if str(file).endswith(".py") or base.startswith("<"):
            return ""
        if not re.match(r"(libc[.-]|ld-|libpython|python3|_memray|libffi)", base) and not re.match(
            r"(_?_?libc_|malloc|calloc|realloc)", name
        ):
            return f"{name} ({file})"[:300]
    return ""


def opens(root: str, row: dict[str, Any]) -> bool:
    """True if the innermost Python line calls something that makes a file descriptor."""
    if not row["frames"]:
        return False
    _, file, line = row["frames"][-1]
    text = lines(root, file)
    return 0 < line <= len(text) and OPENS.search(text[line - 1]) is not None


def lines(root: str, file: str, known: dict[str, list[bytes]] = {}) -> list[bytes]:  # noqa: B006 - a cache for one short run
    """The lines of a plain source file of the target, or none."""
    if file not in known:
        known[file] = []
        try:
            fd = os.open(
                root + file if file.startswith("/") else os.path.join(root, "..", "cwd", file), os.O_RDONLY | os.O_NONBLOCK
            )
            try:
                if stat.S_ISREG(os.fstat(fd).st_mode) and os.fstat(fd).st_size <= LARGEST_SOURCE:
                    known[file] = os.read(fd, LARGEST_SOURCE).splitlines()
            finally:
                os.close(fd)
        except (OSError, ValueError):
            pass
    return known[file]


def read(path: str, root: str) -> dict[str, Any]:
    """The whole table."""
    import memray

    reader = memray.FileReader(path)
    meta = reader.metadata
    rows, ours = survivors(reader.get_temporal_allocation_records(merge_threads=True), meta.has_native_traces)
    kept = [row for row in rows[:ROWS] if sum(row["born"]) or row["late"]]
    for row in kept:
        row["opens"] = opens(root, row)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": (meta.end_time - meta.start_time).total_seconds(),
        "records": meta.total_allocations,
        "native": meta.has_native_traces,
        "rows": kept,
        "rest": [sum(row["bytes"][i] for row in rows[ROWS:]) for i in range(QUARTERS)],
        "ours": ours,
        "cost": {"peak_bytes": usage.ru_maxrss * 1024, "cpu_s": usage.ru_utime + usage.ru_stime},
    }


if __name__ == "__main__":
    json.dump(read(sys.argv[1], sys.argv[2]), sys.stdout)
