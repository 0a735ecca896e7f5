"""Kernel-log text in any of its shapes → records: dmesg (plain, -T, -x, -r, --time-format), syslog, journal, raw /dev/kmsg records.

What stands before a message is taken off from the left, piece by piece; what cannot be a prefix is the message.
"""

from __future__ import annotations

import json
import re
from calendar import timegm
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from agent.engine.kernel import kmsg
from agent.engine.kernel.record import AGAIN, Record

MAX_LINE = 65_536
"""Longer lines are cut: no record of the kernel is longer than 8 KiB."""

_FACILITIES = ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp")
_LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_DECODED = re.compile(rf"({'|'.join(_FACILITIES)}|local\d)\s*:({'|'.join(_LEVELS)})\s*: ")
_RAW = re.compile(r"<(\d{1,5})>(?:\d )?")
_SECONDS = re.compile(r"\[ *(\d{1,12})(?:\.(\d{1,9}))?(?: *<[ \d.+]{1,24}>)?\] ?")
_CALLER = re.compile(r"\[ *[TC]\d{1,10}\] ?")
_CTIME = re.compile(r"\[(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})\] ?")
_RELATIVE = re.compile(r"\[(?:[A-Z][a-z]{2} ?\d{1,2} \d\d:\d\d|[ +<>\d.]{3,26}|\.{2,3})\] ?")
_ISO = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:([.,])(\d{1,9}))?"
    r"(?: ?(Z|UTC|[+-]\d\d:?\d\d)| [A-Z]{3,5}(?= ))? "
)
_UNIX = re.compile(r"(\d{9,10}\.\d{6}) ")
_SYSLOG = re.compile(r"([A-Z][a-z]{2}) {1,2}(\d{1,2})(?: (\d{4}))? (\d\d):(\d\d):(\d\d)(?:\.\d{1,9})? ")
_KERNEL = re.compile(r"(?:[\w.:-]{1,255} )?kernel: ?(?:\[ *\d+\] (?=\[))?")
_TAG = re.compile(r"(?:([\w.:-]{1,255}) )?([\w./@+()-]{1,64})(?:\[(\d{1,10})\])?: ?")
_RFC5424 = re.compile(r"(?:[\w.:-]{1,255}) ([\w./-]{1,48}) (?:\S{1,128}) (?:\S{1,32}) (?:-|\[.{0,400}?\]) ")
_REPEATED = re.compile(r"message repeated (\d{1,9}) times: \[ ?(.*)\]\s*\Z", re.DOTALL)
_LAST_REPEATED = re.compile(r"(?:[\w.:-]{1,255} )?last message repeated (\d{1,9}) times?\s*\Z")


def records(lines: Iterable[str]) -> Iterator[Record]:
    """One record for each line; the dictionary lines of a raw record are put into it, its pieces joined."""
    out: list[Record] = []
    joiner = kmsg.Joiner(out.append)
    raw: Record | None = None
    keys: list[str] = []
    for line in lines:
        line = line.rstrip("\r\n")[:MAX_LINE]
        if raw is not None and kmsg.is_key(line):
            keys.append(line)
            continue
        if raw is not None:
            joiner.take(kmsg.with_keys(raw, keys))
        raw = kmsg.parse(line) if line[:1].isdigit() else None
        keys = []
        if raw is None:
            joiner.rest()
            if line.strip():
                out.append(_json(line) or plain(line))
        yield from out
        out.clear()
    if raw is not None:
        joiner.take(kmsg.with_keys(raw, keys))
    joiner.rest()
    yield from out


def plain(line: str) -> Record:
    """One line of text."""
    record = _prefixed(line.replace("#012", "\n"))
    repeated = _REPEATED.match(record.text)
    if repeated is not None:
        inner = _prefixed(repeated[2].rstrip())
        return replace(record, text=inner.text, repeat=int(repeated[1]), stamp=inner.stamp or record.stamp)
    return record


