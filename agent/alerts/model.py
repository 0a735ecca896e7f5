"""The words of this room: what the stages pass on, what the outbox keeps, how a sending can end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field, replace
from typing import Any, Literal

from agent.alerting import Receiver
from agent.dataclass import dataclass
from agent.model import JsonObject, Severity

Status = Literal["firing", "resolved"]
SEVERITIES: Mapping[str, Severity] = {s.word: s for s in Severity}


@dataclass(frozen=True)
class Alert:
    """One incident as people are told of it; ``version`` grows with every change, ``episode`` with every relapse.

    ``ready``: its cause is known, or the search for it is over; until then there is no hurry to tell. ``anchor`` is what it is
    grouped by, fixed when it is first told. ``leads_to`` are causes it explains.
    ``pleas`` counts how often people were asked to do something. Times are Unix seconds.
    """

    id: str
    title: str
    severity: Severity
    tree: str
    labels: Mapping[str, str]
    opened: float
    version: int = 1
    episode: int = 1
    status: Status = "firing"
    cause: str = ""
    closed: float | None = None
    ending: str = ""
    ready: bool = True
    flapping: bool = False
    acknowledged: str = ""
    acknowledged_at: float | None = None
    leads_to: frozenset[str] = frozenset()
    pleas: int = 0
    avoid: str = ""
    seen: float = 0.0
    group: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)

    def all_labels(self, host: str) -> dict[str, str]:
        """What matchers and routes see."""
        known = {"host": host, "severity": self.severity.word, "tree": self.tree, "cause": self.cause, "incident": self.id}
        return {**self.labels, **known}

    def to_json(self) -> JsonObject:
        """All of it in plain types."""
        return {**vars(self), "severity": self.severity.word, "leads_to": sorted(self.leads_to), "labels": dict(self.labels)}

    @staticmethod
    def from_json(kept: Mapping[str, Any]) -> Alert:
        """What :meth:`to_json` made."""
        return Alert(**{**kept, "severity": SEVERITIES[kept["severity"]], "leads_to": frozenset(kept["leads_to"])})


@dataclass(frozen=True)
class Mark:
    """What an address has been told of an alert."""

    alert: str
    episode: int
    version: int
    status: Status
    severity: Severity
    cause: str = ""
    flapping: bool = False
    escalated: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    opened: float = 0.0
    at: float = 0.0
    pleas: int = 0

    def to_json(self) -> JsonObject:
        """All of it in plain types."""
        return {**vars(self), "severity": self.severity.word, "labels": dict(self.labels)}

    @staticmethod
    def from_json(kept: Mapping[str, Any]) -> Mark:
        """What :meth:`to_json` made."""
        return Mark(**{**kept, "severity": SEVERITIES[kept["severity"]]})


RowState = Literal["pending", "leased", "done", "parked"]


@dataclass(frozen=True)
class Row:
    """One message for one address. ``unsure``: an attempt may have arrived, so its words and its id stay as they are."""

    event: str
    address: str
    group: str
    state: RowState
    made: float
    next_at: float
    payload: JsonObject
    marks: tuple[Mark, ...] = ()
    attempts: int = 0
    first_failure: float | None = None
    unsure: bool = False
    error: str = ""
    done: float | None = None

    @property
    def open(self) -> bool:
        """It may still be sent by itself."""
        return self.state in ("pending", "leased")

    def but(self, **changes: Any) -> Row:
        """The same with changes."""
        return replace(self, **changes)


Ending = Literal["done", "retry", "hopeless"]


@dataclass(frozen=True)
class Outcome:
    """How one attempt ended. ``unsure``: it may have arrived all the same. ``after``: seconds the receiver asked us to wait."""

    ending: Ending
    why: str = ""
    unsure: bool = False
    after: float | None = None
    took_s: float = 0.0


DONE = Outcome("done")


@dataclass(frozen=True)
class Address:
    """One place messages go to: a receiver, or one line of its file of addresses. ``name`` is ``chat`` or ``chat/2``."""

    name: str
    receiver: Receiver
    index: int = 0


Send = Callable[[Address, JsonObject], Awaitable[Outcome]]
"""Sends one message, and never raises for what the other side does."""
