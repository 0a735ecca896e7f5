"""The audit file: one JSON line a record, each bound to the one before by its hash, and sealed with a key (HMAC-SHA256).

Without the key nobody can add, change, take out or move a record unseen; that the end was cut off shows against a head that was
told elsewhere (metrics, messages). Plain blocking code.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.dataclass import dataclass
from agent.host.whole import sync_folder

LONGEST = 1 << 20
"""Bytes of a line: how far back from the end the last one is looked for."""
HEAD_DIGITS = 12
"""Hexadecimal digits of a head: 48 bits, which a metric's float holds exactly."""


@dataclass(frozen=True)
class Entry:
    """One record. ``body`` is JSON as it was hashed."""

    seq: int
    time: float
    who: str
    what: str
    body: str
    hash: str


@dataclass(frozen=True)
class Check:
    """What a look over a whole file found: the last good record, and what is wrong at which line (0: nothing is)."""

    seq: int
    hash: str
    line: int = 0
    why: str = ""


class Cut(Exception):
    """The file is not as this writer left it."""


def link(before: str, seq: int, time: float, who: str, what: str, body: str) -> str:
    """The hash of a record; ``before`` is that of the one before it."""
    return hashlib.sha256("\x1f".join((before, str(seq), f"{time:.6f}", who, what, body)).encode()).hexdigest()


def canonical(body: Mapping[str, Any]) -> str:
    """A body as text: the same for the same."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def head_of(seq: int, digest: str) -> str:
    """A head as people read it: ``57:9f3a12bc3d4e``."""
    return f"{seq}:{digest[:HEAD_DIGITS] or '-'}"


def seal(key: bytes, digest: str) -> str:
    """What only who has the key can write."""
    return hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()


def _line(entry: Entry, key: bytes) -> bytes:
    told = {"seq": entry.seq, "time": entry.time, "who": entry.who, "what": entry.what, "body": json.loads(entry.body)}
    return (json.dumps({**told, "hash": entry.hash, "seal": seal(key, entry.hash)}, separators=(",", ":")) + "\n").encode()


def _parsed(raw: bytes) -> tuple[Entry, str]:
    """The record of a line, and its seal. ValueError if it is none."""
    try:
        told = json.loads(raw)
        entry = Entry(
            int(told["seq"]),
            float(told["time"]),
            str(told["who"]),
            str(told["what"]),
            canonical(told["body"]),
            str(told["hash"]),
        )
        return entry, str(told["seal"])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError("not a record") from None


class AuditFile:
    """The writer. It notices at each append whether somebody else changed the file's length, or put another in its place.

    One call at a time: one that hangs on a disk holds up the next ones, and never comes between them.
    """

    def __init__(self, path: str, key: bytes) -> None:
        self.path = path
        self._key = key
        self._busy = threading.Lock()
        self._left: tuple[int, int, int] | None = None  # device, inode and size as it was left

    def last(self) -> Entry | None:
        """The last record, None for an empty or missing file; what a kill left half written is cut off. Cut if it is not ours."""
        with self._busy:
            return self._last()

    def _last(self) -> Entry | None:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            self._left = None
            return None
        with contextlib.closing(os.fdopen(fd, "r+b", buffering=0)) as file:
            size = os.fstat(fd).st_size
            file.seek(max(0, size - LONGEST))
            end = file.read(LONGEST)
            whole, newline, torn = end.rpartition(b"\n")
            if torn:
                size -= len(torn)
                os.ftruncate(fd, size)
                os.fsync(fd)
            found = os.fstat(fd)
            self._left = (found.st_dev, found.st_ino, size)
        return self._known(whole.rpartition(b"\n")[2]) if newline else None

    def _known(self, raw: bytes) -> Entry:
        try:
            entry, sealed = _parsed(raw)
        except ValueError:
            raise Cut("its last line is no record") from None
        if not hmac.compare_digest(sealed, seal(self._key, entry.hash)):
            raise Cut("its last record does not bear this agent's seal")
        return entry

    def append(self, entries: Iterable[Entry]) -> None:
        """On the disk when it returns. OSError if it is not, and then nothing of it is; Cut if somebody else was there."""
        with self._busy:
            self._append(b"".join(_line(entry, self._key) for entry in entries))

    def _append(self, raw: bytes) -> None:
        new = self._left is None
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            found = os.fstat(fd)
            here = (found.st_dev, found.st_ino, found.st_size)
            if here != self._left and not (new and not found.st_size):
                raise Cut("somebody else changed it")
            try:
                _write(fd, raw)
                os.fsync(fd)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(fd, found.st_size)
                raise
            self._left = (found.st_dev, found.st_ino, found.st_size + len(raw))
        finally:
            os.close(fd)
        if new:
            sync_folder(self.path)


def _write(fd: int, raw: bytes) -> None:
    while raw:
        raw = raw[os.write(fd, raw) :]


def check(path: str, key: bytes, head: str = "") -> Check:
    """Read all of a file. ``head``: a record that is known to have been there, as :func:`head_of` writes it.

    ValueError if it is written in no such way.
    """
    wanted, seen = _wanted(head), False
    last = Check(0, "")
    for number, raw in enumerate(_lines(path), 1):
        try:
            entry, sealed = _parsed(raw)
        except ValueError:
            return Check(last.seq, last.hash, number, "it is not a whole record")
        if why := _wrong(last, entry, sealed, key):
            return Check(last.seq, last.hash, number, why)
        if wanted is not None and entry.seq == wanted[0]:
            seen = entry.hash.startswith(wanted[1])
            if not seen:
                return Check(last.seq, last.hash, number, f"record {entry.seq} is not the one whose head was told")
        last = Check(entry.seq, entry.hash)
    if wanted is not None and not seen:
        return Check(last.seq, last.hash, last.seq + 1, f"the end was cut off: record {wanted[0]} is not there")
    return last


def _wrong(last: Check, entry: Entry, sealed: str, key: bytes) -> str:
    if entry.seq != last.seq + 1:
        return f"record {last.seq + 1} was taken out or moved: {entry.seq} stands here"
    if entry.hash != link(last.hash, entry.seq, entry.time, entry.who, entry.what, entry.body):
        return f"record {entry.seq} was changed, or what stood before it"
    if not hmac.compare_digest(sealed, seal(key, entry.hash)):
        return f"record {entry.seq} does not bear this agent's seal"
    return ""


def _wanted(head: str) -> tuple[int, str] | None:
    """ValueError for what is no head."""
    if not head:
        return None
    seq, colon, digest = head.strip().lower().partition(":")
    if not (colon and seq.isdecimal() and len(digest) >= 8 and set(digest) <= set("0123456789abcdef")):
        raise ValueError(f"'{head}' is no head: write it as 57:9f3a12bc3d4e")
    return int(seq), digest


def _lines(path: str) -> Iterator[bytes]:
    """Lines with their ends cut off; one without an end is not whole."""
    with open(path, "rb") as file:
        for raw in file:
            yield raw if raw.endswith(b"\n") else b""
