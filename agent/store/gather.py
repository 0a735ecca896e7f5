"""Collects from the ring, every few seconds, what it was given since: a slice a series, nothing on the sampling path."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from agent.store.frame import NEXT, Frame, Track
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
        self._current: list[Kept] = []  # of the last walk, and their tracks
        self._own: list[Track] = []
        self._spans: dict[tuple[int, ...], Group] = {}

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
        if current != self._current:
            self._current, self._own = current, [tracks.get(kept) or tracks.setdefault(kept, Track()) for kept in current]
        for low in range(0, len(current), STEP):
            self._walk(current[low : low + STEP], self._own[low : low + STEP], oldest, until)
            yield None
        self._framing.close_frame()
        yield frame

    def _walk(self, series: Sequence[Kept], own: Sequence[Track], oldest: float, until: float) -> None:
        """Some current series and their tracks. All of them pass here, some times a minute: written for speed."""
        block, spans, fed_since = self._framing.block, dict[int, tuple[int, int, Group]](), self._ring.now > until
        run, low, high, group = Times("d"), 0, 0, Group(b"")
        for kept, track in zip(series, own, strict=True):
            together, at = kept.together, track.at
            if track.run is not together.times:
                self._catch_up(kept, track, oldest, until)
                continue
            n = together.count
            if fed_since and together.last > until:
                n = bisect_right(together.times, until, at, n)
            if n == at:
                continue
            if track.run is not run or at != low or n != high:
                run, low, high = track.run, at, n
                span = spans.get(id(run))
                if span is None or span[0] != low or span[1] != high:
                    span = spans[id(run)] = (low, high, self._group(run, low, high))
                group = span[2]
            track.at = n
            if len(kept.values) > at:  # one was written out since: it may have moved
                new = kept.run()[at:n]
                last, value = new[-1], track.value
                if last != value or new.count(value) < n - at or (not value and any(new.tobytes())):  # -0.0 equals 0.0
                    if track.block != block:
                        self._framing.add(kept.handle, track, group, new)
                        continue
                    kind = track.scale + 16 * NEXT + 256 * track.width
                    batch = group.batches.get(kind) or group.begin(kind)
                    batch.tracks.append(track)
                    batch.values.extend(new)
                    track.value = last
                    continue
            if track.block == block:
                group.held[track.scale].append(track)
            else:
                self._framing.hold(kept.handle, track, group)

    def give_back(self, frame: Frame) -> None:
        """A frame that could not be written: all of it is gathered again. A new file must be begun."""
        for batch in frame.batches:
            before = array("d", batch.times)[0] - 1e-6
            for track in batch.tracks:
                track.before, track.run = min(track.until(), before), None
        self._tap.events = frame.events + self._tap.events

    def _catch_up(self, kept: Kept, track: Track, oldest: float, until: float) -> None:
        """A series, or a run of it, not seen before: whatever it got since."""
        run, old, at = kept.times, track.run, track.at
        n = bisect_right(run, until, 0, kept.count)
        if old is None or not at or old[at - 1] < oldest or n < kept.count:
            self._catch_up_all(kept, track, n, oldest, until)
        elif len(kept.values) == 1 and (end := kept.stood(old)):  # as a rule: its run ended, and another one began
            track.run, track.at = run, n
            self._framing.hold(kept.handle, track, self._joint(old, at, end, run, n))
        elif (closed := kept.closed(old)) is not None:
            track.run, track.at = run, n
            self._framing.add(kept.handle, track, self._joint(old, at, len(closed), run, n), closed[at:] + kept.run()[:n])
        else:
            self._catch_up_all(kept, track, n, oldest, until)

    def _catch_up_all(self, kept: Kept, track: Track, n: int, oldest: float, until: float) -> None:
        """The same whatever lies between; ``n`` values of the open run are part of it."""
        before = track.until()
        column = kept.column(max(before, oldest), until)
        track.before = before if column is None else column.times[-1]
        track.run, track.at = (kept.times, n) if n else (None, 0)  # without one its closed run may go on behind that
        if column is not None:
            self._framing.add(kept.handle, track, self._framing.group(column.times.tobytes()), column.values)

    def _joint(self, old: Times, at: int, end: int, run: Times, n: int) -> Group:
        """The batches of the moments from ``at`` to ``end`` of one run and the first ``n`` of the next."""
        span = (id(old), at, end, id(run), n)
        group = self._spans.get(span)
        if group is None:
            group = self._spans[span] = self._framing.group(old[at:end].tobytes() + run[:n].tobytes())
        return group

    def _group(self, run: Times, at: int, n: int) -> Group:
        span = (id(run), at, n)
        group = self._spans.get(span)
        if group is None:
            group = self._spans[span] = self._framing.group(run[at:n].tobytes())
        return group
