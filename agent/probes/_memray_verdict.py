"""From sorted survivors to the verdict, the shares and who is to blame. Pure.

The bytes of what lasts (everything but what is in flight, and resized tables) are the whole; shares are of it. Memory that Python
never sees is what the C library's heap gained beyond the blocks that were tracked in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import field

from agent.dataclass import dataclass
from agent.model import Culprit
from agent.probes._memray_sort import Growth, creator, kinds
from agent.probes._memray_table import LATE, Facts, Place, Row, Table
from agent.stacks import Frame, Stack, owner, place

MATERIAL = 16 << 10
"""Bytes per second below which growth is not worth a verdict."""
STEADY = 128 << 10
"""Bytes per second of resident growth below which it may be noise."""
MOST = 0.45
"""A kind with this share of what lasts is the verdict (reference: true owners held 46 to 60 %)."""
EXPLAINED = 0.3
"""Below this share of the resident growth the survivors are not its reason."""
UNSEEN = 0.35
"""Less than this part of the resident growth is the tracker's own, or noise."""
PER_THREAD = 256 << 10
"""What a thread may take from the C library's heap: its arena and what is kept for it (measured: 60 to 80 KiB)."""
SMALL = 512
"""Python's own blocks up to this size do not come from the C library's heap."""
WAKES = (Growth.TASK, Growth.THREAD, Growth.OPEN)
OWNS = 0.5
CREATES = ("start", "create_task", "ensure_future")
"""The innermost standard function on the line to name: the one that sets the thread or task going."""


@dataclass(frozen=True)
class Verdict:
    """What a capture shows. Shares 0..1 of what lasts; rates per second; ``settled``: no further stage is needed."""

    word: str
    shares: dict[Growth, float]
    leak_share: float
    leak_rate: float
    explained: float | None
    in_flight_share: float
    task_growth: float
    settled: bool
    culprits: dict[str, tuple[Culprit, ...]] = field(default_factory=dict)


def judge(table: Table, facts: Facts) -> Verdict:
    """The verdict on one stage."""
    sorted_rows = list(zip(table.rows, kinds(table.rows, facts), strict=True))
    span = LATE * table.seconds
    lasting: dict[Growth, float] = defaultdict(float)
    for row, kind in sorted_rows:
        if kind not in (Growth.FLIGHT, Growth.LUMP):
            lasting[kind] += row.bytes
    unseen = _unseen(table, facts) * LATE
    if unseen < PER_THREAD * (facts.threads or 0.0):
        lasting[Growth.THREAD] += unseen
        unseen = 0.0
    lasting[Growth.NATIVE] += unseen
    whole = sum(lasting.values())
    shares = {kind: size / whole for kind, size in lasting.items() if whole > 0}
    flight = sum(row.bytes + row.late for row, kind in sorted_rows if kind is Growth.FLIGHT)
    leaks = owners(sorted_rows, Growth.LEAK)
    best = leaks[0][1] if leaks else 0.0
    explained = min(1.0, whole / span / table.growth) if table.growth > STEADY else None
    held = min(1.0, (whole + flight) / span / table.growth) if table.growth > STEADY else None
    word = _word(whole / span, shares, flight / max(1.0, flight + whole), held, table, facts)
    return Verdict(
        word=word,
        shares=shares,
        leak_share=best / whole if whole > 0 else 0.0,
        leak_rate=best / span,
        explained=explained,
        in_flight_share=flight / (flight + whole) if flight + whole > 0 else 0.0,
        task_growth=max(0.0, facts.tasks or 0.0) / table.seconds,
        settled=_settled(word, explained, sorted_rows, facts),
        culprits=_culprits(sorted_rows, facts, whole, span, unseen),
    )


def _unseen(table: Table, facts: Facts) -> float:
    """Bytes the C library's heap gained that no tracked block accounts for; 0 where that cannot be told."""
    if facts.heap is None:
        return 0.0
    if facts.mode == "default":
        tracked = sum(row.bytes + row.late for row in table.rows if row.kind == "malloc")
    else:
        tracked = sum(row.bytes + row.late for row in table.rows if row.kind == "malloc" or row.largest > SMALL)
    unseen = facts.heap - tracked
    enough = unseen > STEADY * table.seconds and unseen > UNSEEN * table.growth * table.seconds and table.growth > STEADY
    return unseen if enough else 0.0


