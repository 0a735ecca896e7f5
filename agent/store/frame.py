"""One record of the flight recorder: some seconds of many series, lossless, in a few hundred bytes per hundred samples.

The payload, before compression, all integers little-endian::

    u32 length, JSON     {"series": [[id, name, {label: value}], ...],   series first met in this file
                          "events": [[time, kind, {label: value}, text, {field: value}, trusted], ...],
                          "groups": [[form, n, k], ...]}
    per group            k float64    times, Unix seconds, the same for all n series of the group
                         n u32        ids
                         n            first values ) as zigzag differences: u8 number of byte planes, then the planes: the lowest
                         n*(k-1)      the others   ) bytes of all, the second ones of all, ... (:mod:`agent.store.lanes`)

``form`` is ``scale + 16 * relation``. Scale 0..4: the values are integers divided by 1, 100, 1,000, 1e6, 1e9. Scale 5: they are the
bits of float64, read as signed integers, differences modulo 2**64. Relation FRESH: the first values are differences from 0, and the
series' base from here to the next key record. NEXT: the first values are differences from that base. SAME: as NEXT, but all k
values are equal, and the others are not written. STILL (since format 2): as FRESH, but all k values are equal, and the others are
not written. A series' other values lie together, each as the difference from the one before. So a record can be read with nothing
but the FRESH and STILL first values before it. Zigzag: ``d >= 0`` is written 2d, ``d < 0`` as -2d - 1. A series stands in one group
of a record at most; groups may have the same times and form: those of series whose differences take as many bytes lie together.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from itertools import chain, repeat
from math import trunc
from operator import mul, sub, truediv

from agent.dataclass import dataclass
from agent.model import Event, Labels
from agent.store import lanes
from agent.store.chunk import SCALES, scale_of
from agent.store.series import Times

FRESH, NEXT, SAME, STILL = 0, 1, 2, 3
BASES = (FRESH, STILL)
"""Relations whose first values are bases."""
EQUAL = (SAME, STILL)
"""Relations of which one value stands for all k."""
BITS = len(SCALES)
UNKNOWN = 15  # a scale not yet found
_MOST = 1 << 62  # so that differences fit into 64 bits
_AT_ONCE = 1 << 15  # values; a few milliseconds
_WRAP, _SIGN = (1 << 64) - 1, 1 << 63
_LENGTH = struct.Struct("<I")


class Track:
    """What the writer knows of one series: how far it was gathered and, within the current file, how it was written last."""

    __slots__ = ("at", "base", "before", "block", "id", "level", "run", "scale", "value", "width")

    def __init__(self) -> None:
        self.id = -1  # -1: not yet named in the current file
        self.block = -1  # the key record's block it was written in last
        self.scale = UNKNOWN  # found when it is written for the first time
        self.width = 0  # byte planes its differences took lately: what is alike stands together and packs well
        self.base = 0  # its first value in that block, in units of the scale
        self.level = 0  # and how far above it the last one written is
        self.value = 0.0  # the last value gathered
        self.run: Times | None = None  # the run it stood in, and how many of the run's values were gathered
        self.at = 0
        self.before = float("-inf")  # without a run: everything later is still to be gathered

    def until(self) -> float:
        """The time of the last value gathered."""
        return self.run[self.at - 1] if self.run and self.at else self.before


@dataclass
class Batch:
    """Series read at the same moments, with the same scale and relation. ``values`` lie series by series; one each if EQUAL.

    None at all if SAME and each stands where it stood in the record before (see :attr:`Track.level`).
    """

    times: bytes
    scale: int
    relation: int
    width: int = 0
    tracks: list[Track] = field(default_factory=list)
    values: array[float] = field(default_factory=lambda: array("d"))


@dataclass
class Frame:
    """What one record is to hold."""

    series: list[tuple[int, str, Labels]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.series or self.events or self.batches)

    def span(self, now: float) -> tuple[float, float]:
        """Times of the oldest and the newest sample; ``now`` twice if there is none."""
        times = [t for b in self.batches for t in array("d", b.times)]
        return (min(times), max(times)) if times else (now, now)

    def samples(self) -> int:
        """How many samples."""
        return sum(len(b.times) // 8 * len(b.tracks) for b in self.batches)


def encode(frame: Frame) -> bytes:
    """The payload. Sets each track's base and level, and its scale and width where those it had no longer fit."""
    groups: list[tuple[int, int, int]] = []
    parts: list[bytes] = []
    for batch in chain.from_iterable(map(_fitted, frame.batches)):
        for form, tracks, body in _groups(batch):
            groups.append((form, len(tracks), len(batch.times) // 8))
            parts += (batch.times, array("I", [t.id for t in tracks]).tobytes(), body)
    directory = {
        "series": [(number, name, dict(labels)) for number, name, labels in frame.series],
        "events": [(e.time, e.kind, dict(e.labels), e.text, dict(e.fields), e.trusted) for e in frame.events],
        "groups": groups,
    }
    head = json.dumps({k: v for k, v in directory.items() if v}, separators=(",", ":")).encode()
    return b"".join((_LENGTH.pack(len(head)), head, *parts))


def _fitted(batch: Batch) -> Iterable[Batch]:
    """The batch, or those of its series by the scales they turn out to have."""
    if batch.scale != UNKNOWN:
        return (batch,)
    k, made = len(batch.values) // len(batch.tracks), dict[int, Batch]()
    for i, track in enumerate(batch.tracks):
        values = batch.values[i * k : i * k + k]
        track.scale = fitting(values)
        own = made.setdefault(track.scale, Batch(batch.times, track.scale, batch.relation, batch.width))
        own.tracks.append(track)
        own.values.extend(values)
    return made.values()


def _groups(batch: Batch) -> Iterator[tuple[int, list[Track], bytes]]:
    """Form, series and what is written of them; so few at once that other threads are not kept waiting."""
    if not batch.values:
        yield from _held(batch)
        return
    k = len(batch.values) // len(batch.tracks)
    step = max(1, _AT_ONCE // k)
    for low in range(0, len(batch.tracks), step):
        tracks, values = batch.tracks[low : low + step], batch.values[low * k : (low + step) * k]
        body = _body(tracks, values, batch.scale, batch.relation, batch.width)
        if body is not None:
            yield batch.scale + 16 * batch.relation, tracks, body
        else:
            yield from _singly(tracks, values, batch)


def _held(batch: Batch) -> Iterable[tuple[int, list[Track], bytes]]:
    """The same of series that stand where they stood."""
    try:
        body = _packed([t.level for t in batch.tracks], batch.scale)[1]
    except struct.error:  # one climbed there in steps of 64 bits and stands further from its base
        return _singly(batch.tracks, array("d", [t.value for t in batch.tracks]), batch)
    return ((batch.scale + 16 * batch.relation, batch.tracks, body),)


def _singly(tracks: list[Track], values: array[float], batch: Batch) -> Iterator[tuple[int, list[Track], bytes]]:
    """One of these has outgrown its scale."""
    k = len(values) // len(tracks)
    for i, track in enumerate(tracks):
        part, relation = values[i * k : i * k + k], batch.relation
        body = _body([track], part, batch.scale, relation, batch.width)
        if body is None:
            track.scale, relation = fitting(part), STILL if relation in EQUAL else FRESH
            body = _body([track], part, track.scale, relation, batch.width)
            assert body is not None
        yield track.scale + 16 * relation, [track], body


def fitting(values: array[float]) -> int:
    """The scale that keeps these values to the bit, and their differences within 64 bits."""
    try:
        index = scale_of(values)
    except (ValueError, OverflowError):  # NaN, infinity
        return BITS
    ints = None if index is None else _exact(values, index)
    return index if index is not None and ints and min(ints) > -_MOST and max(ints) < _MOST else BITS


def _exact(values: array[float], scale: int) -> Sequence[int] | None:
    """The values as integers of that scale, or None if that would change a bit."""
    raw = values.tobytes()
    if scale == BITS:
        return struct.unpack(f"<{len(values)}q", raw)
    try:
        if scale == 0:
            ints = list(map(trunc, values))
        else:
            ints = list(map(float.__round__, map(mul, values, repeat(float(SCALES[scale])))))
        back = struct.pack(f"<{len(ints)}d", *(ints if scale == 0 else map(truediv, ints, repeat(SCALES[scale]))))
    except (ValueError, OverflowError, struct.error):  # NaN, infinity
        return None
    return ints if back == raw else None


def _body(tracks: list[Track], values: array[float], scale: int, relation: int, width: int) -> bytes | None:
    """First values and differences in byte planes; None if they do not fit."""
    ints = _exact(values, scale)
    try:
        return None if ints is None else _written(tracks, ints, scale, relation, width)
    except struct.error:  # a difference beyond 64 bits
        return None


def _written(tracks: list[Track], ints: Sequence[int], scale: int, relation: int, width: int) -> bytes:
    k = len(ints) // len(tracks)
    first = ints[::k]
    if relation in BASES:
        for track, base in zip(tracks, first, strict=True):
            track.base = base
    else:
        first = list(map(sub, first, [t.base for t in tracks]))
    packed = _packed(first, scale)[1]
    if relation in EQUAL:
        for track, level in zip(tracks, first if relation == SAME else [0] * len(tracks), strict=True):
            track.level = level
        return packed
    rest = list(map(sub, ints[1:], ints))
    del rest[k - 1 :: k]
    used, body = _packed(rest, scale)
    for track, last in zip(tracks, ints[k - 1 :: k], strict=True):
        track.level = last - track.base
    if used > width or (width and relation == FRESH):
        for track, own in zip(tracks, lanes.widths(body[1:], used, len(tracks)), strict=True):
            track.width = own
    return packed + body


def wrapped(difference: int) -> int:
    """Modulo 2**64, as a signed integer."""
    return ((difference + _SIGN) & _WRAP) - _SIGN


def _packed(differences: Sequence[int], scale: int) -> tuple[int, bytes]:
    """Number of planes; that and the planes."""
    if scale == BITS:
        differences = list(map(wrapped, differences))
    used = lanes.width(differences)
    return used, bytes((used,)) + lanes.planes(differences, used)


def floats(ints: Iterable[int], scale: int) -> array[float]:
    """The values that integers of that scale stand for."""
    if scale == BITS:
        return array("d", array("q", ints).tobytes())
    return array("d", ints) if scale == 0 else array("d", map(truediv, ints, repeat(SCALES[scale])))
