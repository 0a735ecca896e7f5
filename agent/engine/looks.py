"""Closer looks as events, so that a recording holds what was seen and a later reading judges by it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, field
from typing import Any

from agent.dataclass import dataclass
from agent.engine.findings import Onsets
from agent.engine.walk import ProbeKey
from agent.model import Artifact, Culprit, Event, Evidence, JsonObject, Labels, Target, labels

LOOK = "look"
"""Event kind: one closer look, at the moment it ended; text: the look as JSON; field ``by``: the investigation that took it."""
TOLD = "diagnosis"
"""Event kind: an answer that was given, with what it was given to; text: ``target``, ``onsets`` and ``diagnosis`` as JSON, for only
texts can be rid of names; fields: the others of :class:`Question`, times in Unix seconds."""
FRESH_S = 900.0
"""A look answers for this long: what a process did a quarter of an hour ago says little of what it does now."""


@dataclass(frozen=True)
class Question:
    """What an answer was given to: enough to judge the same moment in the same way again.

    ``by`` names the investigation, as its looks do. ``symptom`` is the tree of the symptom that was looked into, "" if somebody
    asked. ``pids`` were walked, of ``trees`` (none: all). ``onsets`` are the beginnings that the judge knew.
    """

    by: str
    target: Target
    pids: tuple[int, ...]
    trees: tuple[str, ...]
    symptom: str
    began: float
    judged_at: float
    onsets: Onsets = field(default_factory=dict)


def event(key: ProbeKey, evidence: Evidence, now: float, by: str = "") -> Event:
    """What goes into the recording. Text in it was cleaned by the probe."""
    known: dict[str, str | int] = {"probe": key.probe}
    if key.pid is not None:
        known["pid"] = key.pid
    body = {"settings": key.settings, "entity": key.entity, "evidence": asdict(evidence)}
    return Event(now, LOOK, labels(**known), json.dumps(body, separators=(",", ":")), {"by": by})


def told(diagnosis: JsonObject, asked: Question, now: float) -> Event:
    """An answer as it was given, with what it was given to: a replay asks the same."""
    known = labels() if asked.target.pid is None else labels(pid=asked.target.pid)
    fields: dict[str, float | str] = {
        "by": asked.by,
        "pids": ",".join(map(str, asked.pids)),
        "trees": ",".join(asked.trees),
        "symptom": asked.symptom,
        "began": asked.began,
        "judged_at": asked.judged_at,
    }
    onsets = [[tree, dict(about), onset] for (tree, about), onset in asked.onsets.items()]
    body = {"target": asdict(asked.target), "onsets": onsets, "diagnosis": diagnosis}
    return Event(now, TOLD, known, json.dumps(body, separators=(",", ":")), fields)


def read(answer: Event) -> tuple[Question, JsonObject] | None:
    """What was asked and what was answered; None where the recording does not say all of it."""
    said = {name: str(value) for name, value in answer.fields.items()}
    try:
        body = json.loads(answer.text)
        asked = Question(
            said["by"],
            Target(**body["target"]),
            tuple(int(pid) for pid in said["pids"].split(",") if pid),
            tuple(name for name in said["trees"].split(",") if name),
            said["symptom"],
            float(said["began"]),
            float(said["judged_at"]),
            {(tree, labels(**about)): float(onset) for tree, about, onset in body["onsets"]},
        )
        return (asked, body["diagnosis"]) if "causes" in body["diagnosis"] else None
    except (ValueError, LookupError, TypeError):
        return None


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
