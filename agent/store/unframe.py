"""Decodes the payloads of :mod:`agent.store.frame`, whole or for one series."""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import add
from typing import Any

from agent.model import Labels
from agent.store.frame import BASES, BITS, EQUAL, STILL, floats, wrapped

_ID = struct.Struct("<I")
_WIDTH = 8


class Planes:
    """Differences as byte planes, not yet cut out of the payload."""

    __slots__ = ("_at", "_payload", "_size", "_used")

    def __init__(self, payload: bytes, at: int, size: int) -> None:
        self._payload, self._at, self._size, self._used = payload, at + 1, size, payload[at]
        if self._used > _WIDTH or self.end > len(payload):
            raise ValueError("byte planes out of range")

    @property
    def end(self) -> int:
        """Where they end in the payload."""
        return self._at + self._used * self._size

    def unpacked(self, first: int = 0, end: int | None = None) -> list[int]:
        """Differences ``first`` to ``end``, or all of them."""
        end = self._size if end is None else end
        parts = [self._payload[at + first : at + end] for at in range(self._at, self.end, self._size or 1)]
        if len(parts) == 1:
            zigzag: Sequence[int] = parts[0]
        else:
            raw = bytearray(_WIDTH * (end - first))
            for i, part in enumerate(parts):
                raw[i::_WIDTH] = part
            zigzag = array("Q", raw)
        return [(z >> 1) ^ -(z & 1) for z in zigzag]


@dataclass(frozen=True)
class Section:
    """One group as it lies in the payload: ``k`` moments of each of ``n`` series, as scaled differences in byte planes."""

    form: int
    n: int
    k: int
    times: array[float]
    ids: bytes
    first: Planes
    rest: Planes

    @property
    def scale(self) -> int:
        """See :mod:`agent.store.frame`."""
        return self.form & 15

    @property
    def relation(self) -> int:
        """FRESH, NEXT or SAME."""
        return self.form >> 4

    def numbers(self) -> list[int]:
        """The ids."""
        return list(array("I", self.ids))

    def place(self, wanted: int) -> int:
        """Which series of the group has this id; -1 if none."""
        sought, at = _ID.pack(wanted), -1
        while (at := self.ids.find(sought, at + 1)) >= 0:
            if at % _ID.size == 0:
                return at // _ID.size
        return -1


class Decoder:
    """Reads the records of one file in order. ValueError or LookupError for a payload that cannot be."""

    def __init__(self) -> None:
        self.names: dict[int, tuple[str, Labels]] = {}
        self.ids: dict[tuple[str, Labels], int] = {}
        self._base: dict[int, int] = {}

    def head(self, payload: bytes) -> tuple[dict[str, Any], list[Section]]:
        """The directory and the groups, not yet decoded; new series are taken note of."""
        (length,) = _ID.unpack_from(payload)
        directory: dict[str, Any] = json.loads(payload[4 : 4 + length])
        for number, name, labels in directory.get("series", ()):
            key = (name, tuple(sorted(labels.items())))
            self.names[number], self.ids[key] = key, number
        return directory, list(_sections(payload, 4 + length, directory.get("groups", ())))

    def values(self, section: Section) -> tuple[list[int], array[float]]:
        """Ids, and their values, series by series."""
        ids, k = section.numbers(), section.k
        first = self.learn(section)
        if section.relation in EQUAL:
            held = array("d")
            for value in _floats(first, section.scale):
                held.extend((value,) * k)
            return ids, held
        rest = section.rest.unpacked()
        ints: list[int] = []
        for i, start in enumerate(first):
            ints += accumulate(rest[i * (k - 1) : (i + 1) * (k - 1)], initial=start)
        return ids, _floats(ints, section.scale)

    def at(self, section: Section, place: int) -> array[float]:
        """The values of all its series at the moment ``place`` of the group, in the order of their ids."""
        ints = self.learn(section)
        if section.relation not in EQUAL and place:
            rest = section.rest.unpacked()
            for j in range(place):
                ints = list(map(add, ints, rest[j :: section.k - 1]))
        return _floats(ints, section.scale)

    def one(self, section: Section, number: int, place: int) -> array[float]:
        """The values of the one series that stands at ``place`` of the group; no other of the file may be asked for then."""
        (start,) = section.first.unpacked(place, place + 1)
        if section.relation in BASES:
            self._base[number] = start
        else:
            start += self._base[number]
        if section.relation in EQUAL:
            return _floats((start,), section.scale) * section.k
        step = section.k - 1
        ints = list(accumulate(section.rest.unpacked(place * step, (place + 1) * step), initial=start))
        return _floats(ints, section.scale)

    def learn(self, section: Section) -> list[int]:
        """The first values; of fresh series the bases for what follows."""
        first, base = section.first.unpacked(), self._base
        if section.relation in BASES:
            base.update(zip(section.numbers(), first, strict=True))
            return first
        return [a + base[i] for a, i in zip(first, section.numbers(), strict=True)]


def _floats(ints: Sequence[int], scale: int) -> array[float]:
    return floats(list(map(wrapped, ints)) if scale == BITS else ints, scale)


def _sections(payload: bytes, at: int, groups: Sequence[tuple[int, int, int]]) -> Iterator[Section]:
    for form, n, k in groups:
        times = array("d", payload[at : at + 8 * k])
        at += 8 * k
        ids = payload[at : at + _ID.size * n]
        at += _ID.size * n
        first = Planes(payload, at, n)
        rest = first if form >> 4 in EQUAL else Planes(payload, first.end, n * (k - 1))
        at = rest.end
        if at > len(payload) or n < 1 or k < 1 or form >> 4 > STILL:
            raise ValueError("the payload is not what its directory says")
        yield Section(form, n, k, times, ids, first, rest)