def _word(rate: float, shares: dict[Growth, float], flight: float, held: float | None, table: Table, facts: Facts) -> str:
    if _unshares(facts) and rate * facts.seconds < 0.5 * (facts.private or 0.0):
        return "copy-on-write"
    if held is not None and held < EXPLAINED and facts.mode != "default":
        return "retention" if table.growth * facts.seconds > 1 << 20 else "none"
    if rate >= MATERIAL:
        python = shares.get(Growth.LEAK, 0.0) + sum(shares.get(kind, 0.0) for kind in WAKES)
        words = {"leak": python, "native": shares.get(Growth.NATIVE, 0.0), "cache-filling": shares.get(Growth.CACHE, 0.0)}
        return next((word for word in words if words[word] >= MOST), "none")  # a leak matters more than a cache beside it
    return "in-flight" if flight > MOST else "none"


def _unshares(facts: Facts) -> bool:
    """Private pages grow by as much as shared ones shrink: a forked worker writes to what it got from its parent."""
    if facts.private is None or facts.shared is None:
        return False
    return facts.private > 1 << 20 and facts.shared < -0.5 * facts.private


def _settled(word: str, explained: float | None, rows: Sequence[tuple[Row, Growth]], facts: Facts) -> bool:
    if facts.mode != "default":
        return True
    if word == "native":
        return explained is None or explained >= OWNS
    if word in ("leak", "cache-filling"):  # arenas of small objects name whoever came by when one was full
        seen = sum(row.blocks for row, kind in rows if kind not in (Growth.FLIGHT, Growth.LUMP) and row.kind == "malloc")
        arenas = sum(row.bytes for row, _ in rows if row.kind == "mapped")
        return seen >= 30 and arenas < OWNS * sum(row.bytes for row, _ in rows)
    return word == "copy-on-write"


# ------------------------------------------------------------------------------------------ who


def owners(rows: Iterable[tuple[Row, Growth]], wanted: Growth) -> list[tuple[Frame, float]]:
    """Functions that own that kind of growth, with their bytes, the best first: the deepest own one with half of what is left."""
    left = [row for row, kind in rows if kind is wanted and row.bytes > 0]
    found: list[tuple[Frame, float]] = []
    while left and len(found) < 3:
        best = owner([Stack(0, "", row.frames, row.bytes) for row in left], share=OWNS)
        if best is None:
            break
        key = (best.frame.function, best.frame.file)
        mine = [row for row in left if key in {(f.function, f.file) for f in row.frames}]
        found.append((best.frame, sum(row.bytes for row in mine)))
        left = [row for row in left if row not in mine]
    return sorted(found, key=lambda pair: -pair[1])


def _culprits(
    rows: Sequence[tuple[Row, Growth]], facts: Facts, whole: float, span: float, unseen: float
) -> dict[str, tuple[Culprit, ...]]:
    found = {
        "leak_share": _code(owners(rows, Growth.LEAK), whole, span),
        "cache_share": _caches(rows, facts, whole, span),
        "native_share": _native(rows, facts, whole, span, unseen),
        "task_share": _made(rows, Growth.TASK, facts.coroutines, "runs ", whole, span),
        "thread_share": _made(rows, Growth.THREAD, facts.targets, "runs ", whole, span),
        "open_share": _made(rows, Growth.OPEN, (), "", whole, span),
    }
    found["task_growth"] = found["task_share"]
    found["leak_rate"] = found["leak_share"]
    return {name: culprits for name, culprits in found.items() if culprits}


def _code(owned: Iterable[tuple[Frame, float]], whole: float, span: float, detail: str = "") -> tuple[Culprit, ...]:
    return tuple(_culprit(frame, size, whole, span, detail) for frame, size in owned)


def _culprit(frame: Frame, size: float, whole: float, span: float, detail: str = "") -> Culprit:
    rate = size / span
    words = f"{mib(rate)}/s" + (f", {detail}" if detail else "")
    share = round(size / whole, 3) if whole > 0 else None
    return Culprit(
        "code", frame.function, file=frame.file, line=frame.line, function=frame.function, share=share, rate=rate, detail=words
    )


