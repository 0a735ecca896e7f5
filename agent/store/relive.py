"""A recording as a ring takes it most cheaply: by stretches of what came together, of which only what moved is written."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from operator import itemgetter

from agent.model import Event, Labels, Series
from agent.store.intake import Stretch, Told
from agent.store.part import Part
from agent.store.unframe import Decoder

_Members = list[tuple[int, "array[float]"]]


class Relived:
    """Goes through the parts of a recording in order; remembers what came together in the file at hand."""

    def __init__(self) -> None:
        self._handles: dict[tuple[str, Labels], Series] = {}
        self._decoder: Decoder | None = None
        self._known: dict[int, Series] = {}
        self._entity: dict[int, int] = {}
        self._entities: dict[Labels, int] = {}
        self._told: dict[tuple[int, ...], Told] = {}

    def stretches(
        self, part: Part, since: float, until: float, halts: Callable[[float], bool]
    ) -> Iterator[tuple[list[float], list[Event], list[Stretch]]]:
        """The moments of ``(since, until]``, as many at once as can be: with the events up to the first of them, and the figures of
        all. Each lot is to be stored before the next; the one at which somebody ``halts`` is the last of its lot."""
        groups = list(self._groups(part, since))
        events = sorted(part.events, key=lambda e: e.time)
        lot: list[float] = []
        due: list[Event] = []
        for time in sorted({t for group in groups for t in group.times if since < t <= until}):
            if lot and events and events[0].time <= time:
                yield lot, due, _stretches(groups, lot)
                lot = []
            if not lot:
                due = [e for e in events if e.time <= time]
                events = events[len(due) :]
            lot.append(time)
            if halts(time):
                yield lot, due, _stretches(groups, lot)
                lot = []
        if lot:
            yield lot, due, _stretches(groups, lot)
        if events:
            yield [events[-1].time], events, []

    def _groups(self, part: Part, since: float) -> Iterator[Stretch]:
        """What came together in the part, behind ``since``."""
        if part.decoder is not self._decoder:  # another file numbers its series anew
            self._decoder, self._known, self._told, self._entity = part.decoder, {}, {}, {}
        used: dict[tuple[int, ...], Told] = {}
        for raw, members in self._together(part):
            members.sort(key=itemgetter(0))
            numbers = tuple(map(itemgetter(0), members))
            told = self._told.get(numbers) or Told([self._known[n] for n in numbers], [values[0] for _, values in members])
            known, again = zip(told.values, members, strict=True), numbers in used
            columns = [None if not again and values.count(before) == len(values) else values for before, (_, values) in known]
            used[numbers] = told
            times = array("d", raw)
            yield Stretch(told, times, columns, bisect_right(times, since), len(times))
        self._told = used if len(self._told) > 4 * len(used) else self._told | used

    def _together(self, part: Part) -> Iterator[tuple[bytes, _Members]]:
        """Ids and values by moments and entity."""
        found: dict[bytes, dict[int, _Members]] = {}
        entities = self._entity
        for section in part.sections:
            (ids, values), k = part.decoder.values(section), section.k
            here = found.setdefault(section.times.tobytes(), {})
            for number, at in zip(ids, range(0, len(values), k), strict=True):
                entity = entities.get(number)
                if entity is None:
                    entity = self._entity_of(part.decoder, number)
                members = here.get(entity)
                if members is None:
                    members = here[entity] = []
                members.append((number, values[at : at + k]))
        return ((times, members) for times, here in found.items() for entity, members in here.items() if entity >= 0)

    def _entity_of(self, decoder: Decoder, number: int) -> int:
        """A number for whom a series is about; -1 if it has no name."""
        key = decoder.names.keys().get(number)
        if key is None:
            return -1
        self._known[number] = self._handles.get(key) or self._handles.setdefault(key, Series(*key))
        return self._entity.setdefault(number, self._entities.setdefault(key[1][:1], len(self._entities)))


def _stretches(groups: list[Stretch], lot: list[float]) -> list[Stretch]:
    """The part of each group that lies in these moments."""
    found = []
    for told, times, columns, low, _ in groups:
        begin, end = bisect_left(times, lot[0], low), bisect_right(times, lot[-1], low)
        if begin < end:
            found.append(Stretch(told, times, columns, begin, end))
    return found
