"""The pipeline as small steps, each batch → batch. Pure: nothing here reads a clock, a file or a socket.

``pipeline`` runs them in order. An item that nobody is to be told of keeps the reason, so that every answer can be explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from functools import reduce

from agent.alerting import Alerts
from agent.alerts.model import Alert
from agent.alerts.routing import Router
from agent.alerts.silences import Mute
from agent.dataclass import dataclass
from agent.model import Severity

UNDIAGNOSED_S = 60.0
"""How long a message waits for its cause: ten seconds of sampling, the drill-down, one other diagnosis before it."""
ENTITY = ("pid", "cgroup", "unit", "uuid", "gpu", "device", "mountpoint", "interface")
MOST_GROUPS = 200


@dataclass(frozen=True)
class Item:
    """One alert on its way. ``muted`` says why nobody is told, ``not_before`` holds it back.

    ``severity`` is that of its worst consequence where that is worse than its own; ``explains`` names the consequences.
    """

    alert: Alert
    muted: str = ""
    not_before: float = 0.0
    group: str = ""
    to: tuple[str, ...] = ()
    escalated: frozenset[str] = frozenset()
    severity: Severity = Severity.NOTICE
    explains: tuple[str, ...] = ()

    @property
    def firing(self) -> bool:
        """It has not ended."""
        return self.alert.status == "firing"


@dataclass(frozen=True)
class Context:
    """What the stages go by. ``started`` is when this agent began: inhibition needs a moment to see what stands.

    ``key`` is the state file's: ids made with it never come back with another file.
    """

    now: float
    host: str
    settings: Alerts
    router: Router
    mutes: Sequence[Mute] = ()
    started: float = 0.0
    key: str = ""
    wakes: list[float] = field(default_factory=list)


Batch = tuple[Item, ...]
Stage = Callable[[Batch, Context], Batch]


def batch_of(alerts: Iterable[Alert]) -> Batch:
    """The beginning."""
    return tuple(Item(alert, severity=alert.severity) for alert in alerts)


def muted(batch: Batch, at: Context) -> Batch:
    """Silences and maintenance windows. Acknowledged alerts are not muted: they are told, but not repeated."""
    if not at.mutes:
        return batch

    def look(item: Item) -> Item:
        labels = item.alert.all_labels(at.host)
        mute = next((m for m in at.mutes if m.holds(labels, at.now)), None)
        return replace(item, muted=mute.why) if mute else item

    return tuple(map(look, batch))


def inhibited(batch: Batch, at: Context) -> Batch:
    """A consequence is not told beside its root; the root speaks with the worse severity of the two.

    A root that has just ended still covers its consequences for the settle time: they end a little later than it does.
    """
    roots: dict[str, list[Alert]] = {}
    for item in batch:
        if item.alert.leads_to and (item.firing or at.now - (item.alert.closed or 0.0) < at.settings.settle):
            for cause in item.alert.leads_to:
                roots.setdefault(cause, []).append(item.alert)
    under: dict[str, str] = {}
    for item in batch:
        root = next((r for r in roots.get(item.alert.cause, ()) if _explains(r, item.alert)), None)
        if root is not None:
            under[item.alert.id] = root.id
    return _with_roots(batch, under)


def _with_roots(batch: Batch, under: Mapping[str, str]) -> Batch:
    if not under:
        return batch
    items = {item.alert.id: item for item in batch}
    ridden: dict[str, list[Item]] = {}
    for id_ in under:
        if items[id_].firing:
            ridden.setdefault(_top(id_, under), []).append(items[id_])

    def settle(item: Item) -> Item:
        id_ = item.alert.id
        if id_ in under:
            root = items[under[id_]].alert
            return replace(item, muted=item.muted or f"a consequence of {root.cause or root.tree} (incident {root.id})")
        riders = ridden.get(id_, [])
        if not riders:
            return item
        worst = max(item.severity, *(r.severity for r in riders))
        return replace(item, severity=worst, explains=tuple(r.alert.title for r in riders))

    return tuple(map(settle, batch))


def _top(id_: str, under: Mapping[str, str]) -> str:
    seen = {id_}
    while id_ in under and under[id_] not in seen:
        id_ = under[id_]
        seen.add(id_)
    return id_


def _explains(root: Alert, other: Alert) -> bool:
    if root.id == other.id or not other.cause or other.cause not in root.leads_to or not overlap(root.labels, other.labels):
        return False
    both = bool(root.cause) and root.cause in other.leads_to
    return not both or (root.opened, root.id) < (other.opened, other.id)


def overlap(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two label sets are about the same things: no entity that both name differs."""
    return all(one[key] == other[key] for key in ENTITY if key in one and key in other)


def settled(batch: Batch, at: Context) -> Batch:
    """Nothing new is told before the agent has looked round after its start, nor before its cause is known or long in coming."""
    ready = _after(at.started, at.settings.settle, at.now)

    def hold(item: Item) -> Item:
        alert = item.alert
        wait = at.settings.group_wait if alert.ready else UNDIAGNOSED_S
        return replace(item, not_before=max(ready, _after(alert.seen, wait, at.now)))

    return tuple(map(hold, batch))


def _after(began: float, wait: float, now: float) -> float:
    """When a wait is over; at once where it began in the future: the clock was set back."""
    return now if began > now else began + wait


def routed(batch: Batch, at: Context) -> Batch:
    """Who hears of it: the routes, and whoever is next where nobody acknowledged in time."""

    def send(item: Item) -> Item:
        alert = item.alert if item.severity == item.alert.severity else replace(item.alert, severity=item.severity)
        to, more, due = at.router.where(alert, at.now)
        if due is not None:
            at.wakes.append(due)
        return replace(item, to=(*to, *more), escalated=frozenset(more))

    return tuple(map(send, batch))


def grouped(batch: Batch, at: Context) -> Batch:
    """One group for each set of values of ``group_by``. An alert that was told of stays in its group.

    Past 200 groups a storm is on: new ones go together by tree.
    """
    groups = {item.alert.group for item in batch if item.alert.group}

    def put(item: Item) -> Item:
        name = item.alert.group or group_of(item.alert, at.settings.group_by, at.host)
        if name not in groups and len(groups) >= MOST_GROUPS:
            name = f"storm:{item.alert.tree}"
        groups.add(name)
        return replace(item, group=name)

    return tuple(map(put, batch))


def group_of(alert: Alert, by: Sequence[str], host: str) -> str:
    """The group an alert begins in; the cause counts as its tree until it is known."""
    labels = alert.all_labels(host)
    return ",".join(f"{key}={(labels.get(key) or (alert.tree if key == 'cause' else ''))}" for key in by) or "all"


STAGES: tuple[Stage, ...] = (muted, inhibited, settled, routed, grouped)


def pipeline(alerts: Iterable[Alert], at: Context) -> Batch:
    """All stages in order."""
    return reduce(lambda batch, stage: stage(batch, at), STAGES, batch_of(alerts))