def _prefixed(line: str) -> Record:
    facility = level = None
    stamp = wall = None
    text = line
    if (decoded := _DECODED.match(text)) is not None:
        facility = _FACILITIES.index(decoded[1]) if decoded[1] in _FACILITIES else 16 + int(decoded[1][-1])
        level, text = _LEVELS.index(decoded[2]), text[decoded.end() :]
    elif (raw := _RAW.match(text)) is not None:
        facility, level, text = int(raw[1]) >> kmsg.FACILITY_BITS, int(raw[1]) & 7, text[raw.end() :]
    wall, text, logged = _dated(text)
    tag: str | None = None
    if (last := _LAST_REPEATED.match(text)) is not None:
        return Record(AGAIN, facility, level, wall=wall, repeat=int(last[1]))
    stamp, text = _stamped(text)
    if (kernel := _KERNEL.match(text)) is not None:
        text = text[kernel.end() :]
        again, text = _stamped(text)
        stamp = again if again is not None else stamp
    elif logged and stamp is None:
        tag, text = _tagged(text)
        if tag == "kernel":
            tag = None
            stamp, text = _stamped(text)
    return Record(text, facility if tag is None else facility or 3, level, stamp=stamp, wall=wall, tag=tag)


def _tagged(text: str) -> tuple[str | None, str]:
    """The program of a syslog line, and its message."""
    new = _RFC5424.match(text)
    if new is not None:
        return new[1], text[new.end() :]
    found = _TAG.match(text)
    return (found[2].rpartition("/")[2], text[found.end() :]) if found is not None else (None, text)


def _stamped(text: str) -> tuple[float | None, str]:
    """Seconds since the boot, and what follows; a caller behind them is dropped."""
    found = _SECONDS.match(text)
    if found is None:
        return None, text
    text = text[found.end() :]
    caller = _CALLER.match(text)
    seconds = int(found[1]) + (float(f"0.{found[2]}") if found[2] else 0.0)
    return seconds, text[caller.end() :] if caller is not None else text


def _dated(text: str) -> tuple[float | None, str, bool]:
    """Unix seconds where a date stands in front, what follows, and whether a syslog daemon wrote the line."""
    if (found := _CTIME.match(text)) is not None:
        month, day, hour, minute, second, year = found.groups()
        return _wall(int(year), month, int(day), (int(hour), int(minute), int(second))), text[found.end() :], False
    if (iso := _ISO.match(text)) is not None:
        return _iso(iso), text[iso.end() :], iso[2] != ","
    if (old := _SYSLOG.match(text)) is not None:
        year_, clock = old[3], (int(old[4]), int(old[5]), int(old[6]))
        return _wall(int(year_), old[1], int(old[2]), clock) if year_ else None, text[old.end() :], True
    if (unix := _UNIX.match(text)) is not None:
        return float(unix[1]), text[unix.end() :], True
    relative = _RELATIVE.match(text) if not _SECONDS.match(text) else None
    return None, text[relative.end() :] if relative is not None else text, False


def _wall(year: int, month: str, day: int, clock: tuple[int, int, int]) -> float | None:
    """Taken as UTC: dmesg -T prints local time and does not say which."""
    if month not in _MONTHS:
        return None
    return float(timegm((year, _MONTHS.index(month) + 1, day, *clock)))


def _iso(found: re.Match[str]) -> float | None:
    fraction = float(f"0.{found[3]}") if found[3] else 0.0
    try:
        moment = datetime.fromisoformat(found[1] + (found[4] or "+00:00").replace("UTC", "Z").replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment.astimezone(UTC).timestamp() + fraction


def _json(line: str) -> Record | None:
    """A line of ``journalctl -o json``. The journal itself says which records came from the kernel and with which facility."""
    if not line.startswith("{") or '"MESSAGE"' not in line:
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    message = entry.get("MESSAGE") if isinstance(entry, dict) else None
    if isinstance(message, list):
        message = bytes(b for b in message if isinstance(b, int) and 0 <= b < 256).decode("utf-8", "replace")
    if not isinstance(message, str):
        return None
    number = {
        key: _number(entry.get(key))
        for key in ("SYSLOG_FACILITY", "PRIORITY", "__REALTIME_TIMESTAMP", "_SOURCE_MONOTONIC_TIMESTAMP")
    }
    micros, wall = number["_SOURCE_MONOTONIC_TIMESTAMP"], number["__REALTIME_TIMESTAMP"]
    own = entry.get("_TRANSPORT") == "kernel"
    tag = None if own else str(entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM") or "unknown")
    return Record(
        message,
        number["SYSLOG_FACILITY"] if own else number["SYSLOG_FACILITY"] or 3,
        number["PRIORITY"],
        stamp=micros / 1e6 if micros is not None and own else None,
        wall=wall / 1e6 if wall is not None else None,
        tag=tag,
    )


def _number(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
