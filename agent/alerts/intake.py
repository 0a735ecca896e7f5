"""From incidents to alerts: what of an incident people are told, and a bound on how many are kept. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.alerts.message import EVIDENCE, RULED_OUT
from agent.alerts.model import Alert, Status
from agent.alerts.stages import group_of
from agent.engine.incident import Complaint, Impact, Incident
from agent.model import JsonObject, Severity

MOST_OF_GROUP = 50
"""Alerts of one group that are kept one by one; more are only counted, unless they are critical."""
MOST_CRITICAL = 2000
MOST = 500
"""Alerts kept in all; past it a group keeps five."""
FEW = 5
ENTITY = ("pid", "cgroup", "unit", "container", "job", "user", "gpu", "uuid", "pci", "device", "mountpoint", "interface")
_CAUSE = ("id", "title", "severity", "confidence", "target", "consequences", "advice", "playbook", "artifacts")


def alert_of(incident: Incident, before: Alert | None, now: float) -> Alert:
    """The alert of an incident as it stands. ``before`` is what was known of it; ``seen`` starts anew with a relapse."""
    root = incident.root or {}
    again = before is not None and before.status == "resolved" and incident.firing
    status: Status = "firing" if incident.firing else "resolved"
    first = _speaking(incident)
    return Alert(
        id=str(incident.id),
        title=str(root.get("title") or incident.title or (first.tree if first else "")),
        severity=incident.severity if incident.firing else incident.worst,
        tree=first.tree if first else str(root.get("id", "")).partition(".")[0],
        labels=_labels(incident, first),
        opened=incident.since or incident.opened,
        version=incident.version,
        episode=incident.episode,
        status=status,
        cause=str(root.get("id", "")),
        closed=incident.closed,
        ending=incident.ending,
        ready=incident.ready,
        flapping=incident.flapping,
        acknowledged=incident.acknowledged,
        acknowledged_at=incident.acknowledged_at,
        leads_to=frozenset(incident.leads_to) | frozenset(root.get("consequences") or ()),
        pleas=incident.pleas,
        seen=now if before is None or again else before.seen,
        group=before.group if before is not None else "",
        body=_body(incident, root),
    )


def _speaking(incident: Incident) -> Complaint | None:
    """The symptom that speaks for it: the worst that lasts, else the first there was."""
    lasting = sorted(incident.active, key=lambda c: (-c.severity, c.onset))
    return next(iter([*lasting, *incident.complaints]), None)


def _labels(incident: Incident, first: Complaint | None) -> dict[str, str]:
    found = {**first.place.labels, **dict(first.labels)} if first else {}
    kept = {key: value for key, value in found.items() if value and (key in ENTITY or (first and key in dict(first.labels)))}
    for key, values in _only(incident.impact).items():
        kept.setdefault(key, values)
    return kept


def _only(impact: Impact) -> dict[str, str]:
    """User, unit, container and job where all that suffer share one."""
    groups = {"user": impact.users, "unit": impact.units, "container": impact.containers, "job": impact.jobs}
    return {key: values[0] for key, values in groups.items() if len(values) == 1}


def _body(incident: Incident, root: Mapping[str, Any]) -> JsonObject:
    told = [line for line in root.get("evidence") or () if line.get("answer") == "true"][:EVIDENCE]
    cause = {
        **{key: root[key] for key in _CAUSE if key in root},
        "culprits": list(root.get("culprits") or ())[:1],
        "evidence": told,
    }
    return {
        "cause": cause if root else {},
        "ruled_out": [{"id": r["id"]} for r in incident.ruled_out[:RULED_OUT]],
        "symptoms": [c.text for c in incident.complaints if c.text][:EVIDENCE],
        "impact": impact_text(incident.impact),
        "plea": incident.plea,
        "plea_link": incident.plea_link,
    }


def impact_text(impact: Impact) -> str:
    """Who suffers, in a line."""
    parts = []
    processes = len(impact.processes) + impact.more
    if processes > 1:
        parts.append(f"{processes} processes")
    for values, word in ((impact.gpus, "GPU"), (impact.users, "user"), (impact.units, "unit"), (impact.jobs, "job")):
        if values:
            more = f" and {len(values) - 3} more" if len(values) > 3 else ""
            parts.append(f"{word}{'s' if len(values) > 1 else ''} {', '.join(values[:3])}{more}")
    return " · ".join(parts)


class Bound:
    """Counts alerts by group. A storm's later ones are counted and not kept; critical ones always are, up to two thousand."""

    def __init__(self, alerts: Iterable[Alert], by: tuple[str, ...], host: str) -> None:
        self._by, self._host = by, host
        self._groups: dict[str, int] = {}
        self._of: dict[str, str] = {}
        self.folded: dict[str, int] = {}
        self.total_folded = 0
        for alert in alerts:
            self._add(alert)

    def takes(self, alert: Alert) -> bool:
        """Whether a new alert is kept; one that is not is counted for its group."""
        if self.full(self._group(alert), alert.severity):
            return False
        self._add(alert)
        return True

    @property
    def groups(self) -> int:
        """How many groups have alerts."""
        return len(self._groups)

    def full(self, group: str, severity: Severity) -> bool:
        """Whether no more of a group are kept; one more is counted then."""
        few = FEW if len(self._of) >= MOST else MOST_OF_GROUP
        if self._groups.get(group, 0) < (MOST_CRITICAL if severity == Severity.CRITICAL else few):
            return False
        self.folded[group] = self.folded.get(group, 0) + 1
        self.total_folded += 1
        return True

    def forget(self, id_: str) -> None:
        """One is gone; with the last of its group the count of those not kept goes too."""
        group = self._of.pop(id_, None)
        if group is None:
            return
        self._groups[group] -= 1
        if not self._groups[group]:
            del self._groups[group]
            self.folded.pop(group, None)

    def _add(self, alert: Alert) -> None:
        group = self._of[alert.id] = self._group(alert)
        self._groups[group] = self._groups.get(group, 0) + 1

    def _group(self, alert: Alert) -> str:
        return alert.group or group_of(alert, self._by, self._host)
