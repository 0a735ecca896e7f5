"""The last hour in memory. Written by the sampling loop only; answers the judge, the page and diagnoses as a View."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field

from agent.dataclass import dataclass
from agent.model import ENTITY_ENDED, Column, Event, Item, Labels, Still
from agent.store.index import Index
from agent.store.intake import Intake, Stretch
from agent.store.series import STALE_S, Kept

KEEP_S = 3600.0
"""How far back windows reach."""
MAX_SERIES = 50_000
MAX_EVENTS = 2_000
BACK_STEP_S = 60.0
"""A wall clock set back by more than this starts history anew: its old times lie in the future now."""


@dataclass
class Tap:
    """What the recorder has not yet fetched: events, and series that ended; the rest it finds by itself."""

    events: list[Event] = field(default_factory=list)
    ended: list[Kept] = field(default_factory=list)


class Ring:
    """One hour of samples and the recent events; implements :class:`agent.model.View` at its newest tick.

    ``events_dropped`` counts events pushed out by newer ones, ``restarts`` how often a stepped clock made history start anew.
    """

    def __init__(self, keep: float = KEEP_S, max_series: int = MAX_SERIES, max_events: int = MAX_EVENTS) -> None:
        self.now = 0.0
        self.ticks = 0
        self.events_dropped = 0
        self.restarts = 0
        self.tap: Tap | None = None
        self._keep = keep
        self._max_events = max_events
        self._max_series = max_series
        self._dropped = 0
        self._start_anew()

    def _start_anew(self) -> None:
        self._index = Index(self._max_series)
        self._intake = Intake(self._index, self._keep, self._add_event)
        self._events: dict[str, deque[Event]] = {}
        self._tick = 0.0

    def add(self, time: float, items: Iterable[Item], interval: float = 0.0) -> None:
        """Store what one source brought at ``time``. ``interval`` is the source's own period, where known."""
        if time != self._tick:
            self._turn(time)
        self._intake.add(time, items, interval)

    def add_lot(self, times: Sequence[float], stretches: Iterable[Stretch]) -> None:
        """Store a lot of a recording, all of it behind what is stored, as if moment after moment had been added."""
        for time in times:
            if time != self._tick:
                self._turn(time)
        for stretch in stretches:
            self._intake.add_stretch(stretch)

    def _turn(self, time: float) -> None:
        if time < self.now - BACK_STEP_S:
            self._dropped = self.dropped
            self._start_anew()
            self.restarts += 1
            self.now = time
        self._tick = time
        self.now = max(self.now, time)
        self.ticks += 1
        self._intake.turn(time, self.now)

    @property
    def dropped(self) -> int:
        """Samples refused: not newer than the series' last, not a number, or over ``max_series``."""
        return self._dropped + self._intake.dropped

    # ------------------------------------------------------------------------------------------ events

    def _add_event(self, event: Event) -> None:
        if event.kind == ENTITY_ENDED:
            self._end(event.labels, event.time)
        kept = self._events.get(event.kind)
        if kept is None:
            kept = self._events[event.kind] = deque(maxlen=self._max_events)
        self.events_dropped += len(kept) == self._max_events
        kept.append(event)
        if self.tap is not None:
            self.tap.events.append(event)

    def end(self, labels: Labels) -> None:
        """End every series that has these labels: no longer live, still readable; a later sample begins a new series."""
        self._end(labels, self.now)

    def _end(self, labels: Labels, time: float) -> None:
        ended = self._index.end(labels, time)
        if self.tap is not None:
            self.tap.ended += ended

    # ------------------------------------------------------------------------------------------ reading

    def at(self, now: float) -> Moment:
        """A View fixed at ``now``: what is added later is not seen through it."""
        return Moment(self, now)

    def series(self, name: str, window: float) -> Mapping[Labels, Column]:
        """All series of that name with at least one sample in ``(now - window, now]``."""
        return self.at(self.now).series(name, window)

    def column(self, name: str, labels: Labels, window: float) -> Column | None:
        """One series, or None if it has no sample in the window."""
        return self.at(self.now).column(name, labels, window)

    def newest(self, name: str, labels: Labels, window: float) -> tuple[float, float] | None:
        """Time and value of the last sample of that column, or None if there is none."""
        return self.at(self.now).newest(name, labels, window)

    def still(self, name: str, labels: Labels, window: float) -> Still | None:
        """The column in short where it is seen at a glance that all its values are one number; None says nothing."""
        return self.at(self.now).still(name, labels, window)

    def labels(self, name: str) -> Collection[Labels]:
        """Label sets of that name that are live (not ended, not stale) now."""
        return self.at(self.now).labels(name)

    def events(self, kind: str, window: float) -> Sequence[Event]:
        """Events of that kind in the window, oldest first."""
        return self.at(self.now).events(kind, window)

    def live(self, name: str) -> list[Kept]:
        """The live series of that name; ``values[-1]`` is the newest value. Cheap: made for the page."""
        now, fresh = self.now, self.now - STALE_S
        return [k for k in self._index.current(name).values() if k.together.last >= fresh or k.live(now)]

    def news(self) -> tuple[set[Kept], set[str]]:
        """Series whose value changed, and names with series that came or went, since the last call. There is one page to call."""
        return self._index.news()

    def latest(self, name: str) -> Mapping[Labels, tuple[float, float]]:
        """Time and value of the newest sample of every live series of that name."""
        return {kept.labels: (kept.last, kept.values[-1]) for kept in self.live(name)}

    def current(self) -> Collection[Kept]:
        """Every series that was not ended."""
        return self._index.by_handle.values()

    def names(self) -> Collection[str]:
        """Names that have, or had within the hour, a series."""
        return self._index.names()

    def __len__(self) -> int:
        return len(self._index)

    @property
    def bytes(self) -> int:
        """Memory of series, indexes and shared times. Walks all series: some milliseconds for 2,000, so ask seldom."""
        return self._index.size()


