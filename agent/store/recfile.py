"""The flight recorder's files: append-only, a checksum on every record, readable while they are written.

A file is a run of records. A record is a head of 32 bytes, little-endian, and a body::

    2s  0xA5 0x52   magic
    u8  kind        H file head (JSON: format, host, boot_id, agent_version, created), first of every file
                    K key record: a new zstd stream begins, and nothing in it refers to what was before
                    F following record: continues the stream of the last K
                    E the writer ended on purpose (JSON: reason); a file without it was cut short, or is still written
    u8  flags       1: the body is zstd, else plain; 2: new names inside
    u32 length      of the body;  u32 size: of the payload, which is the decompressed body
    f64 first, f64 last    times of the oldest and newest sample in it, Unix seconds; equal if it holds none
    u32 crc         CRC-32 (zlib) of the head before it and of the body

The payload of K and F is described in :mod:`agent.store.frame`. Names and labels stand in the record where a series appears first
in the file. Files are named ``YYYY-MM-DD/HHMMSS-mmm.rec``, UTC, by their first record: one day, one folder.
A reader goes on behind damage at the next K whose checksum holds.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, cast

import zstandard

from agent.dataclass import dataclass

MAGIC = b"\xa5R"
FILE, KEY, FOLLOW, END = b"H", b"K", b"F", b"E"
FORMAT = 2
"""1 knows no STILL groups (:mod:`agent.store.frame`); both are read."""
SUFFIX = ".rec"
ZSTD, NAMES = 1, 2
LONGEST_END = 4096
MAX_BODY = 64 * 2**20
"""A head that claims more is damaged; an hour of 2,000 series is a tenth of it."""
MAX_WINDOW = 1 << 24
_HEAD = struct.Struct("<2scBIIdd")
_CRC = struct.Struct("<I")
HEAD = _HEAD.size + _CRC.size


@dataclass(frozen=True)
class Record:
    """One intact record. ``at`` is where it begins in its file, ``length`` that of its body there; ``names``: it holds new ones."""

    kind: bytes
    first: float
    last: float
    payload: bytes
    at: int
    length: int
    names: bool


@dataclass(frozen=True)
class Damage:
    """Bytes from ``at`` to ``end`` of a file that are not records. ``tail``: nothing intact follows, as after a kill."""

    at: int
    end: int
    tail: bool


class Packer:
    """Makes records; one zstd stream from key record to key record, so that what repeats costs little."""

    def __init__(self, level: int = 3) -> None:
        self._compressor = zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters.from_level(level, window_log=20)
        )
        self._stream = self._compressor.compressobj()

    def record(self, kind: bytes, payload: bytes, first: float, last: float, *, names: bool = False) -> bytes:
        """One whole record."""
        if kind not in (KEY, FOLLOW):
            return _framed(kind, 0, payload, len(payload), first, last)
        if kind == KEY:
            self._stream = self._compressor.compressobj()
        body = self._stream.compress(payload) + self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        return _framed(kind, ZSTD | (NAMES if names else 0), body, len(payload), first, last)


def _framed(kind: bytes, flags: int, body: bytes, size: int, first: float, last: float) -> bytes:
    head = _HEAD.pack(MAGIC, kind, flags, len(body), size, first, last)
    return head + _CRC.pack(zlib.crc32(body, zlib.crc32(head))) + body


def ended(tail: bytes) -> bool:
    """Whether a file with this tail was ended on purpose."""
    at = tail.rfind(MAGIC + END)
    head = _head(tail, at) if at >= 0 else None
    return head is not None and at + HEAD + head[2] == len(tail)


def name_of(time: float) -> str:
    """The path of a file whose first record is of that time, below the recording's folder."""
    moment = datetime.fromtimestamp(time, UTC)
    return f"{moment:%Y-%m-%d/%H%M%S}-{moment.microsecond // 1000:03d}{SUFFIX}"


def began(path: str) -> float:
    """The time in a file's name; ValueError if it is no recording's."""
    folder, name = os.path.split(path)
    stamp = f"{os.path.basename(folder)} {name.removesuffix(SUFFIX)}000"
    return datetime.strptime(stamp, "%Y-%m-%d %H%M%S-%f").replace(tzinfo=UTC).timestamp()


