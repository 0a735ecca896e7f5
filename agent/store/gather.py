"""Collects from the ring, every few seconds, what it was given since: a slice a series, nothing on the sampling path."""

from __future__ import annotations

from array import array

from agent.store.frame import NEXT, SAME, Frame, Track
from agent.store.framing import Framing, Group
from agent.store.ring import Ring, Tap
from agent.store.series import Kept, Times


class Gatherer:
    """Remembers how far each series was gathered. Belongs to the thread that feeds the ring."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._tap = ring.tap = Tap()
        self._tracks: dict[Kept, Track] = {}
        self._framing = Framing()
        self._spans: dict[tuple[int, int, int], Group] = {}

    def begin_file(self) -> None:
        """From here on nothing refers to what was gathered before, names included."""
        kept = self._tracks
        self._tracks = {series: kept[series] for series in self._ring.current() if series in kept}
        self._tracks |= {series: kept[series] for series in self._tap.ended if series in kept}
        for track in self._tracks.values():
            track.id = -1
        self._framing.begin_file()

    def begin_block(self) -> None:
        """From here on no value refers to one that was gathered before."""
        self._framing.begin_block()

    def frame(self, oldest: float) -> Frame:
        """Everything since the last call, but nothing from before ``oldest``."""
        tap, tracks = self._tap, self._tracks
        frame = self._framing.begin_frame(tap.events)
        ended, tap.ended, tap.events = tap.ended, [], []
        self._spans = {}
        for kept in ended:
            self._catch_up(kept, tracks.pop(kept) if kept in tracks else Track(), oldest)
        self._walk(oldest)
        self._framing.close_frame()
        return frame

    def _walk(self, oldest: float) -> None:
        """Every current series. One pass over all of them, some times a minute: written for speed."""
        tracks, block = self._tracks, self._framing.block
        run, low, high, group = Times("d"), 0, 0, Group(b"")
        for kept in self._ring.current():
            track = tracks.get(kept)
            if track is None:
                track = tracks[kept] = Track()
            if track.run is not kept.times:
                self._catch_up(kept, track, oldest)
                continue
            n, at = kept.count, track.at
            if n == at:
                continue
            if kept.times is not run or at != low or n != high:
                run, low, high = kept.times, at, n
                group = self._group(kept.times, at, n)
            if track.id < 0:
                self._framing.name(kept.handle, track)
            track.at = n
            if track.block != block:
                form, track.block = track.scale, block
                new = kept.run()[at:n]
            elif len(kept.values) <= at:  # none was written out since: it stands still
                form, new = track.scale + 16 * SAME, kept.values[-1:]
            else:
                form, new = track.scale + 16 * NEXT, kept.run()[at:n]
                if new.count(track.value) == n - at:
                    form, new = track.scale + 16 * SAME, new[:1]
            batch = group.batches.get(form) or group.begin(form)
            batch.tracks.append(track)
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
        track.run, track.at = kept.times, kept.count
        if column is not None:
            self._framing.add(kept.handle, track, column.times.tobytes(), column.values)

    def _group(self, run: Times, at: int, n: int) -> Group:
        span = (id(run), at, n)
        group = self._spans.get(span)
        if group is None:
            group = self._spans[span] = self._framing.group(run[at:n].tobytes())
        return group
