"""What the guard decides about and the runner keeps: proposals, runs, facts, decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from agent.dataclass import dataclass
from agent.model import JsonObject, Labels, Target

ITSELF = "anfl-agent"


class Phase(StrEnum):
    """Where a run stands. From ``reserved`` on its attempt is spent."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    RESERVED = "reserved"
    INTENT = "intent"
    RESULT = "result"
    VERIFYING = "verifying"
    AMBIGUOUS = "ambiguous"
    VERIFIED = "verified"
    FAILED = "failed"
    ESCALATED = "escalated"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    WOULD = "would"  # a dry run that would have been carried out


OVER = frozenset(
    {
        Phase.VERIFIED,
        Phase.FAILED,
        Phase.ESCALATED,
        Phase.DENIED,
        Phase.EXPIRED,
        Phase.CANCELLED,
        Phase.SUPERSEDED,
        Phase.WOULD,
    }
)
ACTING = frozenset({Phase.RESERVED, Phase.INTENT, Phase.RESULT, Phase.VERIFYING, Phase.AMBIGUOUS})
EDGES: dict[Phase, frozenset[Phase]] = {
    Phase.PROPOSED: frozenset({Phase.APPROVED, Phase.DENIED, Phase.EXPIRED, Phase.CANCELLED, Phase.SUPERSEDED, Phase.WOULD}),
    Phase.APPROVED: frozenset({Phase.RESERVED, Phase.EXPIRED, Phase.CANCELLED, Phase.DENIED, Phase.SUPERSEDED}),
    Phase.RESERVED: frozenset({Phase.INTENT, Phase.EXPIRED, Phase.FAILED}),
    Phase.INTENT: frozenset({Phase.RESULT, Phase.AMBIGUOUS, Phase.FAILED}),
    Phase.RESULT: frozenset({Phase.INTENT, Phase.VERIFYING, Phase.FAILED, Phase.EXPIRED, Phase.ESCALATED}),
    Phase.VERIFYING: frozenset({Phase.VERIFIED, Phase.FAILED, Phase.ESCALATED}),
    Phase.AMBIGUOUS: frozenset({Phase.VERIFIED, Phase.INTENT, Phase.ESCALATED}),
}
"""Every edge there is; anything else is a defect, and refused."""


@dataclass(frozen=True)
class Run:
    """One playbook on its way for one target of one incident. Times in Unix seconds."""

    id: int
    playbook: str
    digest: str
    group: str
    incident: int
    cause: str
    key: tuple[str, Labels]  # the symptom: tree and labels
    target: Target
    mode: str
    phase: Phase
    created: float
    updated: float
    expires: float
    step: int = 0
    evidence: str = ""  # digest of the diagnosis it was proposed for
    reason: str = ""
    rung: int = 0
    reserved_at: float | None = None
    verify_from: float | None = None
    verify_until: float | None = None
    undo: tuple[JsonObject, ...] = ()
    approvals: tuple[str, ...] = ()
    sufferer: Target | None = None  # whose symptom it is, where the target is somebody else: who does the harm
    quiet: bool = False  # it only looks on: no limit and no breaker counts it
    again: bool = False  # a step whose end was lost has been done again
    told: bool = False  # people know that it waits for them
    refused: str = ""  # the person who said no
    proposer: str = "anfl-agent"  # who cannot agree to it
    nonce: str = ""  # what makes the link of this proposal good once
    closed: bool = False  # what follows from its end was done: the next rung, or people were called

    @property
    def kin(self) -> str:
        """What its limits count for: a restarted worker is the same worker, whatever its pid."""
        t = self.target
        for name in ("uuid", "unit", "container", "job"):
            if value := getattr(t, name):
                return f"{name}:{value}"
        return f"name:{t.name}:{t.user}" if t.pid is not None else self.identity

    @property
    def identity(self) -> str:
        """Its target, by what does not come back: pid with start time, unit, UUID, cgroup or the host."""
        t = self.target
        if t.pid is not None:
            return f"pid:{t.pid}@{t.start_time:.2f}" if t.start_time else f"pid:{t.pid}"
        for name in ("uuid", "unit", "cgroup"):
            if value := getattr(t, name):
                return f"{name}:{value}"
        return f"host:{t.name}"


@dataclass(frozen=True)
class Facts:
    """What is known now of what a run is about. ``lo`` None: the cause is not active any more.

    ``gpu_users``: the GPUs of each job (container, unit, session) that works on the target, None if that is unknown; ``gpus_lost``
    are those that nobody can work on.
    """

    now: float
    incident_open: bool
    lo: float | None
    judged_at: float
    complete: bool
    target_there: bool
    uid: int | None = None
    gpu_users: Mapping[str, frozenset[str]] | None = field(default_factory=dict)
    gpus_lost: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Tally:
    """What was done before: reservations of the same group on the same target (times, newest last), ends, failures, what runs."""

    reservations: tuple[float, ...] = ()
    last_end: float | None = None
    attempts_in_incident: int = 0
    running: tuple[Run, ...] = ()
    recent_actions: int = 0
    recent_failures: int = 0
    recent_proposals: int = 0


@dataclass(frozen=True)
class House:
    """How the host stands: what holds for all playbooks."""

    paused: str = ""  # why, or ""
    tripped: str = ""
    lost_state: str = ""
    volatile: str = ""  # why what is done cannot be kept now, or ""
    permit: str = ""  # why an outside permit was refused, or ""


@dataclass(frozen=True)
class Decision:
    """Whether, and why not: every reason, not only the first."""

    go: bool
    reasons: tuple[str, ...] = ()
