"""A capture's survivors and the census at both ends, as checked values: all of it began as text the target could have written.

Pure: no clock, file or process. Frames run outermost first; quarters are of the capture's first nine tenths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, NamedTuple

from agent.dataclass import dataclass
from agent.host.text import clean
from agent.stacks import Frame

QUARTERS = 4
LATE = 0.9
SETTLED = 0.15
"""Resident memory is compared from this part of the capture on: before it the tracker itself grows."""
ANONYMOUS = ("<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>", "<lambda>")


@dataclass(frozen=True)
class Row:
    """Survivors of one stack and allocator: ``size`` bytes and ``count`` blocks by quarter of birth; ``born``: the dead ones, too.

    ``kind``: ``python`` (its allocators were tracked), ``malloc``, or ``mapped``. ``late``: born in the last tenth.
    """

    kind: str
    frames: tuple[Frame, ...]
    size: tuple[float, ...]
    count: tuple[float, ...]
    born: tuple[float, ...]
    late: float = 0.0
    late_count: float = 0.0
    largest: float = 0.0
    opens: bool = False
    library: str = ""

    @property
    def bytes(self) -> float:
        """Survivors without those of the last tenth."""
        return sum(self.size)

    @property
    def blocks(self) -> float:
        """How many blocks those are."""
        return sum(self.count)

    @property
    def leaf(self) -> Frame | None:
        """The innermost Python frame."""
        return self.frames[-1] if self.frames else None


class Place(NamedTuple):
    """A function by name and first line, and how many there are (``number``) of what runs or uses it."""

    function: str
    file: str
    line: int
    number: float


@dataclass(frozen=True)
class Cache:
    """One ``lru_cache``: entries at both ends, and its bound (None for none)."""

    place: Place
    before: float
    after: float
    bound: float | None


@dataclass(frozen=True)
class Facts:
    """What was counted at both ends; growths are last minus first, None where it could not be counted.

    ``blocks``: Python objects more than before. ``heap``: bytes more in use in the C library's heap, ``held``: more free but kept.
    ``collected``: objects that full collections freed, per second of its life. ``private`` and ``shared``: pages, in bytes.
    """

    seconds: float
    mode: str
    blocks: float | None = None
    fds: float | None = None
    tasks: float | None = None
    threads: float | None = None
    anonymous: float | None = None
    heap: float | None = None
    held: float | None = None
    collected: float = 0.0
    full_collections: float = 0.0
    private: float | None = None
    shared: float | None = None
    coroutines: tuple[Place, ...] = ()
    targets: tuple[Place, ...] = ()
    caches: tuple[Cache, ...] = ()
    foreign: tuple[tuple[Place, str], ...] = ()


@dataclass(frozen=True)
class Table:
    """One analysed capture. ``growth``: bytes of resident memory per second, past the settling."""

    rows: tuple[Row, ...]
    seconds: float
    growth: float
    records: int = 0
    cost: Mapping[str, float] = field(default_factory=dict)


def real(value: Any, default: float = 0.0) -> float:
    """A finite number, or the default."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18
    return float(value) if good else default


def table(raw: Mapping[str, Any], resident: Any) -> Table:
    """The reader's JSON, and [second, resident bytes] as the target saw them; rows that make no sense are left out."""
    seconds = max(0.1, real(raw.get("seconds")))
    points = [[real(v) for v in point] for point in _list(resident) if isinstance(point, list) and len(point) == 2]
    settled = points[int(len(points) * SETTLED) :]
    span = settled[-1][0] - settled[0][0] if len(settled) > 1 else 0.0
    growth = (settled[-1][1] - settled[0][1]) / span if span > 0 else 0.0
    rows = tuple(_row(row) for row in _list(raw.get("rows")) if isinstance(row, dict))
    cost = {str(k): real(v) for k, v in _dict(raw.get("cost")).items()}
    return Table(rows, seconds, growth, int(real(raw.get("records"))), cost)


def _row(raw: Mapping[str, Any]) -> Row:
    return Row(
        kind=clean(str(raw.get("kind")), 16),
        frames=plain(_frames(raw.get("frames"))),
        size=_quarters(raw.get("bytes")),
        count=_quarters(raw.get("count")),
        born=_quarters(raw.get("born")),
        late=real(raw.get("late")),
        late_count=real(raw.get("late_count")),
        largest=real(raw.get("largest")),
        opens=raw.get("opens") is True,
        library=clean(str(raw.get("library") or ""), 300),
    )