def mib(rate: float) -> str:
    """Bytes with a sign, as ``+3.1 MiB`` or ``+40 KiB``."""
    return f"{rate / (1 << 20):+.1f} MiB" if abs(rate) >= 1 << 20 else f"{rate / 1024:+.0f} KiB"


def _caches(rows: Sequence[tuple[Row, Growth]], facts: Facts, whole: float, span: float) -> tuple[Culprit, ...]:
    bounds = {(c.place.function.rsplit(".", 1)[-1], c.place.file): c for c in facts.caches}
    found = []
    for frame, size in owners(rows, Growth.CACHE):
        cache = bounds.get((frame.function, frame.file))
        detail = f"{cache.after:.0f} of {cache.bound:.0f} entries" if cache and cache.bound else "fades"
        found.append(_culprit(frame, size, whole, span, detail))
    return tuple(found)


def _native(rows: Sequence[tuple[Row, Growth]], facts: Facts, whole: float, span: float, unseen: float) -> tuple[Culprit, ...]:
    found = list(_code(owners(rows, Growth.NATIVE), whole, span))
    libraries: dict[str, float] = defaultdict(float)
    for row, kind in rows:
        if kind is Growth.NATIVE and row.library:
            libraries[row.library] += row.bytes
    if unseen:
        users = [(p, lib) for p, lib in facts.foreign if place(p.file) == "own"]
        busy = _busy(rows, [p for p, _ in users])
        found += [
            Culprit(
                "code", p.function, file=p.file, line=p.line, function=p.function, detail=f"calls {_library(lib)} through ctypes"
            )
            for p, lib in sorted(users, key=lambda user: -busy[user[0]])[:3]
        ]
        libraries[_library(users[0][1]) if users else "the C library's heap"] += unseen
    for name, size in sorted(libraries.items(), key=lambda item: -item[1])[:2]:
        share = round(size / whole, 3) if whole > 0 else None
        found.append(Culprit("library", name, share=share, rate=size / span, detail=f"{mib(size / span)}/s outside Python's heap"))
    return tuple(found)


def _library(name: str) -> str:
    return "libc.so.6" if name in ("None", "") else name.rsplit("/", 1)[-1]


def _busy(rows: Iterable[tuple[Row, Growth]], places: Sequence[Place]) -> dict[Place, float]:
    """How much each function allocated at all: one that ran in the capture comes before one that did not."""
    sums = dict.fromkeys(places, 0.0)
    for row, _ in rows:
        names = {(f.function, f.file) for f in row.frames}
        for each in places:
            if (each.function.rsplit(".", 1)[-1], each.file) in names:
                sums[each] += sum(row.born) + 1.0
    return sums


def _made(
    rows: Sequence[tuple[Row, Growth]], kind: Growth, runs: Sequence[Place], word: str, whole: float, span: float
) -> tuple[Culprit, ...]:
    """Where they are created (the line that calls on), then what they run."""
    ran = {(p.function.rsplit(".", 1)[-1], p.file) for p in runs}
    sites: dict[tuple[str, str], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    weight = 0.0
    for row, found in rows:
        if found is not kind:
            continue
        weight += row.bytes
        frame = creator(row)
        if frame is not None and (frame.function, frame.file) not in ran:
            made = row.opens if kind is Growth.OPEN else row.frames[-1].function in CREATES
            sites[frame.function, frame.file][frame.line] += row.bytes * (1.0 if made else 0.01)
    culprits = []
    for (function, file), by_line in sorted(sites.items(), key=lambda item: -sum(item[1].values()))[:2]:
        line = max(by_line, key=lambda at: by_line[at])
        culprits.append(_culprit(Frame(function, file, line), weight, whole, span, f"{word}{runs[0].function}" if runs else ""))
    for each in runs[:1]:
        frame = Frame(each.function.rsplit(".", 1)[-1], each.file, each.line)
        culprits.append(_culprit(frame, weight, whole, span, f"{each.number:.0f} more than before"))
    return tuple(culprits)
