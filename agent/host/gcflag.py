"""Whether a CPython process collects garbage right now: one word of its memory, read without stopping it.

Collection runs in C and has no Python frame, so stack samplers only see the allocating line. The interpreter keeps a ``collecting``
flag; its place follows from the exported symbol ``_PyRuntime`` and from the layout of each CPython minor (offsets taken from the
headers of 3.9.18, 3.10.13, 3.11.2, 3.11.7, 3.12.1 and 3.13.0). What is found is checked before it is believed: a layout that does
not fit is unknown.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from agent.errors import Refused
from agent.host.procfs import read_once
from agent.host.procs import python_minor
from agent.host.procstat import NoSuchProcess, NotPermitted

# CPython minor → where the first interpreter's address lies in _PyRuntime, where the collector's state lies in the interpreter
_LAYOUT = {"3.9": (32, 616), "3.10": (32, 616), "3.11": (40, 648), "3.12": (40, 112), "3.13": (632, 7400)}
_ENABLED, _GENERATIONS, _GENERATION, _THRESHOLD, _COLLECTING, _STATS = 12, 24, 24, 16, 200, 128
_STATE = _COLLECTING + 4
_MAPS_LIMIT = 4 << 20
_LARGEST_TABLE = 16 << 20


class Place(NamedTuple):
    """Where the collector's state lies in one process."""

    pid: int
    state: int


class Seen(NamedTuple):
    """One reading: collecting now, and how many collections of the oldest generation there were since the start."""

    collecting: bool
    full_collections: int


def locate(pid: int) -> Place:
    """Find the state; :class:`Refused` where this interpreter's layout is not known or does not fit."""
    minor = python_minor(pid)
    if minor not in _LAYOUT:
        raise Refused(f"the memory layout of Python {minor or '?'} is not known", help="the collector's time stays unknown")
    head, state = _LAYOUT[minor]
    runtime = _runtime(pid)
    interpreter = struct.unpack("=Q", _peek(pid, runtime + head, 8))[0]
    place = Place(pid, interpreter + state)
    if interpreter % 8 or not interpreter or not _plausible(_peek(pid, place.state, _STATE)):
        raise Refused(
            f"process {pid}: its interpreter's memory does not look as expected", help="the collector's time stays unknown"
        )
    return place


def read(place: Place) -> Seen:
    """One reading, about two microseconds."""
    raw = _peek(place.pid, place.state, _STATE)
    return Seen(struct.unpack_from("=i", raw, _COLLECTING)[0] == 1, struct.unpack_from("=q", raw, _STATS + 48)[0])


def _plausible(raw: bytes) -> bool:
    """Flags are flags, thresholds and counters are small and not negative, list heads are pointers."""
    enabled, collecting = struct.unpack_from("=i", raw, _ENABLED)[0], struct.unpack_from("=i", raw, _COLLECTING)[0]
    thresholds = [struct.unpack_from("=i", raw, _GENERATIONS + n * _GENERATION + _THRESHOLD)[0] for n in range(3)]
    heads = [struct.unpack_from("=Q", raw, _GENERATIONS + n * _GENERATION)[0] for n in range(3)]
    stats = struct.unpack_from("=9q", raw, _STATS)
    flags = enabled in (0, 1) and collecting in (0, 1)
    return flags and all(0 <= t < 1 << 30 for t in thresholds) and all(h and h % 8 == 0 for h in heads) and min(stats) >= 0


def _peek(pid: int, address: int, size: int) -> bytes:
    try:
        fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        raise NoSuchProcess(pid) from None
    except PermissionError:
        raise NotPermitted(pid, "its memory") from None
    try:
        raw = os.pread(fd, size, address)
    except (OSError, OverflowError):
        raw = b""
    finally:
        os.close(fd)
    if len(raw) != size:
        raise Refused(f"process {pid}: its memory could not be read", help="the collector's time stays unknown")
    return raw


def _runtime(pid: int) -> int:
    """The address of ``_PyRuntime``: in the executable, or in the libpython it maps."""
    for base, paths in _images(pid):
        for path in paths:
            try:
                found = symbol(path, b"_PyRuntime")
            except (OSError, struct.error, ValueError):
                continue
            if found is not None:
                value, relocated = found
                return value + base if relocated else value
    raise Refused(f"process {pid}: its interpreter exports no _PyRuntime", help="the collector's time stays unknown")


def _images(pid: int) -> Iterator[tuple[int, tuple[str, str]]]:
    """Load address of the executable and of libpython, and where to read each: its path, or what is mapped if that was replaced."""
    seen: set[bytes] = set()
    for line in read_once(f"/proc/{pid}/maps", _MAPS_LIMIT).splitlines():
        words = line.split(None, 5)
        if len(words) < 6 or words[5] in seen or int(words[2], 16) or not words[5].startswith(b"/"):
            continue
        if os.path.basename(words[5]).startswith((b"libpython", b"python")):
            seen.add(words[5])
            first, last = (int(word, 16) for word in words[0].split(b"-"))
            yield first, (f"/proc/{pid}/root{os.fsdecode(words[5])}", f"/proc/{pid}/map_files/{first:x}-{last:x}")


def symbol(path: str, name: bytes) -> tuple[int, bool] | None:
    """A dynamic symbol's value in a 64-bit little-endian ELF file, and whether the load address is to be added."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        header = os.pread(fd, 64, 0)
        if header[:6] != b"\x7fELF\x02\x01":
            return None
        kind = struct.unpack_from("<H", header, 16)[0]
        offset, size, count = struct.unpack_from("<Q", header, 40)[0], *struct.unpack_from("<HH", header, 58)
        sections = [struct.unpack_from("<IIQQQQII", os.pread(fd, size, offset + n * size)) for n in range(count)]
        for _, section, _, _, at, length, link, _ in sections:
            if section == 11 and max(length, sections[link][5]) <= _LARGEST_TABLE:  # the dynamic symbols
                value = _value(os.pread(fd, length, at), os.pread(fd, sections[link][5], sections[link][4]), name)
                return None if value is None else (value, kind == 3)
        return None
    finally:
        os.close(fd)


def _value(symbols: bytes, names: bytes, name: bytes) -> int | None:
    at = names.find(b"\0" + name + b"\0") + 1
    if at:
        for word, _, _, _, value, _ in struct.iter_unpack("<IBBHQQ", symbols):
            if word == at:
                return int(value)
    return None
