"""Puts series together into frames: names them once a file, refers to earlier values within a block, groups by moments."""

from __future__ import annotations

from array import array

from agent.model import Event, Series
from agent.store import chunk
from agent.store.frame import FRESH, NEXT, SAME, STILL, Batch, Frame, Track


class Group:
    """The batches of one set of moments, by kind (see :meth:`agent.store.frame.Track.kind`)."""

    __slots__ = ("batches", "times")

    def __init__(self, times: bytes) -> None:
        self.times = times
        self.batches: dict[int, Batch] = {}

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
        self._frame.batches = [batch for group in self._groups.values() for batch in group.batches.values()]

    def add(self, series: Series, track: Track, times: bytes, values: array[float]) -> None:
        """Values of one series."""
        if track.id < 0:
            self.name(series, track)
        relation = NEXT if track.block == self.block else FRESH
        if chunk.constant(values):
            relation, values = SAME if relation == NEXT else STILL, values[:1]
        kind = track.kind(relation)
        group = self.group(times)
        batch = group.batches.get(kind) or group.begin(kind)
        batch.tracks.append(track)
        batch.values.extend(values)
        track.block, track.value = self.block, values[-1]

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
