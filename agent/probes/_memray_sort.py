"""What kind of growth each survivor is: a leak, a cache, in flight, native, or the wake of tasks, threads and open files.

Every row gets exactly one kind. Counts decide where they can: a leak adds objects, a full cache swaps them; a leaked task, thread
or descriptor is counted at both ends. Age decides the rest: survivors of a leak are as many from each quarter of the capture, those
of a cache that fills become fewer, things in flight are all young. Only names of the standard library are known here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum

from agent.probes._memray_table import LATE, Facts, Place, Row
from agent.stacks import Frame, deepest_own, place


class Growth(StrEnum):
    """Kinds of growth."""

    LEAK = "leak"
    CACHE = "cache"
    FLIGHT = "in flight"
    NATIVE = "native"
    TASK = "task"
    THREAD = "thread"
    OPEN = "open"
    LUMP = "lump"  # one or two large blocks: a container that was resized


FEW = 3
"""Fewer blocks than this say nothing about a trend."""
LARGE = 64 << 10
"""One block of this size among fewer than FEW is a container's resized table."""
FLAT = 0.4
"""Survivors of the younger half over those of the older: below it the growth fades (reference: leaks measured 0.9 to 1.1)."""
YOUNG = 0.1
"""Older survivors below this part of the younger ones: things do not stay."""
FADING = 0.5
"""Share that survives, older half over younger half: below it things go with age."""
NET = 0.35
"""Objects gained over objects that survived: below it as many went as came."""
GARBAGE = 0.15
"""Objects that full collections freed per second over those that survived: above it survivors may be garbage that waits."""
COMPANION = (0.5, 1.7)
"""A block of which there are as many as tasks (threads, files) were made, in the function that makes them, belongs to them."""
PER_TASK = 20
"""Blocks from one place that one task or thread may hold before they are something else's."""
MAKES_TASKS = frozenset(
    {"create_task", "ensure_future", "_ensure_future", "gather", "run_coroutine_threadsafe", "create_eager_task"}
)
MAKES_FILES = (
    "socket.py",
    "pathlib.py",
    "_local.py",
    "tempfile.py",
    "subprocess.py",
    "codecs.py",
    "gzip.py",
    "tokenize.py",
)


def kinds(rows: Sequence[Row], facts: Facts) -> list[Growth]:
    """The kind of each row."""
    found: list[Growth | None] = [None] * len(rows)
    _wakes(rows, facts, found)
    lone = _python_blocks(rows)
    for at, row in enumerate(rows):
        if found[at] is None and row.blocks < FEW and row.largest >= LARGE:
            found[at] = Growth.LUMP
        elif found[at] is None and _is_native(row, facts, lone):
            found[at] = Growth.NATIVE
    _by_age(rows, facts, found)
    return [kind or Growth.FLIGHT for kind in found]


# ------------------------------------------------------------------------------------------ tasks, threads, descriptors


def _wakes(rows: Sequence[Row], facts: Facts, found: list[Growth | None]) -> None:
    for kind, grown, runs, made in (
        (Growth.TASK, facts.tasks, facts.coroutines, _makes_task),
        (Growth.THREAD, facts.threads, facts.targets, _starts_thread),
        (Growth.OPEN, facts.fds, (), _opens),
    ):
        if grown is None or grown < FEW or grown < 0.4 * facts.seconds:
            continue
        creators = set()
        for at, row in enumerate(rows):
            if found[at] is None and (made(row) or _held_by(row, runs, grown)) and _enough(row, grown, kind):
                found[at] = kind
                if made(row) and (frame := creator(row)):
                    creators.add((frame.function, frame.file))
        for at, row in enumerate(rows):
            if found[at] is None and _companion(row, grown, creators, kind):
                found[at] = kind


def creator(row: Row) -> Frame | None:
    """The innermost frame outside the standard library: who called what makes the task, thread or file."""
    return deepest_own(row.frames)


def _makes_task(row: Row) -> bool:
    return any(f.function in MAKES_TASKS and "/asyncio/" in f.file and place(f.file) == "stdlib" for f in _library_tail(row))


def _starts_thread(row: Row) -> bool:
    return any(f.function in ("start", "__init__") and f.file.endswith("/threading.py") for f in _library_tail(row))


def _opens(row: Row) -> bool:
    tail = _library_tail(row)
    return row.opens or any(f.file.rsplit("/", 1)[-1] in MAKES_FILES for f in tail)


def _library_tail(row: Row) -> list[Frame]:
    """The innermost frames that are the standard library's."""
    tail = []
    for frame in reversed(row.frames):
        if place(frame.file) != "stdlib":
            break
        tail.append(frame)
    return tail


