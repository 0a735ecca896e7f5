"""The answer: what was found, what may hold, what was ruled out, what could not be looked at. Rendered as ``anfl.diagnosis/1``."""

from __future__ import annotations

from typing import Literal

from agent.dataclass import dataclass
from agent.model import Artifact, Culprit, Severity, Target

Answer = Literal["true", "false", "unknown", "skipped"]
Verdict = Literal["ok", "warning", "critical", "unknown"]


@dataclass(frozen=True)
class Confidence:
    """An interval: ``lo`` from what is known to hold, ``hi`` from what may still hold."""

    lo: float
    hi: float


@dataclass(frozen=True)
class EvidenceLine:
    """One check as it stands in a diagnosis."""

    check: str
    answer: Answer
    says: str
    source: str = ""
    took_s: float = 0.0


@dataclass(frozen=True)
class Finding:
    """One active cause with all that supports it. ``consequences`` are ids of active causes it leads to."""

    id: str
    title: str
    severity: Severity
    confidence: Confidence
    target: Target
    since: float | None = None
    symptoms: tuple[str, ...] = ()
    culprits: tuple[Culprit, ...] = ()
    consequences: tuple[str, ...] = ()
    evidence: tuple[EvidenceLine, ...] = ()
    sop: tuple[str, ...] = ()
    advice: str = ""
    playbook: str | None = None
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True)
class Possible:
    """A cause that may hold; ``missing`` checks would tell, ``try_`` is the command that settles it."""

    id: str
    confidence: Confidence
    missing: tuple[str, ...] = ()
    try_: str = ""
    severity: Severity = Severity.WARNING


@dataclass(frozen=True)
class RuledOut:
    """A cause that was looked for and does not hold."""

    id: str
    because: str


@dataclass(frozen=True)
class NotChecked:
    """A check or cause that could not be looked at, and how to make it checkable."""

    id: str
    because: str
    try_: str = ""


@dataclass(frozen=True)
class ProbeCost:
    """What one closer look cost."""

    probe: str
    seconds: float
    target_pause_s: float = 0.0


@dataclass(frozen=True)
class Diagnosis:
    """The whole answer; ``causes[0]`` is the root cause. Rendered as ``anfl.diagnosis/1``."""

    agent_version: str
    host: str
    started_at: float
    took_s: float
    source: Literal["daemon", "burst", "recording"]
    verdict: Verdict
    causes: tuple[Finding, ...] = ()
    elsewhere: tuple[Finding, ...] = ()
    possible: tuple[Possible, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()
    cost: tuple[ProbeCost, ...] = ()
    incident: str | None = None
