"""A diagnosis as ``anfl.diagnosis/1``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from agent.diagnosis import Confidence, Diagnosis, EvidenceLine, Finding, Possible
from agent.model import Culprit, JsonObject, Target

SCHEMA = "anfl.diagnosis/1"


def to_json(diagnosis: Diagnosis) -> JsonObject:
    """The contract's object: RFC 3339 times in UTC, plain JSON types only."""
    return {
        "schema": SCHEMA,
        "agent_version": diagnosis.agent_version,
        "host": diagnosis.host,
        "started_at": when(diagnosis.started_at),
        "took_s": _round(diagnosis.took_s),
        "source": diagnosis.source,
        "verdict": diagnosis.verdict,
        "causes": [finding(f) for f in diagnosis.causes],
        "elsewhere": [finding(f) for f in diagnosis.elsewhere],
        "possible": [_possible(p) for p in diagnosis.possible],
        "ruled_out": [{"id": r.id, "because": r.because} for r in diagnosis.ruled_out],
        "not_checked": [{"id": n.id, "because": n.because, "try": n.try_} for n in diagnosis.not_checked],
        "cost": {
            "probes": [
                {"probe": c.probe, "seconds": _round(c.seconds), "target_pause_s": _round(c.target_pause_s)} for c in diagnosis.cost
            ]
        },
        "incident": diagnosis.incident,
    }


def finding(f: Finding) -> JsonObject:
    """One entry of ``causes``."""
    return {
        "id": f.id,
        "title": f.title,
        "severity": f.severity.word,
        "confidence": _confidence(f.confidence),
        "since": None if f.since is None else when(f.since),
        "symptoms": list(f.symptoms),
        "target": _target(f.target),
        "culprits": [_culprit(c) for c in f.culprits],
        "consequences": list(f.consequences),
        "evidence": [_line(line) for line in f.evidence],
        "sop": list(f.sop),
        "advice": f.advice,
        "playbook": f.playbook,
        "artifacts": [{"kind": a.kind, "path": a.path} for a in f.artifacts],
    }


def when(seconds: float) -> str:
    """Unix seconds as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _possible(p: Possible) -> JsonObject:
    return {
        "id": p.id,
        "confidence": _confidence(p.confidence),
        "missing": list(p.missing),
        "try": p.try_,
        "severity": p.severity.word,
    }


def _confidence(c: Confidence) -> JsonObject:
    return {"lo": round(c.lo, 4), "hi": round(c.hi, 4)}


def _target(target: Target) -> JsonObject:
    return asdict(target)


def _culprit(culprit: Culprit) -> JsonObject:
    made: dict[str, Any] = asdict(culprit)
    return {name: _round(value) if name in ("share", "rate") else value for name, value in made.items()}


def _line(line: EvidenceLine) -> JsonObject:
    return {
        "check": line.check,
        "answer": line.answer,
        "says": line.says,
        "source": line.source,
        "took_s": _round(line.took_s),
    }


def _round(value: float | None) -> float | None:
    """JSON has no infinity or NaN; more than six digits say nothing."""
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    return float(f"{value:.6g}") if abs(value) < 1e6 else round(value, 1)
