"""Silences and maintenance windows: for whom nobody is told, until when, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from agent.alerting import Window
from agent.dataclass import dataclass
from agent.errors import UsageError
from agent.matching import Hours, Matcher, parse_hours, parse_matcher, parse_until
from agent.model import JsonObject

LONGEST_S = 400 * 86400.0


class Mute(Protocol):
    """Anything that keeps an alert from being told."""

    def holds(self, labels: dict[str, str], now: float) -> bool:
        """Whether it covers these labels now."""
        ...

    @property
    def why(self) -> str:
        """How it is named in answers."""
        ...


@dataclass(frozen=True)
class Silence:
    """Made by a person, with a reason and an end. Times are Unix seconds."""

    id: str
    matchers: tuple[Matcher, ...]
    starts: float
    ends: float
    reason: str
    by: str
    made: float

    def holds(self, labels: dict[str, str], now: float) -> bool:
        """Whether it covers these labels now."""
        return self.starts <= now < self.ends and all(m.fits(labels) for m in self.matchers)

    @property
    def why(self) -> str:
        """Its name and reason."""
        return f"silence {self.id} ({self.reason})" if self.reason else f"silence {self.id}"

    def to_json(self) -> JsonObject:
        """Plain types."""
        return {**vars(self), "matchers": [str(m) for m in self.matchers]}

    @staticmethod
    def from_json(kept: Mapping[str, object]) -> Silence:
        """What :meth:`to_json` made."""
        matchers = kept["matchers"]
        assert isinstance(matchers, list)
        return Silence(**{**kept, "matchers": tuple(map(parse_matcher, matchers))})  # type: ignore[arg-type]


def make_silence(id_: str, matchers: list[str], now: float, seconds: float, reason: str, by: str) -> Silence:
    """A silence from what a person typed; UsageError if it would hide everything by mistake or has no end in sight."""
    if not matchers:
        raise UsageError("a silence needs matchers", help="such as tree=memory or unit=~'vllm.*'; all of them must hold")
    if not 0 < seconds <= LONGEST_S:
        raise UsageError("a silence must end, at the latest in 400 days", help="such as --for 2h")
    try:
        parsed = tuple(map(parse_matcher, matchers))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Silence(id_, parsed, now, now + seconds, reason, by, now)


@dataclass(frozen=True)
class Maintenance:
    """A window of config.yaml, read."""

    name: str
    matchers: tuple[Matcher, ...]
    hours: Hours
    until: float

    @staticmethod
    def of(window: Window) -> Maintenance:
        """A window that config.yaml's check has let through."""
        matchers = tuple(map(parse_matcher, window.match))
        until = parse_until(window.until, window.zone)
        return Maintenance(window.name, matchers, parse_hours(window.hours, window.zone), until)

    def holds(self, labels: dict[str, str], now: float) -> bool:
        """Whether it covers these labels now."""
        return now < self.until and self.hours.hold(now) and all(m.fits(labels) for m in self.matchers)

    @property
    def why(self) -> str:
        """Its name."""
        return f"maintenance window {self.name}"
