"""Rewrites a closed file of the recording in longer records: the same values in two thirds of the space.

Works in a process of its own, ``python -m agent.store.compact PATH``: arithmetic for a second or so and some tens of MiB, nothing
that should happen beside the agent's loop. The new file takes the old one's place in one rename; a crash leaves the old one.
"""

from __future__ import annotations

import json
import os
import sys
from array import array
from collections.abc import Iterator

from agent.model import Column, Event, Series
from agent.store import recfile
from agent.store.frame import Track, encode
from agent.store.framing import Framing
from agent.store.recfile import Record
from agent.store.recording import Key, Part, parts

RECORD_S = 100.0
BLOCK_S = 300.0
"""Longer ones save another tenth and make reading one moment three times as long (bench/recorder.py)."""
LEVEL = 3
MARK = b'"compacted": true'
"""Stands in the head of a file that was rewritten."""
TEMPORARY = ".compacting"


def compact(path: str, *, record_s: float = RECORD_S, block_s: float = BLOCK_S, level: int = LEVEL) -> tuple[int, int]:
    """Bytes before and after. ValueError if the file is damaged or still open (it stays as it is), OSError from the disk."""
    with open(path, "rb") as file:
        data = file.read()
    found = [r for r in recfile.records(data) if isinstance(r, Record)]
    ends = [r for r in found if r.kind == recfile.END]
    if sum(recfile.HEAD + r.length for r in found) != len(data) or not ends or found[0].kind != recfile.FILE:
        raise ValueError(f"{path} is damaged or was cut short")
    packer = recfile.Packer(level)
    head = json.dumps(json.loads(found[0].payload)).encode()[:-1] + b", " + MARK + b"}"
    new = [packer.record(recfile.FILE, head, found[0].first, found[0].last)]
    new += _Rewriting(packer, record_s, block_s).records(data)
    new += [packer.record(recfile.END, r.payload, r.first, r.last) for r in ends]
    _replace(path, b"".join(new))
    return len(data), sum(map(len, new))


class _Rewriting:
    """Collects records until they make a long one."""

    def __init__(self, packer: recfile.Packer, record_s: float, block_s: float) -> None:
        self._packer = packer
        self._record_s = record_s
        self._block_s = block_s
        self._framing = Framing()
        self._tracks: dict[Key, tuple[Series, Track]] = {}
        self._columns: dict[Key, Column] = {}
        self._events: list[Event] = []
        self._block_until = float("-inf")

    def records(self, data: bytes) -> Iterator[bytes]:
        began = None
        for part in parts(data):
            if began is not None and part.last - began > self._record_s:
                yield self._record(began)
                began = None
            began = part.first if began is None else began
            self._take(part)
        if began is not None:
            yield self._record(began)

    def _take(self, part: Part) -> None:
        self._events += part.events
        for section in part.sections:
            ids, values = part.decoder.values(section)
            for i, number in enumerate(ids):
                key = part.decoder.names[number]
                column = self._columns.get(key)
                if column is None:
                    column = self._columns[key] = Column(array("d"), array("d"))
                column.times.extend(section.times)
                column.values.extend(values[i * section.k : (i + 1) * section.k])

    def _record(self, began: float) -> bytes:
        kind = recfile.FOLLOW
        if began >= self._block_until:
            self._framing.begin_block()
            kind, self._block_until = recfile.KEY, began + self._block_s - self._record_s / 2
        frame = self._framing.begin_frame(self._events)
        for key, column in self._columns.items():
            series, track = self._tracks.setdefault(key, (Series(*key), Track()))
            self._framing.add(series, track, column.times.tobytes(), column.values)
        self._framing.close_frame()
        self._columns, self._events = {}, []
        first, last = frame.span(began)
        return self._packer.record(kind, encode(frame), first, last, names=bool(frame.series))


def _replace(path: str, data: bytes) -> None:
    """Put new content in a file's place; whoever reads it sees the old or the new one, whole."""
    temporary = path + TEMPORARY
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fdatasync(fd)
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


if __name__ == "__main__":
    os.nice(10)
    for argument in sys.argv[1:]:
        compact(argument)
