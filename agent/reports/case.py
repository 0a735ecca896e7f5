"""One incident as ``anfl.report-incident/1``: all that a report says, before it is written out."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent import __version__
from agent.alerts.redact import redact_all
from agent.engine.report import when
from agent.engine.trees import RuleSet
from agent.incidents import answers, tables
from agent.model import JsonObject, Metric
from agent.reports import kept, surroundings
from agent.reports.document import Json
from agent.reports.history import Progress, quiet
from agent.reports.incident import moment
from agent.store.recording import Recording

SAID = frozenset({"comment", "assigned", "acknowledged", "closed"})
"""Words of people in a timeline; what a look that somebody asked for brought is none."""
REASONS = 2
ENDINGS = {
    "resolved": "Every symptom is known to be over.",
    "gone": "What it was about has ended, such as the process.",
    "merged": "It is part of another incident.",
    "closed": "A person closed it.",
}


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
    window = surroundings.span(onset, moment(incident["closed"]) if incident["closed"] else made, made)
    names = surroundings.series_of(incident, sources.rules)
    charted = surroundings.charted(sources.recording, incident, names, sources.metrics, window, onset, progress)
    told: JsonObject = {
        "schema": "anfl.report-incident/1",
        "agent_version": __version__,
        "host": (incident["diagnosis"] or {}).get("host") or sources.host,
        "made": when(made),
        **found,
        "intervals": intervals(found, made),
        "timeline": timeline(found, surroundings.near(sources.recording, incident, onset)),
        "resolution": resolution(found),
        "prevention": prevention(found),
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
    lines = [{"time": i["since"], "source": "symptom", "what": "onset", "text": _first_symptom(i), "who": None}]
    lines += [{**e, "source": "incident"} for e in i["timeline"]]
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


def _first_symptom(i: Json) -> str:
    first = min(i["complaints"], key=lambda c: moment(c["since"]), default=None)
    return "" if first is None else f"{first['tree']}: {first['text']}" if first["text"] else first["tree"]


def resolution(found: Json) -> list[JsonObject]:
    """What ended it, or, while it is open, what is to be done: ``text`` and the ``command`` for it."""
    i = found["incident"]
    done = [
        _step(f"Playbook {r['playbook']} was carried out and its effect verified.")
        for r in found["actions"]
        if r["phase"] == "verified"
    ]
    done += [_step(f"{e['who']}: {e['text']}") for e in i["timeline"] if e["who"] and e["text"] and e["what"] in SAID]
    if i["closed"]:
        into = f" See incident {i['merged_into']}." if i["merged_into"] else ""
        by = "" if done else " No action of a person or a playbook is known to have ended it."
        return [*done, _step(f"{ENDINGS.get(i['ending'], i['ending'] or '')}{into}{by}")]
    root = next(iter(i["causes"]), None)
    if root is None:
        return [*done, _step("It is open and its cause is not known. Look closer while it lasts.", _look(i))]
    steps = [_step(root["advice"])] if root["advice"] else []
    waiting = [r for r in found["actions"] if r["phase"] == "proposed"]
    steps += [_step(f"Playbook {r['playbook']} waits for a yes.", f"anfl-agent approve {r['id']}") for r in waiting]
    if root.get("playbook") and not found["actions"]:
        steps.append(_step(f"Playbook {root['playbook']} can do it.", f"anfl-agent playbooks show {root['playbook']}"))
    steps += [_step(f"Procedure: {step}") for step in root.get("sop") or ()]
    return [*done, _step("It is open. To be done:"), *steps]


def prevention(found: Json) -> list[JsonObject]:
    """What keeps it from coming back: each cause's advice, and what its history asks for."""
    i = found["incident"]
    steps = [_step(f"{c['id']}: {c['advice']}", f"anfl-agent rules explain {c['id']}") for c in i["causes"] if c["advice"]]
    if found["alike"]:
        steps.append(_step(f"The same cause was named in {len(found['alike'])} other incidents that are kept: mend it for good."))
    if i["episode"] > 1:
        steps.append(_step(f"It came {i['episode']} times: what ended it did not last."))
    failed = [r["playbook"] for r in found["actions"] if r["phase"] in ("failed", "escalated")]
    steps += [_step(f"Playbook {name} did not help; look at its steps before it is tried again.") for name in dict.fromkeys(failed)]
    lost = sorted({m["to"] for m in found["messages"] if m["error"] and not m["arrived"]})
    steps += [_step(f"Messages to {to} did not arrive.", "anfl-agent alerts list") for to in lost]
    return steps


def open_questions(found: Json) -> list[JsonObject]:
    """What is not known, why not, and the command that would tell: ``text``, ``why``, ``command``."""
    i = found["incident"]
    asked = [
        _question(f"Is it also {p['id']}? It may be (up to {p['confidence']['hi']:.2f})", _unknown(p), p["try"])
        for p in i["possible"]
    ]
    asked += _unchecked(i["not_checked"])
    asked += [
        _question(f"Is {c['tree']} over?", "there has been no data of it", "anfl-agent doctor")
        for c in i["complaints"]
        if c["missing"]
    ]
    doubtful = [r for r in found["actions"] if r["phase"] == "ambiguous"]
    asked += [_question(f"Was {r['playbook']} done?", r["reason"], "anfl-agent audit") for r in doubtful]
    if not i["causes"]:
        asked.insert(0, _question("What is the root cause?", "none was found", _look(i)))
    return asked


def _unchecked(unchecked: Sequence[Json]) -> list[JsonObject]:
    """What one command would check is one question."""
    alike: dict[str, list[Json]] = {}
    for n in unchecked:
        alike.setdefault(n["try"] or n["id"], []).append(n)
    asked = []
    for group in alike.values():
        reasons = list(dict.fromkeys(n["because"] for n in group))
        why = "; ".join(reasons[:REASONS]) + (f"; and {len(reasons) - REASONS} reasons more" if len(reasons) > REASONS else "")
        names = ", ".join(n["id"] for n in group)
        asked.append(_question(f"{names} {'was' if len(group) == 1 else 'were'} not checked", why, group[0]["try"]))
    return asked


def _unknown(possible: Json) -> str:
    return f"unknown: {', '.join(possible['missing'])}" if possible["missing"] else ""


def _look(i: Json) -> str:
    trees = " ".join(sorted({c["tree"] for c in i["complaints"]}))
    if i["closed"]:
        return f"anfl-agent diagnose {trees} --at '{i['since']}'"
    pid = next((c["labels"]["pid"] for c in i["complaints"] if "pid" in c["labels"]), None)
    return f"anfl-agent diagnose {trees} --deep" + (f" --pid {pid}" if pid else "")


def _step(text: str, command: str = "") -> JsonObject:
    return {"text": text, "command": command}


def _question(text: str, why: str, command: str) -> JsonObject:
    return {"text": text, "why": why, "command": command}
