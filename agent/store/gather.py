"""Collects from the ring, every few seconds, what it was given since: a slice a series, nothing on the sampling path."""

from __future__ import annotations

from array import array

from agent.store.frame import FRESH, NEXT, SAME, Batch, Frame, Track, fitting
from agent.store.ring import Ring, Tap
from agent.store.series import Kept, Times


class _Group:
    """The batches of one set of moments, by form."""

    __slots__ = ("batches", "times")

    def __init__(self, times: bytes) -> None:
        self.times = times
        self.batches: dict[int, Batch] = {}

    def begin(self, form: int) -> Batch:
        batch = self.batches[form] = Batch(self.times, form % 16, form // 16)
        return batch


class Gatherer:
    """Remembers how far each series was gathered. Belongs to the thread that feeds the ring."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._tap = ring.tap = Tap()
        self._tracks: dict[Kept, Track] = {}
        self._ids = 0
        self._block = 0
        self._frame = Frame()
        self._groups: dict[bytes, _Group] = {}
        self._spans: dict[tuple[int, int, int], _Group] = {}

    def begin_file(self) -> None:
        """From here on nothing refers to what was gathered before, names included."""
        kept = self._tracks
        self._tracks = {series: kept[series] for series in self._ring.current() if series in kept}
        self._tracks |= {series: kept[series] for series in self._tap.ended if series in kept}
        for track in self._tracks.values():
            track.id = -1
        self._ids = 0
        self.begin_block()

    def begin_block(self) -> None:
        """From here on no value refers to one that was gathered before."""
        self._block += 1

    def frame(self, oldest: float) -> Frame:
        """Everything since the last call, but nothing from before ``oldest``."""
        tap, tracks = self._tap, self._tracks
        frame = self._frame = Frame(events=tap.events)
        ended, tap.ended, tap.events = tap.ended, [], []
        self._spans, self._groups = {}, {}
        for kept in ended:
            self._catch_up(kept, tracks.pop(kept) if kept in tracks else Track(), oldest)
        self._walk(oldest)
        frame.batches = [batch for group in self._groups.values() for batch in group.batches.values()]
        return frame

    def _walk(self, oldest: float) -> None:
        """Every current series. One pass over all of them, some times a minute: written for speed."""
        tracks, block = self._tracks, self._block
        run, low, high, group = Times("d"), 0, 0, _Group(b"")
        for kept in self._ring.current():
            track = tracks.get(kept)
            if track is None:
                track = tracks[kept] = Track()
            if track.run is not kept.times:
                self._catch_up(kept, track, oldest)
                continue
            values, at = kept.values, track.at
            n = len(values)
            if n == at:
                continue
            if kept.times is not run or at != low or n != high:
                run, low, high = kept.times, at, n
                group = self._group(kept.times, at, n)
            if track.id < 0:
                self._name(kept, track)
            track.at = n
            new = values[at:n]
            if track.block != block:
                form, track.block = track.scale, block
            elif new.count(track.value) == n - at:
                form = 16 * SAME
            else:
                form = track.scale + 16 * NEXT
            batch = group.batches.get(form) or group.begin(form)
            batch.tracks.append(track)
            if form != 16 * SAME:
                batch.values.extend(new)
                track.value = new[-1]

    def give_back(self, frame: Frame) -> None:
        """A frame that could not be written: all of it is gathered again. A new file must be begun."""
        for batch in frame.batches:
            before = array("d", batch.times)[0] - 1e-6
            for track in batch.tracks:
                track.before, track.run = min(track.until(), before), None
        self._tap.events = frame.events + self._tap.events

    def _catch_up(self, kept: Kept, track: Track, oldest: float) -> None:
        """A series, or a run of it, not seen before: whatever it got since."""
        column = kept.column(max(track.until(), oldest), float("inf"))
        track.run, track.at = kept.times, len(kept.values)
        if column is None:
            return
        if track.id < 0:
            self._name(kept, track)
        if track.scale < 0:
            track.scale = fitting(column.values)
        form = track.scale + 16 * (NEXT if track.block == self._block else FRESH)
        group = self._of_times(column.times.tobytes())
        batch = group.batches.get(form) or group.begin(form)
        batch.tracks.append(track)
        batch.values.extend(column.values)
        track.block, track.value = self._block, column.values[-1]

    def _name(self, kept: Kept, track: Track) -> None:
        track.id = self._ids
        self._ids += 1
        self._frame.series.append((track.id, kept.handle.name, kept.handle.labels))

    def _group(self, run: Times, at: int, n: int) -> _Group:
        span = (id(run), at, n)
        group = self._spans.get(span)
        if group is None:
            group = self._spans[span] = self._of_times(run[at:n].tobytes())
        return group

    def _of_times(self, times: bytes) -> _Group:
        """The batches of one set of moments, however many runs share it."""
        group = self._groups.get(times)
        if group is None:
            group = self._groups[times] = _Group(times)
        return group