class Moment:
    """The ring as it stood at ``now``, for a diagnosis that takes longer than a tick."""

    __slots__ = ("_ring", "now")

    def __init__(self, ring: Ring, now: float) -> None:
        self._ring = ring
        self.now = now

    def series(self, name: str, window: float) -> Mapping[Labels, Column]:
        """All series of that name with at least one sample in ``(now - window, now]``; of equal labels the newest."""
        found = {}
        for kept in self._ring._index.all(name):
            column = kept.column(self.now - window, self.now)
            if column is not None:
                found[kept.labels] = column
        return found

    def column(self, name: str, labels: Labels, window: float) -> Column | None:
        """One series, or None if it has no sample in the window; of an ended one and its successor the successor."""
        index, now = self._ring._index, self.now
        current = index.find(name, labels)
        if current is not None and (column := current.column(now - window, now)) is not None:
            return column
        for kept in index.before(name, labels):
            if (column := kept.column(now - window, now)) is not None:
                return column
        return None

    def newest(self, name: str, labels: Labels, window: float) -> tuple[float, float] | None:
        """Time and value of the last sample of that column, or None if there is none."""
        kept = self._ring._index.find(name, labels)
        if kept is not None and self.now - window < (last := kept.together.last) <= self.now:
            return last, kept.values[-1]
        column = self.column(name, labels, window)
        return None if column is None else (column.times[-1], column.values[-1])

    def still(self, name: str, labels: Labels, window: float) -> Still | None:
        """The column in short where it is seen at a glance that all its values are one number; None says nothing."""
        kept = self._ring._index.find(name, labels)
        return None if kept is None else kept.still(self.now - window, self.now)

    def labels(self, name: str) -> Collection[Labels]:
        """Label sets of that name that were live (not ended, not stale) at ``now``."""
        if self.now == self._ring.now:
            return [kept.handle.labels for kept in self._ring.live(name)]
        return [kept.labels for kept in self._ring._index.all(name) if kept.first <= self.now and kept.live(self.now)]

    def events(self, kind: str, window: float) -> Sequence[Event]:
        """Events of that kind in the window, oldest first."""
        low = self.now - window
        return [event for event in self._ring._events.get(kind, ()) if low < event.time <= self.now]
