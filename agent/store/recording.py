"""Reads what the flight recorder wrote: while it is written, after a crash, behind damage."""

from __future__ import annotations

import json
import os
import struct
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from time import gmtime, strftime
from typing import Any

from agent.errors import AgentError
from agent.model import Column, Event, Labels, Sample, Series
from agent.store import recfile
from agent.store.frame import BASES
from agent.store.recfile import Damage, Record
from agent.store.unframe import Decoder, Section

FILE_MOST_S = 4000.0
"""No file spans more, compacted or not: an older one holds nothing of interest."""
SEEN_S = 130.0
"""A moment shows what was read within this long before it: two rounds of the slowest sources."""
_BAD = (ValueError, LookupError, TypeError, struct.error, OverflowError)
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


@dataclass(frozen=True)
class Part:
    """One record, its values not yet decoded. Each section is to be decoded, in order, before the next part is asked for."""

    decoder: Decoder
    sections: list[Section]
    events: list[Event]
    kind: bytes
    first: float
    last: float


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
            raise AgentError(f"recording {self.folder}: {error.strerror}", help="run as root or as the agent's user") from None
        timed = [(_began(path), path) for path in found if path.endswith(recfile.SUFFIX)]
        return [path for began, path in timed if began is not None and began <= until and began + FILE_MOST_S > since]

    def ticks(self, since: float, until: float) -> Iterator[tuple[float, list[Event], list[Sample]]]:
        """The span as it was lived: moment by moment, the events up to it, then its samples, as a ring takes them."""
        handles: dict[Key, Series] = {}
        for part in self.parts(since, until):
            yield from _moments(part, handles, since, until)

    def one(self, name: str, labels: Labels, since: float, until: float) -> Column:
        """One series in ``(since, until]``; empty if there is nothing of it."""
        column = Column(array("d"), array("d"))
        for part in self.parts(since, until):
            number = part.decoder.ids.get((name, labels))
            for section in part.sections if number is not None else ():
                if number is not None and (place := section.place(number)) >= 0:
                    values = part.decoder.one(section, number, place)
                    low, high = bisect_right(section.times, since), bisect_right(section.times, until)
                    column.times.extend(section.times[low:high])
                    column.values.extend(values[low:high])
        return column

    def instant(self, moment: float) -> dict[Key, tuple[float, float]]:
        """Time and value of every series as last read at or before ``moment``."""
        found: dict[Key, tuple[float, float]] = {}
        for path in reversed(self.files(moment - SEEN_S, moment)):
            for block in reversed(_blocks(_read(path), moment - SEEN_S, moment)):
                found |= _newest(block, moment, found)
        return found

    def verify(self) -> Iterator[FileReport]:
        """Every file, read whole."""
        return map(report, self.files())

    def parts(self, since: float, until: float) -> Iterator[Part]:
        """Records of the span; what lies before it is decoded as far as they need it."""
        for path in self.files(since, until):
            yield from parts(_read(path), since, until)


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
            about = _json(record.payload)
        if record.kind == recfile.END:
            ended = str(_json(record.payload).get("reason", "?"))
        elif record.kind != recfile.FILE:
            part = _part(decoder, record)
            if part is None:
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


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:  # retention or compaction was faster
        return b""
    except OSError as error:
        raise AgentError(f"recording {path}: {error.strerror}", help="run as root or as the agent's user") from None


def _json(payload: bytes) -> dict[str, Any]:
    try:
        found = json.loads(payload)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def parts(data: bytes, since: float = float("-inf"), until: float = float("inf")) -> Iterator[Part]:
    """The records of one file that reach into ``(since, until]``."""
    decoder = Decoder()
    before: list[Part] = []
    for record in recfile.records(data, since, until):
        if not isinstance(record, Record) or record.kind not in (recfile.KEY, recfile.FOLLOW):
            continue
        part = _part(decoder, record)
        if record.kind == recfile.KEY:
            before = []
        if part is None:
            continue
        if record.last <= since:
            before.append(part)  # of this block only the bases matter
            continue
        for earlier in before:
            for section in earlier.sections:
                if section.relation in BASES:
                    decoder.learn(section)
        before = []
        yield part


def _blocks(data: bytes, since: float, until: float) -> list[list[Part]]:
    """Parts by key block."""
    decoder = Decoder()
    blocks: list[list[Part]] = []
    for record in recfile.records(data, since, until):
        if isinstance(record, Record) and record.kind in (recfile.KEY, recfile.FOLLOW):
            part = _part(decoder, record)
            if record.kind == recfile.KEY or not blocks:
                blocks.append([])
            if part is not None:
                blocks[-1].append(part)
    return blocks


def _newest(block: list[Part], moment: float, known: Collection[Key]) -> dict[Key, tuple[float, float]]:
    """The last readings of one block, of series that are not known from a later one."""
    found: dict[Key, tuple[float, float]] = {}
    names = block[0].decoder.names if block else {}
    wanted = {number for number, key in names.items() if key not in known}
    for part in block:
        for section in part.sections:
            if section.relation in BASES:
                part.decoder.learn(section)
    for part in reversed(block):
        for section in part.sections:
            numbers, high = section.numbers(), bisect_right(section.times, moment)
            if high and not wanted.isdisjoint(numbers):
                time = section.times[high - 1]
                here = zip(numbers, part.decoder.at(section, high - 1), strict=True)
                found |= {names[i]: (time, v) for i, v in here if i in wanted}
                wanted.difference_update(numbers)
    return found


def _part(decoder: Decoder, record: Record) -> Part | None:
    """The record's content; None if it does not make sense although its checksum is right."""
    try:
        directory, sections = decoder.head(record.payload)
        events = [
            Event(time, kind, tuple(sorted(labels.items())), text, fields, trusted)
            for time, kind, labels, text, fields, trusted in directory.get("events", ())
        ]
        return Part(decoder, sections, events, record.kind, record.first, record.last)
    except _BAD:
        return None


def _moments(
    part: Part, handles: dict[Key, Series], since: float, until: float
) -> Iterator[tuple[float, list[Event], list[Sample]]]:
    moments: dict[float, list[Sample]] = {}
    for section in part.sections:
        ids, values = part.decoder.values(section)
        known = [part.decoder.names.get(number) for number in ids]
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
