"""Records of the flight recorder as readers see them: decoded as far as they are asked, and no further."""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Iterator
from typing import Any

from agent.errors import AgentError
from agent.model import Event
from agent.store import recfile
from agent.store.frame import BASES
from agent.store.recfile import Record
from agent.store.unframe import Decoder, Section, holding, sections

_BAD = (ValueError, LookupError, TypeError, struct.error, OverflowError)


class Part:
    """One record, read as far as it is asked. Each section is to be decoded, in order, before the next part is asked for."""

    __slots__ = ("_directory", "_payload", "_sections", "decoder", "first", "kind", "last")

    def __init__(self, decoder: Decoder, record: Record) -> None:
        self.decoder, self.kind, self.first, self.last = decoder, record.kind, record.first, record.last
        self._payload = record.payload
        self._directory: tuple[dict[str, Any], int] | None = None
        self._sections: list[Section] | None = None
        if record.names:
            self._directory = decoder.directory(self._payload)

    def _read(self) -> tuple[dict[str, Any], int]:
        if self._directory is None:
            self._directory = self.decoder.directory(self._payload)
        return self._directory

    @property
    def sections(self) -> list[Section]:
        """The groups; none if the record does not make sense although its checksum is right."""
        if self._sections is None:
            try:
                directory, at = self._read()
                self._sections = list(sections(self._payload, at, directory))
            except _BAD:
                self._sections = []
        return self._sections

    def values(self, number: int) -> tuple[array[float], array[float]]:
        """Times and values of one series, of which every part is asked. Reads no further than where it stands."""
        try:
            directory, at = self._read()
            if (found := holding(self._payload, at, directory, number)) is not None:
                section, place = found
                return section.times, self.decoder.one(section, number, place)
        except _BAD:
            pass
        return array("d"), array("d")

    @property
    def events(self) -> list[Event]:
        """The events; none if the record does not make sense."""
        try:
            return [
                Event(time, kind, tuple(sorted(labels.items())), text, fields, trusted)
                for time, kind, labels, text, fields, trusted in self._read()[0].get("events", ())
            ]
        except _BAD:
            return []

    def sound(self) -> bool:
        """Whether the record makes sense."""
        try:
            directory, at = self._read()
            list(sections(self._payload, at, directory))
        except _BAD:
            return False
        return len(self.events) == len(directory.get("events", ()))


def part_of(decoder: Decoder, record: Record) -> Part | None:
    """The record's content; None if it does not make sense although its checksum is right."""
    try:
        return Part(decoder, record)
    except _BAD:
        return None


def contents(data: bytes, since: float, until: float) -> Iterator[Record]:
    """The intact records of one file that may hold samples or events. AgentError if a later version of the agent wrote it."""
    for record in recfile.records(data, since, until):
        if isinstance(record, Record) and record.kind in (recfile.KEY, recfile.FOLLOW):
            yield record
        elif isinstance(record, Record) and record.kind == recfile.FILE and head_of(record).get("format", 0) > recfile.FORMAT:
            raise AgentError("the recording is of a later format", help="read it with the version of anfl-agent that wrote it")


def head_of(record: Record) -> dict[str, Any]:
    """What the file's head, or its end, tells; nothing if it is not JSON."""
    try:
        found = json.loads(record.payload)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def parts(data: bytes, since: float = float("-inf"), until: float = float("inf")) -> Iterator[Part]:
    """The records of one file that reach into ``(since, until]``."""
    decoder = Decoder()
    before: list[Part] = []
    for record in contents(data, since, until):
        part = part_of(decoder, record)
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
