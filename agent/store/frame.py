"""One record of the flight recorder: some seconds of many series, lossless, in a few hundred bytes per hundred samples.

The payload, before compression, all integers little-endian::

    u32 length, JSON     {"series": [[id, name, {label: value}], ...],   series first met in this file
                          "events": [[time, kind, {label: value}, text, {field: value}, trusted], ...],
                          "groups": [[form, n, k], ...]}
    per group            k float64    times, Unix seconds, the same for all n series of the group
                         n u32        ids
                         n            first values ) as zigzag differences: u8 number of byte planes, then the planes: the lowest
                         n*(k-1)      the others   ) bytes of all, the second ones of all, ...

``form`` is ``scale + 16 * relation``. Scale 0..4: the values are integers divided by 1, 100, 1,000, 1e6, 1e9. Scale 5: they are the
bits of float64, read as signed integers, differences modulo 2**64. Relation FRESH: the first values are differences from 0, and the
series' base from here to the next key record. NEXT: the first values are differences from that base. SAME: as NEXT, but all k
values are equal, and the others are not written. A series' other values lie together, each as the difference from the one before.
So a record can be read with nothing but the FRESH first values before it. Zigzag: ``d >= 0`` is written 2d, ``d < 0`` as -2d - 1.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import mul, sub, truediv

from agent.model import Event, Labels
from agent.store.chunk import SCALES, scale_of
from agent.store.series import Times

FRESH, NEXT, SAME = 0, 1, 2
BITS = len(SCALES)
_MOST = 1 << 62  # so that differences fit into 64 bits
_WRAP, _SIGN = (1 << 64) - 1, 1 << 63
_LENGTH = struct.Struct("<I")


class Track:
    """What the writer knows of one series: how far it was gathered and, within the current file, how it was written last."""

    __slots__ = ("at", "base", "before", "block", "id", "run", "scale", "value")

    def __init__(self) -> None:
        self.id = -1  # -1: not yet named in the current file
        self.block = -1  # the key record's block it was written in last
        self.scale = -1  # -1: not yet known
        self.base = 0  # its first value in that block, in units of the scale
        self.value = 0.0  # the last value gathered
        self.run: Times | None = None  # the run it stood in, and how many of the run's values were gathered
        self.at = 0
        self.before = float("-inf")  # without a run: everything later is still to be gathered

    def until(self) -> float:
        """The time of the last value gathered."""
        return self.run[self.at - 1] if self.run else self.before


@dataclass
class Batch:
    """Series read at the same moments, with the same scale and relation. ``values`` lie series by series; one each if SAME."""

    times: bytes
    scale: int
    relation: int
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
    """The payload. Sets each track's base, and its scale where the one it had no longer fits."""
    groups: list[tuple[int, int, int]] = []
    parts: list[bytes] = []
    for batch in frame.batches:
        for form, tracks, ints in _groups(batch):
            groups.append((form, len(tracks), len(batch.times) // 8))
            parts += (batch.times, array("I", [t.id for t in tracks]).tobytes(), *_differences(tracks, ints, form))
    directory = {
        "series": [(number, name, dict(labels)) for number, name, labels in frame.series],
        "events": [(e.time, e.kind, dict(e.labels), e.text, dict(e.fields), e.trusted) for e in frame.events],
        "groups": groups,
    }
    head = json.dumps({k: v for k, v in directory.items() if v}, separators=(",", ":")).encode()
    return b"".join((_LENGTH.pack(len(head)), head, *parts))


def _groups(batch: Batch) -> Iterator[tuple[int, list[Track], Sequence[int]]]:
    """Form, series and their scaled integers."""
    ints = _exact(batch.values, batch.scale)
    if ints is not None:
        yield batch.scale + 16 * batch.relation, batch.tracks, ints
        return
    k = len(batch.values) // len(batch.tracks)
    for i, track in enumerate(batch.tracks):  # one of them has outgrown its scale
        part = batch.values[i * k : i * k + k]
        own, relation = _exact(part, batch.scale), batch.relation
        if own is None:
            track.scale, relation = fitting(part), FRESH
            own = _exact(part, track.scale)
            assert own is not None
        yield track.scale + 16 * relation, [track], own


def fitting(values: array[float]) -> int:
    """The scale that keeps these values to the bit."""
    try:
        index = scale_of(values)
    except (ValueError, OverflowError):  # NaN, infinity
        return BITS
    return index if index is not None and _exact(values, index) is not None else BITS


def _exact(values: array[float], scale: int) -> Sequence[int] | None:
    """The values as integers of that scale, or None if that would change a bit."""
    if scale == BITS:
        return array("q", values.tobytes())
    try:
        if scale == 0:
            ints = array("q", map(int, values))
        else:
            ints = array("q", map(round, map(mul, values, repeat(SCALES[scale]))))
    except (ValueError, OverflowError):  # NaN, infinity, beyond 64 bits
        return None
    fits = min(ints) > -_MOST and max(ints) < _MOST
    return ints if fits and floats(ints, scale).tobytes() == values.tobytes() else None


def _differences(tracks: list[Track], ints: Sequence[int], form: int) -> Iterator[bytes]:
    relation, k = form >> 4, len(ints) // len(tracks)
    firsts = ints[::k]
    if relation == FRESH:
        for track, base in zip(tracks, firsts, strict=True):
            track.base = base
        first = list(firsts)
    else:
        first = list(map(sub, firsts, [t.base for t in tracks]))
    yield _packed(first, form)
    if relation != SAME:
        rest = list(map(sub, ints[1:], ints))
        del rest[k - 1 :: k]
        yield _packed(rest, form)


def wrapped(difference: int) -> int:
    """Modulo 2**64, as a signed integer."""
    return ((difference + _SIGN) & _WRAP) - _SIGN


def _packed(differences: list[int], form: int) -> bytes:
    if form & 15 == BITS:
        differences = list(map(wrapped, differences))
    zigzag = [d + d if d >= 0 else -1 - d - d for d in differences]
    used = (max(zigzag, default=0).bit_length() + 7) // 8
    raw = array("Q", zigzag).tobytes()
    return b"".join((bytes((used,)), *(raw[i::8] for i in range(used))))


def floats(ints: Iterable[int], scale: int) -> array[float]:
    """The values that integers of that scale stand for."""
    if scale == BITS:
        return array("d", array("q", ints).tobytes())
    return array("d", ints) if scale == 0 else array("d", map(truediv, ints, repeat(SCALES[scale])))
