"""Closer looks as events, so that a recording holds what was seen and a later reading judges by it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from agent.engine.walk import ProbeKey
from agent.model import Artifact, Culprit, Event, Evidence, JsonObject, Labels, labels

LOOK = "look"
"""Event kind: one closer look, at the moment it ended; text: the look as JSON, ``fields`` empty."""
TOLD = "diagnosis"
"""Event kind: an answer that was given, as JSON; ``fields``: ``began`` and ``judged_at`` (Unix seconds), ``pids`` with commas."""
FRESH_S = 900.0
"""A look answers for this long: what a process did a quarter of an hour ago says little of what it does now."""


def event(key: ProbeKey, evidence: Evidence, now: float) -> Event:
    """What goes into the recording. Text in it was cleaned by the probe."""
    known: dict[str, str | int] = {"probe": key.probe}
    if key.pid is not None:
        known["pid"] = key.pid
    body = {"settings": key.settings, "entity": key.entity, "evidence": asdict(evidence)}
    return Event(now, LOOK, labels(**known), json.dumps(body, separators=(",", ":")))


def told(diagnosis: JsonObject, pid: int | None, pids: Iterable[int], began: float, judged_at: float, now: float) -> Event:
    """An answer as it was given, with the moment that was judged and the processes that were walked: a replay takes the same."""
    known = labels() if pid is None else labels(pid=pid)
    fields: dict[str, float | str] = {"began": began, "judged_at": judged_at, "pids": ",".join(map(str, pids))}
    return Event(now, TOLD, known, json.dumps(diagnosis, separators=(",", ":")), fields)


def answers(events: Iterable[Event]) -> dict[ProbeKey, Evidence]:
    """What the looks saw, the newest of equal ones, but a refusal only where none was taken; what cannot be read is left out."""
    found: dict[ProbeKey, Evidence] = {}
    for look in events:
        try:
            body = json.loads(look.text)
            key, seen = _key(look.labels, body), _evidence(body["evidence"])
            if key not in found or seen.answers or not found[key].answers:
                found[key] = seen
        except (ValueError, LookupError, TypeError):
            continue
    return found


def _key(known: Labels, body: dict[str, Any]) -> ProbeKey:
    by_name = dict(known)
    pid = by_name.get("pid")
    settings = tuple((name, value) for name, value in body["settings"])
    return ProbeKey(by_name["probe"], None if pid is None else int(pid), settings, body["entity"])


def _evidence(body: dict[str, Any]) -> Evidence:
    culprits = {name: tuple(Culprit(**c) for c in found) for name, found in body["culprits"].items()}
    artifacts = tuple(Artifact(**a) for a in body["artifacts"])
    return Evidence(**{**body, "culprits": culprits, "artifacts": artifacts})
