"""How an address does: backoff with jitter, a breaker after failures in a row, parked where trying again is hopeless. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

from agent.alerts.model import Outcome
from agent.dataclass import dataclass
from agent.model import JsonObject

FIRST_S = 2.0
LONGEST_S = 900.0
JITTER = 0.2
BREAKER = 3
"""Failures in a row after which the other messages of that address wait too."""
GIVE_UP_S = 86400.0
LONGEST_ASKED_S = 3600.0
"""A receiver may ask for patience (Retry-After), but not for ever."""


@dataclass(frozen=True)
class Health:
    """``failures`` are in a row, since ``failing``; nothing is sent before ``hold``.

    ``parked`` says why nothing is tried at all; ``by_hand``: because a person said so, so that a new start does not change it.
    """

    failures: int = 0
    failing: float | None = None
    hold: float = 0.0
    parked: str = ""
    by_hand: bool = False
    error: str = ""
    delivered: float | None = None
    sent: int = 0
    attempts: int = 0

    def after(self, outcome: Outcome, now: float, wait: float) -> Health:
        """How it does after one more attempt; ``wait`` is the backoff for this one."""
        tried = replace(self, attempts=self.attempts + 1)
        if outcome.ending == "done":
            return replace(
                tried, failures=0, failing=None, hold=0.0, parked="", by_hand=False, error="", delivered=now, sent=self.sent + 1
            )
        tried = replace(tried, failures=self.failures + 1, failing=now if self.failing is None else self.failing, error=outcome.why)
        if outcome.ending == "hopeless":
            return replace(tried, parked=outcome.why)
        if tried.failing is not None and now - tried.failing >= GIVE_UP_S:
            return replace(tried, parked=f"nothing arrived for 24 hours: {outcome.why}")
        if tried.failures >= BREAKER or outcome.after is not None:
            return replace(tried, hold=now + wait)
        return tried

    def freed(self) -> Health:
        """Tried again from the beginning."""
        return replace(self, failures=0, failing=None, hold=0.0, parked="", by_hand=False)

    @property
    def word(self) -> str:
        """In one word: ``ok``, ``failing`` (the next attempt comes by itself) or ``parked``."""
        return "parked" if self.parked else "failing" if self.failures else "ok"

    def to_json(self) -> JsonObject:
        """Plain types."""
        return dict(vars(self))

    @staticmethod
    def from_json(kept: Mapping[str, Any]) -> Health:
        """What :meth:`to_json` made."""
        return Health(**kept)


def backoff(attempts: int, random: Random, asked: float | None = None) -> float:
    """Seconds until the next attempt after so many: 2 s, 4 s … 15 min, a fifth more or less; at least what the receiver asked."""
    grown = min(LONGEST_S, FIRST_S * 2.0 ** min(attempts - 1, 20))
    wait = grown * random.uniform(1 - JITTER, 1 + JITTER)
    return max(min(wait, LONGEST_S), min(asked or 0.0, LONGEST_ASKED_S))
