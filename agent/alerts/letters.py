"""What a draft becomes for its receiver: the message, and for an Alertmanager the alerts in its own words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.alerting import Alerts
from agent.alerts.message import cleaned, culprit, message
from agent.alerts.model import Alert, Mark
from agent.alerts.plan import Draft
from agent.alerts.redact import redact_all
from agent.engine.report import when
from agent.model import JsonObject

ALERTNAME = "alertname"


def letter(draft: Draft, settings: Alerts, host: str, now: float, folded: int, notes: Sequence[str], audit: str = "") -> JsonObject:
    """The whole payload of a row."""
    told = message(draft, settings, host, now, folded, notes, audit)
    if draft.address.receiver.type == "alertmanager":
        alerts = {i.alert.id: i.alert for i in draft.items}
        said = [entry for mark in draft.marks for entry in _entries(alerts[mark.alert], mark, draft.known, settings, host, now)]
        told["alertmanager"] = said
    return told


def _entries(alert: Alert, mark: Mark, known: Mapping[str, Mark], settings: Alerts, host: str, now: float) -> list[JsonObject]:
    """One entry; two where its labels changed: the alert with the old ones ends."""
    before = known.get(alert.id)
    made = [entry(alert, mark, settings, host)]
    if before is not None and before.status == "firing" and labels_of(before, alert.tree, host) != made[0]["labels"]:
        old = entry(alert, before, settings, host)
        made.append({**old, "endsAt": when(now)})
    return made


def entry(alert: Alert, mark: Mark, settings: Alerts, host: str) -> JsonObject:
    """One alert as ``/api/v2/alerts`` takes it; without an end the sender gives it one that it must be sent again before."""
    cause = alert.body.get("cause") or {}
    said = [line["says"] for line in cause.get("evidence") or [] if line.get("says")]
    culprits = cause.get("culprits") or []
    notes = {
        "summary": f"{host}: {alert.title}",
        "description": " · ".join(said) or " · ".join(alert.body.get("symptoms") or []),
        "culprit": culprit(culprits[0]) if culprits else "",
        "advice": cause.get("advice") or "",
        "command": f"anfl-agent incidents show {alert.id}",
        "plea": alert.body.get("plea") or "",
        "plea_link": alert.body.get("plea_link") or "",
        "runbook_url": settings.runbook.replace("{cause}", alert.cause or alert.tree).replace("{tree}", alert.tree),
    }
    made: JsonObject = {
        "labels": labels_of(mark, alert.tree, host),
        "annotations": cleaned(redact_all({key: value for key, value in notes.items() if value})),
        "startsAt": when(alert.opened),
    }
    link = settings.link.replace("{incident}", alert.id).replace("{cause}", alert.cause).replace("{tree}", alert.tree)
    if link.startswith(("http://", "https://")):
        made["generatorURL"] = link
    if mark.status == "resolved":
        made["endsAt"] = when(alert.closed or mark.at)
    return made


def labels_of(mark: Mark, tree: str, host: str) -> dict[str, str]:
    """The labels that make an alert itself in an Alertmanager; from what was told, so that its end has the same ones."""
    own = {
        ALERTNAME: mark.cause or tree,
        "host": host,
        "instance": host,
        "incident": mark.alert,
        "tree": tree,
        "severity": mark.severity.word,
    }
    labels: dict[str, str] = cleaned(redact_all({**{k: v for k, v in mark.labels.items() if v}, **own}))
    return labels
