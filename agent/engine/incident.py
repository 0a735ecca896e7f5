"""The words of incidents: what one is, what is told of it, and both as JSON.

The seam to alerts is :class:`IncidentEvent`: whenever an incident changes in a way that somebody may want to hear of, one is
committed together with the incident itself (:mod:`agent.incidents.tables`), so that no kill can lose or double it. Times are Unix
seconds. Causes are entries of ``causes`` of ``anfl.diagnosis/1``, as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, Literal

from agent.dataclass import dataclass
from agent.engine.graph import Place
from agent.model import JsonObject, Labels, Severity

Phase = Literal["open", "diagnosed", "remediating", "recovering", "flapping", "closed"]
"""``open``: something is wrong. ``diagnosed``: its root cause is known. ``remediating``: a playbook is at work. ``recovering``: all
that is wrong is known to be better, though not for long enough. ``flapping``: it comes and goes. ``closed``: over."""

Ending = Literal["", "resolved", "gone", "closed", "merged"]
"""``resolved``: known to be over. ``gone``: what it was about has ended. ``closed``: by a person. ``merged``: part of another."""

Kind = Literal[
    "opened",
    "diagnosed",
    "inconclusive",
    "changed",
    "acknowledged",
    "flapping",
    "settled",
    "reopened",
    "resolved",
    "gone",
    "closed",
    "merged",
    "asked",
    "given_up",
]
"""What happened: ``inconclusive``: the search for the cause ended without one. ``changed``: severity or root cause.
``flapping`` and ``settled``: it began to come and go, and stopped doing so while it lasts. ``reopened``: a relapse.
``asked``: a playbook waits for a person's word. ``given_up``: playbooks could not help; a person must look.
``resolved``, ``gone``, ``closed``, ``merged``: it ended so. Of each opening (``opened``, ``reopened``) there is exactly one end."""

ENDS: frozenset[str] = frozenset({"resolved", "gone", "closed", "merged"})
Key = tuple[str, Labels]
_SEVERITIES = {severity.word: severity for severity in Severity}


@dataclass(frozen=True)
class Complaint:
    """A symptom on one entity, as part of an incident. ``over`` is when it ended and ``ended`` how; ``start`` is the start time of
    the process that ``labels`` name; ``clearing`` while it is known to be better, ``missing`` while there is no data."""

    tree: str
    labels: Labels
    severity: Severity
    onset: float
    fired: float
    text: str = ""
    place: Place = field(default_factory=Place)
    start: float | None = None
    missing: bool = False
    clearing: bool = False
    over: float | None = None
    ended: Ending = ""

    @property
    def key(self) -> Key:
        """Tree and labels."""
        return self.tree, self.labels


@dataclass(frozen=True)
class Affected:
    """A process that suffers, or belongs to what suffers."""

    pid: int
    name: str = ""
    user: str = ""
    unit: str = ""
    container: str = ""
    job: str = ""


@dataclass(frozen=True)
class Impact:
    """Who suffers; ``more`` counts processes over those listed."""

    processes: tuple[Affected, ...] = ()
    gpus: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Incident:
    """One thing that is or was wrong, with all that is known of it. ``version`` counts its events.

    ``severity`` is the worst of what is active (of what last was, once over), ``worst`` the worst ever. ``looked`` is when the
    search for the cause last ended; ``causes[0]`` is the root cause. ``episode`` counts openings, ``returns`` holds the times it
    came back; ``calm`` counts seconds known quiet while it flaps. ``leads_to`` are causes the root may bring about.
    ``blamed`` are pids the root cause blames for what others suffer: they are no part of the impact.
    ``plea`` is what people are asked to do about it now, ``plea_link`` where they can answer; ``pleas`` counts how often they
    were asked anything.
    """

    id: int
    opened: float
    updated: float
    phase: Phase = "open"
    severity: Severity = Severity.WARNING
    worst: Severity = Severity.WARNING
    title: str = ""
    since: float = 0.0
    closed: float | None = None
    ending: Ending = ""
    version: int = 0
    episode: int = 1
    returns: tuple[float, ...] = ()
    flapping: bool = False
    calm: float = 0.0
    complaints: tuple[Complaint, ...] = ()
    looked: float | None = None
    causes: tuple[JsonObject, ...] = ()
    possible: tuple[JsonObject, ...] = ()
    ruled_out: tuple[JsonObject, ...] = ()
    not_checked: tuple[JsonObject, ...] = ()
    leads_to: tuple[str, ...] = ()
    impact: Impact = field(default_factory=Impact)
    blamed: tuple[int, ...] = ()
    acknowledged: str = ""
    acknowledged_at: float | None = None
    assigned: str = ""
    remedies: int = 0
    plea: str = ""
    plea_link: str = ""
    pleas: int = 0
    merged_into: int | None = None

    @property
    def root(self) -> JsonObject | None:
        """The root cause, if one is known."""
        return self.causes[0] if self.causes else None

    @property
    def firing(self) -> bool:
        """Not over: to alerts it fires until its end is told."""
        return self.phase != "closed"

    @property
    def active(self) -> tuple[Complaint, ...]:
        """What is wrong now."""
        return tuple(c for c in self.complaints if c.over is None)

    @property
    def ready(self) -> bool:
        """Its cause is known, or the search for it is over; until then there is no hurry to tell."""
        return self.looked is not None


@dataclass(frozen=True)
class IncidentEvent:
    """Something happened to an incident; ``told`` is the incident as it stood right after.

    ``id`` is the same for ever and nowhere else (32 hex digits): it goes into every message, so that receivers can drop a second
    copy. ``n`` counts the incident's events from 1; ``seq`` orders all events as they were committed (0 before that). ``reason``
    is a sentence for people.
    """

    id: str
    incident: int
    n: int
    kind: Kind
    time: float
    severity: Severity
    reason: str
    told: Incident
    seq: int = 0


@dataclass(frozen=True)
class Entry:
    """One line of an incident's timeline; ``who`` is a person, or empty for the agent."""

    incident: int
    time: float
    what: str
    text: str = ""
    who: str = ""


