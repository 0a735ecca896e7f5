"""Reads what the flight recorder wrote: while it is written, after a crash, behind damage."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from time import gmtime, strftime
from typing import Any

from agent.dataclass import dataclass
from agent.errors import Unavailable
from agent.model import Column, Event, Labels, Sample, Series
from agent.store import recfile
from agent.store.frame import BASES
from agent.store.intake import Stretch
from agent.store.part import Part, contents, head_of, part_of, parts
from agent.store.recfile import Damage
from agent.store.relive import Relived
from agent.store.unframe import Decoder

FILE_MOST_S = 4000.0
"""No file spans more, compacted or not: an older one holds nothing of interest."""
SEEN_S = 130.0
"""A moment shows what was read within this long before it: two rounds of the slowest sources."""
Key = tuple[str, Labels]


@dataclass(frozen=True)
class FileReport:
    """One file as ``record verify`` shows it: times of its samples, why it ended ("" if it was cut or is open), its head."""

    path: str
    bytes: int
    first: float
    last: float
    records: int
    samples: int
    series: int
    ended: str
    about: Mapping[str, Any]
    damage: tuple[Damage, ...] = ()


class Recording:
    """One folder of recordings, or one file, such as an export. Reading skips what is damaged; :meth:`verify` tells what."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def files(self, since: float = float("-inf"), until: float = float("inf")) -> list[str]:
        """Paths that may hold something of ``(since, until]``, oldest first. AgentError if the folder cannot be read."""
        if os.path.isfile(self.folder):
            return [self.folder]
        try:
            low, high = _day(since - FILE_MOST_S), _day(until)
            days = sorted(d for d in os.listdir(self.folder) if len(d) == len("2026-01-01") and low <= d <= high)
            found = [os.path.join(self.folder, d, f) for d in days for f in sorted(os.listdir(os.path.join(self.folder, d)))]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise Unavailable(f"recording {self.folder}: {error.strerror}", help="run as root or as the agent's user") from None
        timed = [(_began(path), path) for path in found if path.endswith(recfile.SUFFIX)]
        return [path for began, path in timed if began is not None and began <= until and began + FILE_MOST_S > since]

    def ticks(self, since: float, until: float) -> Iterator[tuple[float, list[Event], list[Sample]]]:
        """The span as it was lived: moment by moment, the events up to it, then its samples, as a ring takes them."""
        handles: dict[Key, Series] = {}
        for part in self.parts(since, until):
            yield from _moments(part, handles, since, until)

    def lived(
        self, since: float, until: float, halts: Callable[[float], bool]
    ) -> Iterator[tuple[list[float], list[Event], list[Stretch]]]:
        """The same for a ring, by lots of moments, each to be stored before the next: see :meth:`Relived.stretches`."""
        relived = Relived()
        for part in self.parts(since, until):
            yield from relived.stretches(part, since, until, halts)

    def one(self, name: str, labels: Labels, since: float, until: float) -> Column:
        """One series in ``(since, until]``; empty if there is nothing of it."""
        column = Column(array("d"), array("d"))
        for part in self.parts(since, until):
            for number in part.decoder.names.numbers((name, labels)):
                times, values = part.values(number)
                low, high = bisect_right(times, since), bisect_right(times, until)
                column.times.extend(times[low:high])
                column.values.extend(values[low:high])
        return column

    def instant(self, moment: float) -> dict[Key, tuple[float, float]]:
        """Time and value of every series as last read at or before ``moment``, :data:`SEEN_S` before it at most."""
        found: dict[Key, tuple[float, float]] = {}
        since = moment - SEEN_S
        for path in reversed(self.files(since, moment)):
            decoder = Decoder()
            readings = _newest(decoder, _blocks(decoder, _read(path, since), since, moment), since, moment)
            found = _named(decoder, readings) | found
        return found

    def verify(self) -> Iterator[FileReport]:
        """Every file, read whole."""
        return map(report, self.files())

    def parts(self, since: float, until: float) -> Iterator[Part]:
        """Records of the span; what lies before it is decoded as far as they need it."""
        for path in self.files(since, until):
            yield from parts(_read(path, since), since, until)


