"""Matchers on labels, hours of a week in a time zone, dates: how people write whom and when."""

from __future__ import annotations

import re
from dataclasses import field
from datetime import UTC, datetime, time, timedelta, tzinfo

from agent.dataclass import dataclass
from agent.yamlfile import did_you_mean

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")
_MATCHER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*\"?(.*?)\"?\s*", re.DOTALL)


@dataclass(frozen=True)
class Matcher:
    """``name=value``, ``!=``, ``=~`` and ``!~`` (a regular expression over the whole value); a missing label is empty text."""

    name: str
    op: str
    value: str
    _pattern: re.Pattern[str] | None = field(default=None, compare=False, repr=False)

    def fits(self, labels: dict[str, str]) -> bool:
        """Whether it holds for these labels."""
        have = labels.get(self.name, "")
        equal = have == self.value if self._pattern is None else self._pattern.fullmatch(have) is not None
        return equal != self.op.startswith("!")

    def __str__(self) -> str:
        return f"{self.name}{self.op}{self.value}"


def parse_matcher(text: str) -> Matcher:
    """One matcher from text; ValueError says what is wrong."""
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a matcher such as severity=critical or unit=~\"vllm.*\", got '{text}'")
    name, op, value = found.groups()
    try:
        return Matcher(name, op, value, re.compile(value) if "~" in op else None)
    except re.error as error:
        raise ValueError(f"'{value}' is no regular expression: {error}") from None


@dataclass(frozen=True)
class Hours:
    """Hours of a week in a time zone. A span past midnight belongs to the day it begins on."""

    days: frozenset[int]
    start: int
    end: int
    zone: tzinfo

    def hold(self, now: float) -> bool:
        """Whether this moment (Unix seconds) is inside."""
        local = datetime.fromtimestamp(now, self.zone)
        minute = local.hour * 60 + local.minute
        if self.start < self.end:
            return local.weekday() in self.days and self.start <= minute < self.end
        before = (local - timedelta(days=1)).weekday()
        return (local.weekday() in self.days and minute >= self.start) or (before in self.days and minute < self.end)


ALWAYS = Hours(frozenset(range(7)), 0, 24 * 60, UTC)


def parse_hours(text: str, zone: str) -> Hours:
    """``mon-fri 08:00-18:00``, ``sat,sun 00:00-24:00`` or ``22:00-06:00``; empty is always. ValueError says what is wrong."""
    where = parse_zone(zone)
    if not text.strip():
        return ALWAYS
    *days, span = text.lower().split()
    first, dash, last = span.partition("-")
    if not dash or len(days) > 1:
        raise ValueError(f"expected hours such as 'mon-fri 08:00-18:00', got '{text}'")
    return Hours(_days(days[0]) if days else frozenset(range(7)), clock_minutes(first), clock_minutes(last), where)


def parse_zone(name: str) -> tzinfo:
    """A time zone by its IANA name; ValueError with the nearest known name."""
    if name == "UTC":
        return UTC
    import zoneinfo  # only where somebody names a zone

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = did_you_mean(name, zoneinfo.available_timezones())
        raise ValueError(f"no time zone '{name}'" + (f"; {near}" if near else "")) from None


def clock_minutes(text: str) -> int:
    """``08:30`` → minutes of the day, up to 24:00; ValueError."""
    found = _CLOCK.fullmatch(text.strip())
    minutes = int(found[1]) * 60 + int(found[2]) if found else 24 * 60 + 1
    if minutes > 24 * 60:
        raise ValueError(f"expected a time of day such as 08:30, got '{text}'")
    return minutes


def parse_until(text: str, zone: str) -> float:
    """A date or ISO time as Unix seconds: a date is its end in ``zone``. ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected a date such as 2027-06-30, got '{text}'") from None
    if len(text) <= 10:
        moment = datetime.combine(moment.date() + timedelta(days=1), time())
    return (moment if moment.tzinfo else moment.replace(tzinfo=parse_zone(zone))).timestamp()


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        for day in (first, last or first):
            if day not in DAYS:
                raise ValueError(f"no day '{day}'; {did_you_mean(day, DAYS) or 'there are: ' + ', '.join(DAYS)}")
        a, b = DAYS.index(first), DAYS.index(last or first)
        found.update(range(a, b + 1) if a <= b else [*range(a, 7), *range(b + 1)])
    return frozenset(found)
