"""Collects from the ring, every few seconds, what it was given since: a slice a series, nothing on the sampling path."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from agent.store.frame import FRESH, NEXT, SAME, STILL, Frame, Track
from agent.store.framing import Framing, Group
from agent.store.ring import Ring, Tap
from agent.store.series import Kept, Times

STEP = 256
"""So many series at once: some 10 ms where each of them has minutes to catch up with, less than one as a rule."""


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
        *_, frame = self.gathering(oldest)
        assert frame is not None
        return frame

    def gathering(self, oldest: float) -> Iterator[Frame | None]:
        """The same in steps, between which the ring may be fed: what comes meanwhile is the next frame's. The last step has it."""
        tap, tracks, until = self._tap, self._tracks, self._ring.now
        current = list(self._ring.current())
        frame = self._framing.begin_frame(tap.events)
        ended, tap.ended, tap.events = tap.ended, [], []
        self._spans = {}
        for low in range(0, len(ended), STEP):
            for kept in ended[low : low + STEP]:
                self._catch_up(kept, tracks.pop(kept) if kept in tracks else Track(), oldest, until)
            yield None
        for low in range(0, len(current), STEP):
            self._walk(current[low : low + STEP], oldest, until)
            yield None
        self._framing.close_frame()
        yield frame

    def _walk(self, series: Sequence[Kept], oldest: float, until: float) -> None:
        """Some current series. All of them pass here, some times a minute: written for speed."""
        tracks, block = self._tracks, self._framing.block
        run, low, high, group, fed_since = Times("d"), 0, 0, Group(b""), self._ring.now > until
        for kept in series:
            together, track = kept.together, tracks.get(kept)
            if track is None:
                track = tracks[kept] = Track()
            if track.run is not together.times:
                self._catch_up(kept, track, oldest, until)
                continue
            n, at = together.count, track.at
            if fed_since and together.last > until:
                n = bisect_right(together.times, until, at, n)
            if n == at:
                continue
            if together.times is not run or at != low or n != high:
                run, low, high = together.times, at, n
                group = self._group(run, at, n)
            if track.id < 0:
                self._framing.name(kept.handle, track)
            track.at = n
            value, batches, equal, moving = track.value, group.batches, SAME, NEXT
            if track.block != block:
                track.block, equal, moving = block, STILL, FRESH
            if len(kept.values) > at:  # one was written out since: it may have moved
                new = kept.run()[at:n]
                if new[-1] != value or new.count(value) < n - at or (not value and any(new.tobytes())):  # -0.0 equals 0.0
                    kind = track.scale + 16 * moving + 256 * track.width
                    batch = batches.get(kind) or group.begin(kind)
                    batch.tracks.append(track)
                    batch.values.extend(new)
                    track.value = new[-1]
                    continue
            kind = track.scale + 16 * equal
            batch = batches.get(kind) or group.begin(kind)
            batch.tracks.append(track)
            batch.values.append(value)

    def give_back(self, frame: Frame) -> None:
        """A frame that could not be written: all of it is gathered again. A new file must be begun."""
        for batch in frame.batches:
            before = array("d", batch.times)[0] - 1e-6
            for track in batch.tracks:
                track.before, track.run = min(track.until(), before), None
        self._tap.events = frame.events + self._tap.events

    def _catch_up(self, kept: Kept, track: Track, oldest: float, until: float) -> None:
        """A series, or a run of it, not seen before: whatever it got since."""
        before, run = track.until(), kept.times
        closed = kept.closed(track.run) if before >= oldest else None
        if closed is not None and track.run is not None:  # as a rule: its run ended, and another one began
            end = bisect_right(track.run, until, track.at, len(closed))
            times, values = track.run[track.at : end], closed[track.at : end]
            if end < len(closed):
                run, n = track.run, end
            else:
                n = bisect_right(run, until, 0, kept.count)
                times.extend(run[:n])
                values.extend(kept.run()[:n])
        else:
            n = bisect_right(run, until, 0, kept.count)
            column = kept.column(max(before, oldest), until)
            times, values = (column.times, column.values) if column is not None else (array("d"), array("d"))
        track.run, track.at, track.before = run, n, times[-1] if values else before
        if values:
            self._framing.add(kept.handle, track, times.tobytes(), values)

    def _group(self, run: Times, at: int, n: int) -> Group:
        span = (id(run), at, n)
        group = self._spans.get(span)
        if group is None:
            group = self._spans[span] = self._framing.group(run[at:n].tobytes())
        return group