def report(path: str) -> FileReport:
    """What one file holds and where it is damaged."""
    decoder, damage, ended = Decoder(), [], ""
    first, last, records, samples = float("inf"), float("-inf"), 0, 0
    about: dict[str, Any] = {}
    data = _read(path)
    for record in recfile.records(data):
        if isinstance(record, Damage):
            damage.append(record)
            continue
        records += 1
        if record.kind == recfile.FILE:
            about = head_of(record)
        if record.kind == recfile.END:
            ended = str(head_of(record).get("reason", "?"))
        elif record.kind != recfile.FILE:
            part = part_of(decoder, record)
            if part is None or not part.sound():
                damage.append(Damage(record.at, record.at + recfile.HEAD, False))
                continue
            samples += sum(section.n * section.k for section in part.sections)
            first, last = min(first, record.first), max(last, record.last)
    return FileReport(path, len(data), first, last, records, samples, len(decoder.names), ended, about, tuple(damage))


def _day(moment: float) -> str:
    """Name of the folder of that moment's day; for a moment beyond all times one before or behind all."""
    if not 0.0 <= moment < 253402300800.0:  # the year 10000
        return "" if moment < 0.0 else "~"
    return strftime("%Y-%m-%d", gmtime(moment))


def _began(path: str) -> float | None:
    try:
        return recfile.began(path)
    except ValueError:
        return None


def _read(path: str, since: float = float("-inf")) -> bytes:
    """A file's content; none if all of it is from before."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        return data if recfile.reaches(data, since) else b""
    except FileNotFoundError:  # retention or compaction was faster
        return b""
    except OSError as error:
        raise Unavailable(f"recording {path}: {error.strerror}", help="run as root or as the agent's user") from None


def _blocks(decoder: Decoder, data: bytes, since: float, until: float) -> list[list[Part]]:
    """Parts by key block."""
    blocks: list[list[Part]] = []
    for record in contents(data, since, until):
        part = part_of(decoder, record)
        if record.kind == recfile.KEY or not blocks:
            blocks.append([])
        if part is not None:
            blocks[-1].append(part)
    return blocks


def _newest(decoder: Decoder, blocks: list[list[Part]], since: float, moment: float) -> dict[int, tuple[float, float]]:
    """Time and value of the last readings in ``(since, moment]``, by id. Blocks that are not needed are not decoded."""
    found: dict[int, tuple[float, float]] = {}
    for block in reversed(blocks):
        if len(found) == len(decoder.names) or (block and block[-1].last <= since):
            break
        for part in block:
            for section in part.sections:
                if section.relation in BASES:
                    decoder.learn(section)
        for part in reversed(block):
            for section in part.sections:
                high, numbers = bisect_right(section.times, moment), section.numbers()
                if not high or section.times[high - 1] <= since or all(map(found.__contains__, numbers)):
                    continue
                here = zip(repeat(section.times[high - 1]), decoder.at(section, high - 1), strict=False)
                found = dict(zip(numbers, here, strict=True)) | found
    return found


def _named(decoder: Decoder, readings: dict[int, tuple[float, float]]) -> dict[Key, tuple[float, float]]:
    """The readings by name and labels; of a series that ended and came back the newest."""
    if not readings:
        return {}
    names = decoder.names.keys()
    found = {names[number]: reading for number, reading in readings.items() if number in names}
    if len(found) < len(readings):
        for number, reading in readings.items():
            if number in names:
                found[names[number]] = max(reading, found[names[number]])
    return found


def _moments(
    part: Part, handles: dict[Key, Series], since: float, until: float
) -> Iterator[tuple[float, list[Event], list[Sample]]]:
    moments: dict[float, list[Sample]] = {}
    groups, names = part.sections, part.decoder.names.keys()
    for section in groups:
        ids, values = part.decoder.values(section)
        known = [names.get(number) for number in ids]
        here = [None if key is None else handles.get(key) or handles.setdefault(key, Series(*key)) for key in known]
        for j, time in enumerate(section.times):
            if since < time <= until:
                row = moments.setdefault(time, [])
                row += [Sample(h, v) for h, v in zip(here, values[j :: section.k], strict=True) if h is not None]
    events = sorted(part.events, key=lambda e: e.time)
    for time in sorted(moments):
        due = [e for e in events if e.time <= time]
        events = events[len(due) :]
        yield time, due, moments[time]
    if events:
        yield events[-1].time, events, []