def _frames(raw: Any) -> Iterable[Frame]:
    for part in _list(raw):
        if isinstance(part, list) and len(part) == 3:
            yield Frame(clean(str(part[0]), 200), clean(str(part[1]), 500), int(real(part[2])))


def plain(frames: Iterable[Frame]) -> tuple[Frame, ...]:
    """Without comprehensions and the like: they belong to the function around them (and since 3.12 have no frame of their own)."""
    kept: list[Frame] = []
    for frame in frames:
        if not (frame.function in ANONYMOUS and kept and kept[-1].file == frame.file):
            kept.append(frame)
    return tuple(kept)


def facts(
    first: Mapping[str, Any],
    last: Mapping[str, Any],
    *,
    mode: str,
    seconds: float,
    age: float,
    pages: tuple[float, float] | None = None,
) -> Facts:
    """Compare two census files. ``age`` is the process's in seconds; ``pages`` the growth of its private and shared pages."""
    memory = (_dict(first.get("memory")), _dict(last.get("memory")))
    gc = (_dict(first.get("gc")), _dict(last.get("gc")))
    used, held = (_heap(first, last, name) for name in ("used", "free"))
    return Facts(
        seconds=seconds,
        mode=mode,
        blocks=_growth(first, last, "blocks"),
        fds=_growth(first, last, "fds"),
        tasks=_growth(_dict(first.get("tasks")), _dict(last.get("tasks")), "count"),
        threads=_growth(_dict(first.get("threads")), _dict(last.get("threads")), "count"),
        anonymous=_growth(*memory, "anonymous"),
        heap=used,
        held=held,
        collected=real(gc[0].get("freed_by_full")) / max(1.0, age),
        full_collections=real(gc[1].get("full")) - real(gc[0].get("full")),
        private=pages[0] if pages else None,
        shared=pages[1] if pages else None,
        coroutines=_growing(_dict(first.get("tasks")), _dict(last.get("tasks"))),
        targets=_growing(_dict(first.get("threads")), _dict(last.get("threads"))),
        caches=_caches(first, last),
        foreign=tuple((place, clean(str(row[3]), 300)) for row, place in _places(last.get("foreign"), 4)),
    )


def _heap(first: Mapping[str, Any], last: Mapping[str, Any], name: str) -> float | None:
    ends = (_dict(first.get("heap")), _dict(last.get("heap")))
    growth, modulo = _growth(*ends, name), real(ends[1].get("modulo"))
    if growth is None or not modulo:
        return growth
    return (growth + modulo / 2) % modulo - modulo / 2


def _growth(first: Mapping[str, Any], last: Mapping[str, Any], name: str) -> float | None:
    if name not in first or name not in last:
        return None
    return real(last[name]) - real(first[name])


def _places(raw: Any, size: int) -> Iterable[tuple[list[Any], Place]]:
    for row in _list(raw):
        if isinstance(row, list) and len(row) >= size:
            count = real(row[3]) if isinstance(row[3], int | float) else 1.0
            yield row, Place(clean(str(row[0]), 200), clean(str(row[1]), 500), int(real(row[2])), count)


def _growing(first: Mapping[str, Any], last: Mapping[str, Any]) -> tuple[Place, ...]:
    before = {place[:3]: place.number for _, place in _places(first.get("by"), 4)}
    now = [place._replace(number=place.number - before.get(place[:3], 0.0)) for _, place in _places(last.get("by"), 4)]
    return tuple(sorted((place for place in now if place.number > 0), key=lambda place: -place.number))


def _caches(first: Mapping[str, Any], last: Mapping[str, Any]) -> tuple[Cache, ...]:
    before = {place[:3]: place.number for _, place in _places(first.get("caches"), 6)}
    return tuple(
        Cache(place, before.get(place[:3], 0.0), place.number, None if row[4] is None else real(row[4]))
        for row, place in _places(last.get("caches"), 6)
    )


def _quarters(raw: Any) -> tuple[float, ...]:
    found = [max(0.0, real(value)) for value in _list(raw)[:QUARTERS]]
    return tuple(found + [0.0] * (QUARTERS - len(found)))


def _list(raw: Any) -> list[Any]:
    return raw if isinstance(raw, list) else []


def _dict(raw: Any) -> Mapping[str, Any]:
    return raw if isinstance(raw, dict) else {}