# ---------------------------------------------------------------------------------------------- as JSON


def plain(incident: Incident) -> JsonObject:
    """An incident in plain JSON types, nothing left out; :func:`incident` reads it back."""
    told: JsonObject = {**vars(incident), "severity": incident.severity.word, "worst": incident.worst.word}
    told["complaints"] = [_complaint(c) for c in incident.complaints]
    told["impact"] = {**vars(incident.impact), "processes": [vars(p) for p in incident.impact.processes]}
    return told


def incident(kept: Mapping[str, Any]) -> Incident:
    """What :func:`plain` made, also by an earlier version of the agent: what it did not know has its default."""
    known: dict[str, Any] = _tuples(_known(Incident, kept))
    known["severity"], known["worst"] = _SEVERITIES[kept["severity"]], _SEVERITIES[kept["worst"]]
    known["complaints"] = tuple(_read_complaint(c) for c in kept["complaints"])
    impact: dict[str, Any] = _tuples(_known(Impact, kept["impact"]))
    impact["processes"] = tuple(Affected(**_known(Affected, p)) for p in kept["impact"]["processes"])
    return Incident(**{**known, "impact": Impact(**impact)})


def _complaint(c: Complaint) -> JsonObject:
    place = {"key": dict(c.place.key), "labels": dict(c.place.labels), "pids": sorted(c.place.pids)}
    return {**vars(c), "severity": c.severity.word, "labels": dict(c.labels), "place": place}


def _read_complaint(kept: Mapping[str, Any]) -> Complaint:
    place = kept["place"]
    known = {
        **_known(Complaint, kept),
        "severity": _SEVERITIES[kept["severity"]],
        "labels": tuple(sorted(kept["labels"].items())),
        "place": Place(tuple(sorted(place["key"].items())), place["labels"], frozenset(place["pids"])),
    }
    return Complaint(**known)


def _known(kind: Any, kept: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in kept.items() if name in names}


def _tuples(kept: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()}
