"""Incidents as they are kept: one with all there can be, and some others."""

from __future__ import annotations

from dataclasses import replace

from agent.engine.graph import Place
from agent.engine.incident import Affected, Complaint, Impact, Incident
from agent.model import JsonObject, Severity, labels

HOSTILE = "\x1b[2J\u202e"

CAUSE: JsonObject = {
    "id": "memory.python-leak",
    "title": f"Objects pile up {HOSTILE}",
    "severity": "critical",
    "confidence": {"lo": 0.8, "hi": 0.8},
    "target": {"kind": "process", "name": f"trainer{HOSTILE}", "pid": 7},
    "culprits": [{"kind": "code", "name": "f", "file": "/nowhere/app.py", "line": 42, "function": "remember"}],
    "evidence": [{"check": "grows", "answer": "true", "says": "3 MiB/s", "source": "memray"}],
    "consequences": [],
    "advice": "bound the cache",
    "artifacts": [],
}

COMPLAINT = Complaint(
    "memory",
    labels(pid=7),
    Severity.CRITICAL,
    90.0,
    100.0,
    "grows",
    Place(labels(pid=7), {"pid": "7", "comm": "<b>'\"ü"}, frozenset({"7", "8"})),
    start=50.5,
    over=130.0,
    ended="resolved",
)
INCIDENT = Incident(
    id=3,
    opened=100.0,
    updated=130.0,
    phase="diagnosed",
    severity=Severity.CRITICAL,
    worst=Severity.CRITICAL,
    title="Objects pile up",
    version=2,
    returns=(110.0,),
    complaints=(COMPLAINT,),
    causes=(CAUSE,),
    leads_to=("host.oom",),
    impact=Impact((Affected(7, "trainer", "ada"),), ("GPU-1",), ("ada",), more=2),
)


LEAK = replace(INCIDENT, causes=(CAUSE,), title=f"Objects {HOSTILE}", acknowledged="ada")
OLD = replace(INCIDENT, id=1, phase="closed", closed=1000.0, ending="gone", severity=Severity.CRITICAL)
SLOW = replace(INCIDENT, id=9, severity=Severity.WARNING, episode=3, flapping=True, phase="flapping")
