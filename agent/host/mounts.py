"""The mount table, as /proc/PID/mountinfo tells it."""

from __future__ import annotations

import os
import re

from agent.dataclass import dataclass
from agent.host.procfs import read_once

_ESCAPE = re.compile(rb"\\([0-7]{3})")
LIMIT = 4 << 20
"""Bytes of mountinfo looked at; a node with thousands of containers stays below."""


@dataclass(frozen=True)
class Mount:
    """One line. Paths are as the kernel has them (any bytes, through ``os.fsdecode``); clean them before showing."""

    device: str
    root: str
    mountpoint: str
    options: frozenset[str]
    fstype: str
    source: str
    super_options: frozenset[str]


def unescape(raw: bytes) -> str:
    r"""A field of mountinfo with the kernel's octal escapes (``\040`` for a space) undone."""
    return os.fsdecode(_ESCAPE.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), raw))


def parse_mountinfo(raw: bytes) -> list[Mount]:
    """All mounts in the order they were made; see proc_pid_mountinfo(5). A line that cannot be read is left out."""
    return [mount for line in raw.split(b"\n") if (mount := _parse_line(line)) is not None]


def _parse_line(line: bytes) -> Mount | None:
    mounted, separator, about = line.partition(b" - ")
    left, right = mounted.split(b" "), about.split(b" ")
    if not separator or len(left) < 6 or len(right) < 3:
        return None
    return Mount(
        device=left[2].decode("ascii", "replace"),
        root=unescape(left[3]),
        mountpoint=unescape(left[4]),
        options=_options(left[5]),
        fstype=unescape(right[0]),
        source=unescape(right[1]),
        super_options=_options(right[2]),
    )


def _options(raw: bytes) -> frozenset[str]:
    return frozenset(raw.decode("utf-8", "replace").split(","))


def read_mounts(proc: str = "/proc", pid: int | str = "self") -> list[Mount]:
    """The mounts a process sees; OSError as the kernel gives it."""
    return parse_mountinfo(read_once(f"{proc}/{pid}/mountinfo", LIMIT))
