"""The flight recorder: what the ring was given goes to disk some seconds later, in one append.

A kill loses at most the seconds since the last record, a power cut those and one record more. A full or read-only disk loses
nothing that is younger than :data:`BACKLOG_S` once it can be written again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping

from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.store import recfile
from agent.store.frame import Frame, encode
from agent.store.gather import Gatherer
from agent.store.ring import BACK_STEP_S, Ring

FLUSH_S = 8.0
"""A record this often: with the write itself a kill loses less than 10 s."""
BLOCK_S = 60.0
"""A key record this often: reading a moment never decodes more than this much before it."""
FILE_S = 600.0
BACKLOG_S = 300.0
"""What is older when a disk takes records again stays out: the catching-up must not be a stall."""


@dataclass
class Written:
    """What the recorder did so far; ``trouble`` says why the last record could not be written."""

    records: int = 0
    bytes: int = 0
    samples: int = 0
    trouble: str = ""


class Recorder:
    """Writes one folder. ``gather`` belongs to the thread that feeds the ring; ``write`` may run on another."""

    def __init__(self, folder: str, ring: Ring, about: Mapping[str, str], sync: Callable[[int], None] = os.fdatasync) -> None:
        self.folder = folder
        self.written = Written()
        self._about = about
        self._sync = sync
        self._gatherer = Gatherer(ring)
        self._packer = recfile.Packer()
        self._fd: int | None = None
        self._file_until = self._block_until = float("-inf")
        self._kind = recfile.KEY
        self._new_file = True
        self._due = False  # something was gathered, and is neither written nor given back yet
        self._now = 0.0

    def gather(self, now: float) -> Frame:
        """All that the ring was given since the last call."""
        *_, frame = self.gathering(now)
        assert frame is not None
        return frame

    def gathering(self, now: float) -> Iterator[Frame | None]:
        """The same in steps of some milliseconds, between which the ring may be fed; the last one has the frame."""
        if self._due:  # it was lost: what follows must not refer to it
            self._new_file = True
        if self._new_file or now >= self._file_until or now < self._now - BACK_STEP_S:
            self._new_file, self._file_until = True, now + FILE_S
            self._gatherer.begin_file()
            self._block_until = now + BLOCK_S
            self._kind = recfile.KEY
        elif now >= self._block_until:
            self._gatherer.begin_block()
            self._block_until = now + BLOCK_S
            self._kind = recfile.KEY
        else:
            self._kind = recfile.FOLLOW
        self._now, self._due = now, True
        for frame in self._gatherer.gathering(now - BACKLOG_S):
            self._due = frame is None or bool(frame)
            yield frame

    def write(self, frame: Frame) -> None:
        """Append the record and bring it to disk. AgentError if the disk would not take it; then :meth:`give_back`."""
        first, last = frame.span(self._now)
        self._due = False
        data = self._packer.record(self._kind, encode(frame), first, last, names=bool(frame.series))
        try:
            if self._new_file:
                data = self._open(first) + data
            assert self._fd is not None
            _write_all(self._fd, data)
            self._sync(self._fd)
        except OSError as error:
            self._new_file = True  # this one may end in half a record
            self.written.trouble = error.strerror or str(error)
            raise AgentError(
                f"recording {self.folder}: {self.written.trouble}", help="make room, or name another recorder.dir"
            ) from None
        self._new_file = False
        self.written.trouble = ""
        self.written.records += 1
        self.written.bytes += len(data)
        self.written.samples += frame.samples()

    def give_back(self, frame: Frame) -> None:
        """What could not be written is gathered again."""
        self._new_file, self._due = True, False
        self._gatherer.give_back(frame)

    def _open(self, first: float) -> bytes:
        """A new file; its head is written together with the first record."""
        self.close("continued")
        path = os.path.join(self.folder, recfile.name_of(first))
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        about = {"format": recfile.FORMAT, **self._about, "created": first}
        return self._packer.record(recfile.FILE, json.dumps(about).encode(), first, first)

    def close(self, reason: str) -> None:
        """End the file on purpose, with the reason in it: ``continued`` in another one, or why the agent stops."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        with contextlib.suppress(OSError):
            _write_all(fd, self._packer.record(recfile.END, json.dumps({"reason": reason}).encode(), self._now, self._now))
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