def _held_by(row: Row, places: Iterable[Place], grown: float) -> bool:
    """Born inside a coroutine (thread function) that piles up, and no more of it than those that piled up can hold.

    A server whose every request runs in a task also leaks inside tasks: what stays then outnumbers the few tasks that came.
    """
    return row.blocks <= PER_TASK * max(grown, FEW) and _runs(row, places)


def _runs(row: Row, places: Iterable[Place]) -> bool:
    names = {(p.function.rsplit(".", 1)[-1], p.file) for p in places}
    return any((f.function, f.file) in names for f in row.frames)


def _enough(row: Row, grown: float, kind: Growth) -> bool:
    """A file object brings up to a dozen blocks; one that opens many and keeps none has none to show."""
    return kind is not Growth.OPEN or row.blocks >= 0.2 * grown * LATE


def _companion(row: Row, grown: float, creators: set[tuple[str, str]], kind: Growth) -> bool:
    if not COMPANION[0] * grown * LATE <= row.blocks <= COMPANION[1] * grown * LATE:
        return False
    frame = creator(row)
    if frame is None:
        return kind is Growth.THREAD and not row.frames  # the interpreter's own for each thread
    return (frame.function, frame.file) in creators


# ------------------------------------------------------------------------------------------ native


def _python_blocks(rows: Iterable[Row]) -> dict[Frame, float]:
    sums: dict[Frame, float] = defaultdict(float)
    for row in rows:
        if row.kind == "python" and row.leaf is not None:
            sums[row.leaf] += row.blocks
    return sums


def _is_native(row: Row, facts: Facts, python: dict[Frame, float]) -> bool:
    """Memory of the C library with no Python object born on the same line. An array's or buffer's memory has one."""
    if row.kind == "python" or row.blocks < FEW:
        return False
    if facts.mode == "default":  # Python's larger objects come from malloc, too: the count of objects tells
        return facts.blocks is not None and row.kind == "malloc" and facts.blocks < 0.3 * row.blocks
    return row.leaf is None or python.get(row.leaf, 0.0) < 0.3 * row.blocks


# ------------------------------------------------------------------------------------------ age


def _by_age(rows: Sequence[Row], facts: Facts, found: list[Growth | None]) -> None:
    open_rows = [at for at, kind in enumerate(found) if kind is None]
    swapped = _as_many_go(rows, facts) or _garbage(rows, facts)
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at in open_rows:
        frame = creator(rows[at]) or rows[at].leaf
        groups[(frame.function, frame.file) if frame else ("", "")].append(at)
    for members in groups.values():
        group = [rows[at] for at in members]
        kind = age(group)
        if kind is Growth.LEAK and any(_in_cache(row, facts) for row in group):
            kind = Growth.CACHE
        if kind in (Growth.LEAK, Growth.CACHE) and swapped:
            kind = Growth.FLIGHT
        for at in members:
            found[at] = kind
    for at, row in enumerate(rows):
        if found[at] is Growth.NATIVE and age([row]) is not Growth.LEAK:
            found[at] = Growth.FLIGHT


def age(rows: Sequence[Row]) -> Growth:
    """The kind of growth by the age of the survivors of one function."""
    size = [sum(row.size[q] for row in rows) for q in range(4)]
    born = [sum(row.born[q] for row in rows) for q in range(4)]
    old, new = size[0] + size[1], size[2] + size[3]
    older, younger = born[0] + born[1], born[2] + born[3]
    if old + new <= 0 or sum(row.blocks for row in rows) < FEW:
        return Growth.FLIGHT
    if old <= YOUNG * new:
        return Growth.FLIGHT if older >= 0.3 * younger else Growth.LUMP
    if older and younger and old / older < FADING * new / younger:
        return Growth.FLIGHT
    if new < FLAT * old:
        return Growth.CACHE if size[0] > size[1] > size[3] else Growth.LUMP
    return Growth.LEAK


def _in_cache(row: Row, facts: Facts) -> bool:
    """Below a bounded lru_cache that gained entries and has room for more."""
    filling = [c.place for c in facts.caches if c.bound is not None and c.after > c.before and c.after <= c.bound]
    return _runs(row, filling)


def _as_many_go(rows: Sequence[Row], facts: Facts) -> bool:
    if facts.blocks is None or facts.mode == "default":
        return False
    survived = sum(row.blocks + row.late_count for row in rows if row.kind == "python")
    return survived >= FEW and facts.blocks < NET * survived


def _garbage(rows: Sequence[Row], facts: Facts) -> bool:
    """Uncollected cycles look like a leak until the collector runs; two full collections in the capture would have shown it."""
    if facts.mode == "default":
        survived = (facts.blocks or 0.0) / facts.seconds
    else:
        survived = sum(row.blocks for row in rows if row.kind == "python") / (LATE * facts.seconds)
    return facts.full_collections < 2 and survived > 0 and facts.collected > GARBAGE * survived
