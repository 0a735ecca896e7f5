r"""One record of /dev/kmsg: ``prio,seq,ts_us,flags[,more];text`` and lines of ``KEY=value`` behind it.

Linux Documentation/ABI/testing/dev-kmsg: bytes that are not printable are escaped as ``\xHH``, the backslash itself too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.engine.kernel.record import Record

_HEAD = re.compile(r"(\d{1,5}),(\d{1,20}),(\d{1,20}),([^;,]{1,8})(?:,[^;]{0,200})?;")
_ESCAPE = re.compile(r"(?:\\x[0-9a-fA-F]{2})+")
_KEY = re.compile(r"[ \t]([A-Z][A-Z0-9_]{0,40})=(.*)")
FACILITY_BITS = 3


def unescape(text: str) -> str:
    r"""``\x0a`` → a line end; runs of escaped bytes are read as UTF-8."""
    if "\\x" not in text:
        return text
    return _ESCAPE.sub(lambda m: bytes.fromhex(m[0].replace("\\x", "")).decode("utf-8", "replace"), text)


def parse(line: str, more: Sequence[str] = ()) -> Record | None:
    """A record from its first line and the lines of its dictionary; None if the line is not one."""
    head = _HEAD.match(line)
    if head is None:
        return None
    priority = int(head[1])
    record = Record(
        unescape(line[head.end() :]),
        facility=priority >> FACILITY_BITS,
        level=priority & 7,
        seq=int(head[2]),
        stamp=int(head[3]) / 1e6,
        flag=head[4],
    )
    return with_keys(record, more)


def with_keys(record: Record, lines: Sequence[str]) -> Record:
    """The record with its dictionary; itself where there is none."""
    keys = {found[1]: unescape(found[2]) for line in lines if (found := _KEY.match(line)) is not None}
    return replace(record, keys=keys) if keys else record


def is_key(line: str) -> bool:
    """Whether a line can belong to the dictionary of the record before it."""
    return line[:1] in (" ", "\t") and _KEY.match(line) is not None


class Joiner:
    """Kernels before 4.10 hand out a line that was printed in pieces as several records: ``c`` begins it, ``+`` goes on.

    Newer ones mark whole lines with ``c`` too, so such a record is held back until the next one comes, or :meth:`rest` is asked.
    """

    def __init__(self, then: Callable[[Record], None]) -> None:
        self._then = then
        self._held: Record | None = None

    def take(self, record: Record) -> None:
        """The next record."""
        held = self._held
        if record.flag == "+" and held is not None and held.facility == record.facility:
            self._held = replace(held, text=held.text + record.text, keys={**held.keys, **record.keys})
            return
        self.rest()
        if record.flag == "c":
            self._held = record
        else:
            self._then(record)

    def rest(self) -> None:
        """Nothing more comes for now."""
        held, self._held = self._held, None
        if held is not None:
            self._then(held)
