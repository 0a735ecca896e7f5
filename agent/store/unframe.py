"""Decodes the payloads of :mod:`agent.store.frame`: whole, for one series, or for one moment."""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import add
from typing import Any

from agent.store import lanes
from agent.store.frame import BASES, BITS, EQUAL, STILL, floats, wrapped
from agent.store.names import Names

_ID = struct.Struct("<I")
_FEW = 32  # so few items are faster one by one


class Section:
    """One group as it lies in the payload: ``k`` moments of each of ``n`` series, as scaled differences in byte planes.

    ``relation`` is FRESH, NEXT, SAME or STILL, ``end`` where it ends in the payload. ValueError if it lies beyond that.
    """

    __slots__ = ("_at", "_first", "_payload", "_rest", "_times", "end", "k", "n", "relation", "scale")

    def __init__(self, payload: bytes, at: int, form: int, n: int, k: int) -> None:
        self._payload, self._at, self.n, self.k = payload, at, n, k
        self.relation, self.scale = divmod(form, 16)
        self._times: array[float] | None = None
        self._first = at + 8 * k + _ID.size * n
        self._rest = self._first + 1 + payload[self._first] * n
        self.end = _end(payload, at, form, n, k)
        if self.end > len(payload) or n < 1 or k < 1 or not 0 <= self.relation <= STILL or payload[self._first] > lanes.WIDTH:
            raise ValueError("the payload is not what its directory says")
        if self.relation not in EQUAL and payload[self._rest] > lanes.WIDTH:
            raise ValueError("byte planes out of range")

    @property
    def times(self) -> array[float]:
        """The moments."""
        if self._times is None:
            self._times = array("d", self._payload[self._at : self._at + 8 * self.k])
        return self._times

    def numbers(self) -> array[int]:
        """The ids."""
        return array("I", self._payload[self._at + 8 * self.k : self._first])

    def place(self, wanted: int) -> int:
        """Which series of the group has this id; -1 if none."""
        sought, begin = _ID.pack(wanted), self._at + 8 * self.k
        at = self._payload.find(sought, begin, self._first)
        while at >= 0 and (at - begin) % _ID.size:
            at = self._payload.find(sought, at + 1, self._first)
        return (at - begin) // _ID.size if at >= 0 else -1

    def first(self, place: int = 0, count: int | None = None) -> Sequence[int]:
        """The first values, or so many from a place on, as they were written."""
        return self._unpacked(self._first, self.n, place, self.n if count is None else count)

    def rest(self, place: int = 0, count: int | None = None) -> Sequence[int]:
        """The differences that follow, series by series; or those of so many series from a place on."""
        steps = self.k - 1
        return self._unpacked(self._rest, self.n * steps, place * steps, (self.n if count is None else count) * steps)

    def _unpacked(self, at: int, size: int, low: int, count: int) -> Sequence[int]:
        payload, used = self._payload, self._payload[at]
        begin = at + 1 + low
        parts = [payload[begin + i * size : begin + i * size + count] for i in range(used)]
        if count > _FEW and parts:
            return lanes.unplanes(parts)
        zigzag: Sequence[int] = [0] * count
        for shift, part in enumerate(parts):
            zigzag = part if not shift else [z | b << 8 * shift for z, b in zip(zigzag, part, strict=True)]
        return [(z >> 1) ^ -(z & 1) for z in zigzag]


class Decoder:
    """Reads the records of one file in order. ValueError or LookupError for a payload that cannot be."""

    def __init__(self) -> None:
        self.names = Names()
        self._base: dict[int, int] = {}

    def directory(self, payload: bytes) -> tuple[dict[str, Any], int]:
        """The directory, and where it ends; new series are taken note of."""
        (length,) = _ID.unpack_from(payload)
        found: dict[str, Any] = json.loads(str(payload[_ID.size : _ID.size + length], "utf-8"))
        if not isinstance(found, dict):
            raise ValueError("a directory is an object")
        self.names.add(found.get("series", ()))
        return found, _ID.size + length

    def head(self, payload: bytes) -> tuple[dict[str, Any], list[Section]]:
        """The directory and the groups, not yet decoded; new series are taken note of."""
        directory, at = self.directory(payload)
        return directory, list(sections(payload, at, directory))

    def values(self, section: Section) -> tuple[array[int], array[float]]:
        """Ids, and their values, series by series."""
        ids, k = section.numbers(), section.k
        first = self.learn(section)
        if section.relation in EQUAL:
            held = array("d")
            for value in _floats(first, section.scale):
                held.extend((value,) * k)
            return ids, held
        rest, steps = section.rest(), k - 1
        ints: list[int] = []
        for i, start in enumerate(first):
            ints += accumulate(rest[i * steps : (i + 1) * steps], initial=start)
        return ids, _floats(ints, section.scale)

    def at(self, section: Section, place: int) -> array[float]:
        """The values of all its series at the moment ``place`` of the group, in the order of their ids."""
        ints = self.learn(section)
        if section.relation not in EQUAL and place:
            rest, steps = section.rest(), section.k - 1
            gained = [sum(rest[i : i + place]) for i in range(0, section.n * steps, steps)]
            ints = list(map(add, ints, gained))
        return _floats(ints, section.scale)

    def one(self, section: Section, number: int, place: int) -> array[float]:
        """The values of the one series that stands at ``place`` of the group; no other of the file may be asked for then."""
        (start,) = section.first(place, 1)
        if section.relation in BASES:
            self._base[number] = start
        else:
            start += self._base[number]
        if section.relation in EQUAL:
            return _floats((start,), section.scale) * section.k
        return _floats(list(accumulate(section.rest(place, 1), initial=start)), section.scale)

    def learn(self, section: Section) -> Sequence[int]:
        """The first values; of fresh series the bases for what follows."""
        first, base = section.first(), self._base
        if section.relation in BASES:
            base.update(zip(section.numbers(), first, strict=True))
            return first
        return list(map(add, first, map(base.__getitem__, section.numbers())))


def _floats(ints: Sequence[int], scale: int) -> array[float]:
    return floats(list(map(wrapped, ints)) if scale == BITS else ints, scale)


def _end(payload: bytes, at: int, form: int, n: int, k: int) -> int:
    """Where a group ends."""
    first = at + 8 * k + _ID.size * n
    rest = first + 1 + payload[first] * n
    return rest if form // 16 in EQUAL else rest + 1 + payload[rest] * n * (k - 1)


def holding(payload: bytes, at: int, directory: dict[str, Any], number: int) -> tuple[Section, int] | None:
    """The group that has a series of this id, and its place there. Those before it are looked at no closer than that takes."""
    sought = _ID.pack(number)
    for form, n, k in directory.get("groups", ()):
        if payload.find(sought, at + 8 * k, at + 8 * k + _ID.size * n) >= 0:
            section = Section(payload, at, form, n, k)
            if (place := section.place(number)) >= 0:
                return section, place
        at = _end(payload, at, form, n, k)
    return None


def sections(payload: bytes, at: int, directory: dict[str, Any]) -> Iterator[Section]:
    """The groups that a directory, which ends at ``at``, tells of. ValueError or LookupError if they cannot be."""
    for form, n, k in directory.get("groups", ()):
        section = Section(payload, at, form, n, k)
        yield section
        at = section.end
