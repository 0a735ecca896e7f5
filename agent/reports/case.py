"""One incident as ``anfl.report-incident/1``: all that a report says, before it is written out."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence

from agent import __version__
from agent.alerts.redact import redact_all
from agent.dataclass import dataclass
from agent.engine.report import when
from agent.engine.trees import RuleSet
from agent.incidents import answers, tables
from agent.model import JsonObject, Metric
from agent.reports import kept, surroundings
from agent.reports.document import Json
from agent.reports.history import Progress, known_until, quiet
from agent.reports.incident import moment
from agent.reports.questions import open_questions
from agent.reports.steps import prevention, resolution
from agent.store.recording import Recording


@dataclass(frozen=True)
class Sources:
    """Where a report takes its facts from. ``metrics`` and ``rules`` are those of this installation."""

    recording: Recording
    rules: RuleSet
    metrics: Mapping[str, Metric]
    host: str
    state: str = ""


def of_state(at: sqlite3.Connection, number: int) -> JsonObject:
    """What the state file holds of an incident. UsageError where there is none."""
    told = {k: v for k, v in answers.one(at, number).items() if k != "schema"}
    incident = tables.current(at, number)
    if incident is None:
        raise answers.no_such(number)
    return {
        "incident": told,
        "actions": kept.runs(at, number),
        "messages": kept.messages(at, number),
        "alike": kept.alike(at, incident),
    }


def report(found: JsonObject, sources: Sources, now: float | None = None, progress: Progress = quiet) -> JsonObject:
    """The whole report, secrets masked."""
    incident, made = found["incident"], time.time() if now is None else now
    onset = moment(incident["since"])
    known = made if incident["closed"] else min(made, max(known_until(sources.recording, made), moment(incident["updated"])))
    window = surroundings.span(onset, moment(incident["closed"]) if incident["closed"] else known, made)
    names = surroundings.series_of(incident, sources.rules)
    charted = surroundings.charted(sources.recording, incident, names, sources.metrics, window, onset, progress)
    told: JsonObject = {
        "schema": "anfl.report-incident/1",
        "agent_version": __version__,
        "host": (incident["diagnosis"] or {}).get("host") or sources.host,
        "made": when(made),
        **found,
        "known_until": when(known) if known < made else None,
        "intervals": intervals(found, known),
        "timeline": timeline(found, surroundings.near(sources.recording, incident, onset)),
        "resolution": resolution(found),
        "prevention": prevention(found, sources.rules.causes),
        "victims": sorted({c["id"] for c in incident["causes"]} & sources.rules.victims),
        "open_questions": open_questions(found),
        "window": {"since": when(window[0]), "until": when(window[1])},
        "series": surroundings.telling(charted),
        "sources": {"state": sources.state, "recording": sources.recording.folder, "not_recorded": _missing(names, charted)},
    }
    masked: JsonObject = redact_all(told)
    return masked


def _missing(names: Sequence[str], charted: Sequence[Json]) -> list[str]:
    return [name for name in names if all(s["metric"] != name for s in charted)]


def intervals(found: Json, now: float) -> JsonObject:
    """Seconds from the onset to its being noticed, and from there to cause, message, acknowledgement and end; None: not yet."""
    i = found["incident"]
    opened = moment(i["opened"])
    named = next((moment(e["time"]) for e in i["timeline"] if e["what"] == "diagnosed"), None)
    arrived = min((moment(m["arrived"]) for m in found["messages"] if m["arrived"]), default=None)
    seen = moment(i["acknowledged_at"]) if i["acknowledged_at"] else None
    closed = moment(i["closed"]) if i["closed"] else None

    def since(at: float | None) -> float | None:
        return None if at is None else round(max(0.0, at - opened), 1)

    return {
        "noticed_s": round(max(0.0, opened - moment(i["since"])), 1),
        "diagnosed_s": since(named),
        "told_s": since(arrived),
        "acknowledged_s": since(seen),
        "closed_s": since(closed),
        "lasted_s": round(max(0.0, (closed or now) - moment(i["since"])), 1),
    }


def timeline(found: Json, around: Sequence[JsonObject]) -> list[JsonObject]:
    """All that happened, oldest first, each line with its source."""
    i = found["incident"]
    first = min(i["complaints"], key=lambda c: moment(c["since"]), default={"tree": "", "text": ""})
    onset = ": ".join(filter(None, (first["tree"], first["text"])))
    lines = [{"time": i["since"], "source": "symptom", "what": "onset", "text": onset, "who": None}]
    lines += [{**e, "source": "incident", "text": _once(e["text"], first["text"])} for e in i["timeline"]]
    for run in found["actions"]:
        lines += [
            {"time": s["time"], "source": "playbook", "what": f"{run['playbook']} {s['what']}", "text": s["why"], "who": s["who"]}
            for s in run["steps"]
        ]
    for m in found["messages"]:
        state = "arrived" if m["arrived"] else m["state"]
        said = m["title"] + (f": {m['error']}" if m["error"] else "")
        lines.append(
            {"time": m["arrived"] or m["made"], "source": "message", "what": f"{m['to']}: {state}", "text": said, "who": None}
        )
    lines += [{**e, "who": None} for e in around]
    return sorted(lines, key=lambda e: moment(e["time"]))


def _once(text: str, said: str) -> str:
    """Without the condition that the onset has told."""
    return text.removesuffix(said).rstrip(": ") if said and text.endswith(said) else text
