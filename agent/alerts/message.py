"""One message, whatever it is shown in: ``anfl.alert/1``, plain JSON, made from the alerts it tells of. Pure.

Secrets are masked here, before anything is kept or sent. Lists are short: the ten worst alerts, three lines of evidence each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent import __version__
from agent.alerting import Alerts
from agent.alerts.model import Alert, Mark
from agent.alerts.plan import Draft, Reason
from agent.alerts.redact import redact, redact_all
from agent.alerts.stages import Item
from agent.engine.report import when
from agent.host.text import clean
from agent.model import JsonObject, Severity

SCHEMA = "anfl.alert/1"
SHOWN = 10
EVIDENCE = 3
RULED_OUT = 6
CRITICAL_SHOWN = 50
"""Critical alerts are named one by one far beyond the ten: a storm may shorten the text, never leave one out."""
DRAWN = ("flamegraph",)


def message(
    draft: Draft, settings: Alerts, host: str, now: float, folded: int = 0, notes: Sequence[str] = (), audit: str = ""
) -> JsonObject:
    """What a draft says. ``folded`` alerts of the group are only counted, ``notes`` are about receivers in trouble.

    ``audit`` is the head of the audit as it stands: who has the message can tell later that nothing was cut off.
    """
    marks = {m.alert: m for m in draft.marks}
    items = sorted(draft.items, key=lambda i: (i.alert.status != "firing", -marks[i.alert.id].severity, i.alert.opened, i.alert.id))
    criticals = sum(i.severity == Severity.CRITICAL for i in items)
    shown = items[: max(SHOWN, min(criticals, CRITICAL_SHOWN))]
    firing = [m for m in draft.marks if m.status == "firing"]
    severity = max(m.severity for m in (firing or draft.marks))
    told = [_told(item, marks[item.alert.id], settings, full=number < SHOWN) for number, item in enumerate(shown)]
    made: JsonObject = {
        "schema": SCHEMA,
        "id": draft.event,
        "kind": kind_of(draft.reason, draft.marks),
        "reason": draft.reason.word,
        "host": host,
        "agent_version": __version__,
        "time": when(now),
        "group": draft.group,
        "severity": severity.word,
        "title": "",
        "firing": len(firing) + folded,
        "resolved": len(draft.marks) - len(firing),
        "alerts": told,
        "more": len(items) - len(shown) + folded,
        "notes": [redact(clean(note, 300)) for note in notes],
        **({"audit": audit} if audit else {}),
    }
    made["title"] = title(made, draft.reason)
    return made


def kind_of(reason: Reason, marks: Sequence[Mark]) -> str:
    """``firing``, ``resolved`` (nothing fires any more) or ``over`` (came and went before anybody was told)."""
    if any(m.status == "firing" for m in marks):
        return "firing"
    return "over" if reason == Reason.OVER else "resolved"


def title(told: Mapping[str, Any], reason: Reason | None = None) -> str:
    """Host, cause, target and severity in one line of at most 120 characters; or what people are asked to do."""
    word = {"firing": told["severity"], "resolved": "resolved", "over": "over"}.get(told["kind"], told["kind"]).upper()
    first = told["alerts"][0] if told["alerts"] else None
    pleas = [alert["plea"] for alert in told["alerts"] if alert.get("plea")] if reason is Reason.ASKED else []
    if pleas:
        return clean(f"[{word}] {told['host']}: {pleas[0]}", 120)
    others = told["firing"] + told["resolved"] - 1
    more = f" and {others} more" if others > 0 else ""
    what = f"{first['cause'] or first['tree']}" if first else told["kind"]
    where = f" in {first['target']}" if first and first["target"] else ""
    return clean(f"[{word}] {told['host']}: {what}{where}{more}", 120)


def _told(item: Item, mark: Mark, settings: Alerts, *, full: bool) -> JsonObject:
    """One alert; beyond the first ten in one line."""
    alert, body = item.alert, item.alert.body
    cause = body.get("cause") or {}
    culprits = cause.get("culprits") or []
    made: JsonObject = {
        "incident": alert.id,
        "status": alert.status,
        "severity": mark.severity.word,
        "tree": alert.tree,
        "cause": alert.cause,
        "title": alert.title,
        "target": target(cause.get("target") or {}, alert.labels),
        "culprit": culprit(culprits[0]) if culprits else "",
        "opened": when(alert.opened),
        "closed": when(alert.closed) if alert.closed else None,
        "ending": alert.ending,
        "labels": dict(alert.labels),
        "flapping": alert.flapping,
        "acknowledged": alert.acknowledged,
    }
    if full:
        made |= _details(alert, cause, item.explains, settings)
    safe: JsonObject = cleaned(redact_all(made))
    return safe


def _details(alert: Alert, cause: Mapping[str, Any], explains: Sequence[str], settings: Alerts) -> JsonObject:
    body = alert.body
    told = [line["says"] for line in cause.get("evidence") or [] if line.get("answer") == "true" and line.get("says")]
    confidence = cause.get("confidence") or {}
    known = {"cause": alert.cause or alert.tree, "tree": alert.tree, "incident": alert.id}
    return {
        "confidence": confidence.get("lo"),
        "evidence": (told or [s for s in (body.get("symptoms") or []) if s])[:EVIDENCE],
        "consequences": list(dict.fromkeys([*(cause.get("consequences") or []), *explains]))[:SHOWN],
        "ruled_out": [r["id"] for r in body.get("ruled_out") or []][:RULED_OUT],
        "impact": body.get("impact") or "",
        "plea": body.get("plea") or "",
        "plea_link": (body.get("plea_link") or "") if alert.status == "firing" else "",
        "advice": cause.get("advice") or "",
        "playbook": cause.get("playbook"),
        "command": body.get("command") or command(alert, cause),
        "runbook": _filled(settings.runbook, known),
        "link": _filled(settings.link, known),
        "artifacts": [{"kind": a["kind"], "path": a["path"]} for a in cause.get("artifacts") or []],
    }


def command(alert: Alert, cause: Mapping[str, Any]) -> str:
    """What to type next: the incident, or a closer look where no cause is known."""
    pid = (cause.get("target") or {}).get("pid") or alert.labels.get("pid")
    if not alert.cause and alert.status == "firing":
        return f"anfl-agent diagnose --pid {pid}" if pid else "anfl-agent diagnose"
    return f"anfl-agent incidents show {alert.id}"


def target(target: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """The sufferer in a few words."""
    name, pid = target.get("name"), target.get("pid") or labels.get("pid")
    if target.get("kind") == "host" or not (name or pid or labels):
        return ""
    if name or pid:
        return f"{name or 'process'} (pid {pid})" if pid else str(name)
    return " ".join(f"{key} {value}" for key, value in sorted(labels.items())[:2])


def culprit(c: Mapping[str, Any]) -> str:
    """Who is to blame: a place in code, a process, a device."""
    if c.get("file"):
        place = f"{c['file']}:{c['line']}" if c.get("line") else str(c["file"])
        text = f"{place} in {c['function']}" if c.get("function") else place
    else:
        text = f"{c.get('kind', '')} {c.get('name', '')}".strip()
    if c.get("pid") and not c.get("file"):
        text += f" (pid {c['pid']})"
    share = f" {c['share']:.0%}" if c.get("share") is not None else ""
    return text + share + (f" {c['detail']}" if c.get("detail") else "")


def attachments(told: Mapping[str, Any]) -> list[str]:
    """Paths of drawings that may ride along, best first."""
    return [a["path"] for alert in told["alerts"] for a in alert.get("artifacts", ()) if a["kind"] in DRAWN][:1]


def cleaned(value: Any) -> Any:
    """Every text free of control and direction signs and of bounded length."""
    if isinstance(value, str):
        return clean(value, 400)
    if isinstance(value, dict):
        return {clean(str(k), 80): cleaned(v) for k, v in value.items()}
    return [cleaned(item) for item in value] if isinstance(value, list) else value


def _filled(pattern: str, known: Mapping[str, str]) -> str:
    for key, value in known.items():
        pattern = pattern.replace(f"{{{key}}}", value)
    return pattern


def notice(
    event: str, kind: str, headline: str, lines: Sequence[str], host: str, now: float, severity: str = "warning"
) -> JsonObject:
    """A message about no incident: a test, a digest, a receiver in trouble."""
    return {
        "schema": SCHEMA,
        "id": event,
        "kind": kind,
        "reason": kind,
        "host": host,
        "agent_version": __version__,
        "time": when(now),
        "group": kind,
        "severity": severity,
        "title": clean(f"[{kind.upper()}] {host}: {headline}", 120),
        "firing": 0,
        "resolved": 0,
        "alerts": [],
        "more": 0,
        "notes": [redact(clean(line, 300)) for line in lines],
    }
