"""Writes recorded samples anew in longer records: for compaction, and for an export that leaves things out."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

from agent.model import Column, Event, Series
from agent.store import recfile
from agent.store.frame import Track, encode
from agent.store.framing import Framing
from agent.store.names import Key
from agent.store.part import Part

RECORD_S = 100.0
BLOCK_S = 300.0
"""Longer ones save another tenth and make reading one moment three times as long (bench/recorder.py)."""
LEVEL = 5


class Rewriting:
    """Collects records until they make a long one. ``rename`` and ``retell`` say what series and events are to be called."""

    def __init__(
        self,
        packer: recfile.Packer,
        record_s: float = RECORD_S,
        block_s: float = BLOCK_S,
        *,
        rename: Callable[[Key], Key] = lambda key: key,
        retell: Callable[[Event], Event] = lambda event: event,
    ) -> None:
        self._packer = packer
        self._record_s = record_s
        self._block_s = block_s
        self._rename = rename
        self._retell = retell
        self._framing = Framing()
        self._tracks: dict[Key, tuple[Series, Track]] = {}
        self._columns: dict[Key, Column] = {}
        self._events: list[Event] = []
        self._block_until = float("-inf")

    def records(self, parts: Iterable[Part], since: float = float("-inf"), until: float = float("inf")) -> Iterator[bytes]:
        """What lies in ``(since, until]``."""
        began = None
        for part in parts:
            if began is not None and part.last - began > self._record_s:
                yield self._record(began)
                began = None
            began = max(part.first, since) if began is None else began
            self._take(part, since, until)
        if began is not None:
            yield self._record(began)

    def _take(self, part: Part, since: float, until: float) -> None:
        self._events += [self._retell(event) for event in part.events if event.time <= until]
        groups, names = part.sections, part.decoder.names.keys()
        for section in groups:
            ids, values = part.decoder.values(section)
            low, high = bisect_right(section.times, since), bisect_right(section.times, until)
            for i, number in enumerate(ids if high > low else ()):
                key = self._rename(names[number])
                column = self._columns.get(key)
                if column is None:
                    column = self._columns[key] = Column(array("d"), array("d"))
                column.times.extend(section.times[low:high])
                column.values.extend(values[i * section.k + low : i * section.k + high])

    def _record(self, began: float) -> bytes:
        kind = recfile.FOLLOW
        if began >= self._block_until:
            self._framing.begin_block()
            kind, self._block_until = recfile.KEY, began + self._block_s - self._record_s / 2
        frame = self._framing.begin_frame(self._events)
        for key in sorted(self._columns):  # what is named alike moves alike: side by side it packs better by a twentieth
            column = self._columns[key]
            series, track = self._tracks.setdefault(key, (Series(*key), Track()))
            self._framing.add(series, track, self._framing.group(column.times.tobytes()), column.values)
        self._framing.close_frame()
        self._columns, self._events = {}, []
        first, last = frame.span(began)
        return self._packer.record(kind, encode(frame), first, last, names=bool(frame.series))
