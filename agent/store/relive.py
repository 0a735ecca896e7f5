"""A recording as a ring takes it most cheaply: figures that come together, and of them only what moved is looked at."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

from agent.model import Event, Item, Labels, Series
from agent.store.part import Part
from agent.store.unframe import Decoder

_Members = list[tuple[int, "array[float]"]]


class Told:
    """Series of one entity that were read at the same moments; implements :class:`agent.model.Figures`."""

    __slots__ = ("moved", "series", "stored", "values")

    def __init__(self, series: list[Series], values: list[float]) -> None:
        self.series = series
        self.values = values
        self.moved: set[int] = set()
        self.stored: Any = None

    def put(self, changes: Iterable[tuple[int, float]]) -> None:
        """Take new values over, by place."""
        for place, value in changes:
            self.values[place] = value
            self.moved.add(place)


class Relived:
    """Goes through the parts of a recording in order; remembers what came together in the file at hand."""

    def __init__(self) -> None:
        self._handles: dict[tuple[str, Labels], Series] = {}
        self._decoder: Decoder | None = None
        self._known: dict[int, Series] = {}
        self._told: dict[tuple[int, ...], Told] = {}

    def moments(self, part: Part, since: float, until: float) -> Iterator[tuple[float, list[Event], list[Item]]]:
        """Moment by moment of ``(since, until]``: the events up to it, then its figures. Each is to be stored before the next."""
        if part.decoder is not self._decoder:  # another file numbers its series anew
            self._decoder, self._known, self._told = part.decoder, {}, {}
        moments: dict[float, list[tuple[Told, list[tuple[int, float]]]]] = {}
        used: dict[tuple[int, ...], Told] = {}
        for (_, times), members in self._together(part).items():
            members.sort(key=itemgetter(0))
            numbers = tuple(map(itemgetter(0), members))
            told = self._told.get(numbers) or Told([self._known[n] for n in numbers], [values[0] for _, values in members])
            used[numbers] = told
            for time, changes in zip(array("d", times), _changes(told, members), strict=True):
                if time <= since:
                    told.put(changes)
                elif time <= until:
                    moments.setdefault(time, []).append((told, changes))
        self._told = used if len(self._told) > 4 * len(used) else self._told | used
        events = sorted(part.events, key=lambda e: e.time)
        for time in sorted(moments):
            due = [e for e in events if e.time <= time]
            events = events[len(due) :]
            for told, changes in moments[time]:
                told.put(changes)
            yield time, due, [told for told, _ in moments[time]]
        if events:
            yield events[-1].time, events, []

    def _together(self, part: Part) -> dict[tuple[Labels, bytes], _Members]:
        """Ids and values by entity and moments."""
        found: dict[tuple[Labels, bytes], _Members] = {}
        for section in part.sections:
            (ids, values), k, times = part.decoder.values(section), section.k, section.times.tobytes()
            for i, number in enumerate(ids):
                series = self._known.get(number) or self._handle(part.decoder, number)
                if series is not None:
                    found.setdefault((series.labels[:1], times), []).append((number, values[i * k : i * k + k]))
        return found

    def _handle(self, decoder: Decoder, number: int) -> Series | None:
        key = decoder.names.keys().get(number)
        if key is None:
            return None
        handle = self._handles.get(key) or self._handles.setdefault(key, Series(*key))
        self._known[number] = handle
        return handle


def _changes(told: Told, members: _Members) -> list[list[tuple[int, float]]]:
    """By moment, which places get which other value."""
    changes: list[list[tuple[int, float]]] = [[] for _ in members[0][1]]
    for place, (_, values) in enumerate(members):
        before = told.values[place]
        if values.count(before) < len(values):
            for j, value in enumerate(values):
                if value != before:
                    changes[j].append((place, value))
                    before = value
    return changes
