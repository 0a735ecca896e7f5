"""Puts series together into frames: names them once a file, refers to earlier values within a block, groups by moments."""

from __future__ import annotations

import struct
from array import array
from collections import defaultdict
from collections.abc import Iterator

from agent.model import Event, Series
from agent.store import chunk
from agent.store.frame import FRESH, NEXT, SAME, STILL, Batch, Frame, Track

_DOUBLE = struct.Struct("<d")


class Group:
    """The batches of one set of moments, by kind (scale, 16 times relation, 256 times width).

    ``held``: by scale, those that stand where they stood in the last record of the same block.
    """

    __slots__ = ("batches", "held", "times")

    def __init__(self, times: bytes) -> None:
        self.times = times
        self.batches: dict[int, Batch] = {}
        self.held: defaultdict[int, list[Track]] = defaultdict(list)

    def all(self) -> Iterator[Batch]:
        """All that is to be written; what stands still comes last, which packs better by a fiftieth."""
        yield from self.batches.values()
        for scale, tracks in self.held.items():
            yield Batch(self.times, scale, SAME, tracks=tracks)

    def begin(self, kind: int) -> Batch:
        """An empty batch of that kind."""
        batch = self.batches[kind] = Batch(self.times, kind % 16, kind // 16 % 16, kind // 256)
        return batch


class Framing:
    """The state of one file while its frames are made."""

    def __init__(self) -> None:
        self.block = 0
        self._ids = 0
        self._frame = Frame()
        self._groups: dict[bytes, Group] = {}

    def begin_file(self) -> None:
        """From here on nothing refers to what was before. Every track's ``id`` must be set to -1 by their owner."""
        self._ids = 0
        self.begin_block()

    def begin_block(self) -> None:
        """From here on no value refers to one that was before."""
        self.block += 1

    def begin_frame(self, events: list[Event]) -> Frame:
        """The next frame; :meth:`close_frame` completes it."""
        self._frame, self._groups = Frame(events=events), {}
        return self._frame

    def close_frame(self) -> None:
        """The frame holds all that was added."""
        self._frame.batches = [batch for group in self._groups.values() for batch in group.all()]

    def add(self, series: Series, track: Track, group: Group, values: array[float]) -> None:
        """Values of one series."""
        if chunk.constant(values):
            same = track.block == self.block and values[:1].tobytes() == _DOUBLE.pack(track.value)
            self.hold(series, track, group, None if same else values[0])
            return
        relation = self._relation(series, track)
        kind = track.scale + 16 * relation + 256 * track.width
        batch = group.batches.get(kind) or group.begin(kind)
        batch.tracks.append(track)
        batch.values.extend(values)
        track.value = values[-1]

    def hold(self, series: Series, track: Track, group: Group, value: float | None = None) -> None:
        """The same value at all moments of the group; without one that at which the series stands already."""
        if value is None and track.block == self.block:
            group.held[track.scale].append(track)
            return
        kind = track.scale + 16 * (SAME if self._relation(series, track) == NEXT else STILL)
        batch = group.batches.get(kind) or group.begin(kind)
        batch.tracks.append(track)
        track.value = track.value if value is None else value
        batch.values.append(track.value)

    def _relation(self, series: Series, track: Track) -> int:
        """NEXT, or FRESH if there was nothing of the series in this block; now there is."""
        if track.block == self.block:
            return NEXT
        if track.id < 0:
            self.name(series, track)
        track.block = self.block
        return FRESH

    def name(self, series: Series, track: Track) -> None:
        """Give a series its number in this file."""
        track.id = self._ids
        self._ids += 1
        self._frame.series.append((track.id, series.name, series.labels))

    def group(self, times: bytes) -> Group:
        """The batches of one set of moments."""
        group = self._groups.get(times)
        if group is None:
            group = self._groups[times] = Group(times)
        return group