class _Stream(io.RawIOBase):
    """One zstd stream over several bodies; never gives more bytes than a record says it holds, whatever the body would swell to."""

    def __init__(self, decompressor: zstandard.ZstdDecompressor) -> None:
        super().__init__()
        self._body = b""
        self._reader = decompressor.stream_reader(cast(IO[bytes], self), read_across_frames=False)

    def read(self, size: int = -1) -> bytes:
        """The compressed bytes of the record at hand, once: what the decompressor asks for."""
        body, self._body = self._body, b""
        return body

    def unpack(self, body: bytes, size: int) -> bytes | None:
        """The payload, or None if the body does not hold it."""
        self._body = body
        try:
            payload: bytes = self._reader.read(size)
        except zstandard.ZstdError:
            return None
        return payload if len(payload) == size and not self._body else None


def records(data: bytes, since: float = float("-inf"), until: float = float("inf")) -> Iterator[Record | Damage]:
    """Every intact record that begins before ``until``, in order, and the damage between them.

    Blocks that were over before ``since`` are passed over unless they hold names.
    """
    at, stream, decompressor = 0, None, zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    while at < len(data):
        if since > float("-inf") and data.startswith(KEY, at + len(MAGIC)):
            at = _pass_over(data, at, since)
        head = _head(data, at)
        payload = None
        if head is not None:
            kind, flags, length, size, first, last = head
            if first > until:
                return
            body = data[at + HEAD : at + HEAD + length]
            if kind == KEY:
                stream = _Stream(decompressor)  # ends the one before
            payload = body if not flags & ZSTD else stream.unpack(body, size) if stream else None
        if payload is None:
            following = _resume(data, at)
            yield Damage(at, following, following == len(data))
            at, stream = following, None
        else:
            yield Record(kind, first, last, payload, at, length, bool(flags & NAMES))
            at += HEAD + length


def reaches(data: bytes, since: float) -> bool:
    """Whether a file may hold something later than ``since``, by the heads of its records alone.

    No checksum is looked at: a damaged head leads nowhere, or belongs to a record that nobody can read.
    """
    at, kinds = 0, set()
    while at + HEAD <= len(data) and data.startswith(MAGIC, at):
        _, kind, _, length, _, _, last = _HEAD.unpack_from(data, at)
        if kind in (KEY, FOLLOW) and not last <= since:
            return True
        kinds.add(kind)
        at += HEAD + length
    return at != len(data) or not kinds.issuperset((FILE, KEY)) or not kinds.issubset((FILE, KEY, FOLLOW, END))


def _pass_over(data: bytes, at: int, since: float) -> int:
    """Where to read on: behind the block that begins here if it was over before ``since`` and names nothing, else here."""
    begin = at
    while (head := _head(data, at)) is not None:
        kind, flags, length, _, _, last = head
        if kind not in (KEY, FOLLOW) or (kind == FOLLOW and at == begin):
            break
        if kind == KEY:
            begin = at
        if last > since or flags & NAMES:
            break
        at += HEAD + length
    else:
        return at if at == len(data) else begin
    return begin


def _head(data: bytes, at: int) -> tuple[bytes, int, int, int, float, float] | None:
    """The head's fields if the record at ``at`` is intact."""
    if len(data) < at + HEAD or data[at : at + 2] != MAGIC:
        return None
    _, kind, flags, length, size, first, last = _HEAD.unpack_from(data, at)
    end = at + HEAD + length
    if max(length, size) > MAX_BODY or end > len(data):
        return None
    (crc,) = _CRC.unpack_from(data, at + _HEAD.size)
    if zlib.crc32(memoryview(data)[at + HEAD : end], zlib.crc32(data[at : at + _HEAD.size])) != crc:
        return None
    return kind, flags, length, size, first, last


def _resume(data: bytes, at: int) -> int:
    """Where the next intact key record (or head, or end) behind ``at`` begins; the end of the data if there is none."""
    while (at := data.find(MAGIC, at + 1)) >= 0:
        if data[at + 2 : at + 3] in (KEY, FILE, END) and _head(data, at) is not None:
            return at
    return len(data)
