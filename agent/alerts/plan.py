"""What each address still has to be told: the difference between how things stand and what it knows, with a named reason. Pure.

There is at most one open message for a group at an address. One that has surely not arrived takes in what happened since; one
that may have arrived keeps its words and its id, and what happened since waits for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from enum import IntEnum

from agent.alerts.model import Address, Alert, Mark, Row
from agent.alerts.stages import UNDIAGNOSED_S, Batch, Context, Item
from agent.dataclass import dataclass
from agent.model import Severity


class Reason(IntEnum):
    """Why a message is sent; the highest one names it."""

    REPEAT = 1
    SOME_ENDED = 2
    FLAPPING = 3
    NEW = 4
    OVER = 5
    ALL_ENDED = 6
    CAUSE = 7
    ESCALATED = 8
    WORSE = 9
    FIRST = 10
    ASKED = 11

    @property
    def word(self) -> str:
        """As messages and answers have it."""
        return self.name.lower()


@dataclass
class Ledger:
    """How things stand: alerts, what each address has been told, and the open or parked message of a group at an address."""

    alerts: dict[str, Alert] = field(default_factory=dict)
    told: dict[str, dict[str, dict[str, Mark]]] = field(default_factory=dict)  # group → address → alert
    last: dict[tuple[str, str], float] = field(default_factory=dict)  # (group, address) → when it was last told
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)

    def known(self, group: str, address: str) -> Mapping[str, Mark]:
        """What an address has been told of a group."""
        return self.told.get(group, {}).get(address, {})


@dataclass(frozen=True)
class Draft:
    """A message to write: ``marks`` is all it tells of. With ``merge`` it takes the place of a row that was not sent."""

    event: str
    address: Address
    group: str
    reason: Reason
    marks: tuple[Mark, ...]
    items: tuple[Item, ...]
    known: Mapping[str, Mark] = field(default_factory=dict)
    merge: Row | None = None


@dataclass
class Plan:
    """What is to be done now, and when to look again."""

    drafts: list[Draft] = field(default_factory=list)
    dropped: list[Row] = field(default_factory=list)
    quiet: list[tuple[str, str, Mark]] = field(default_factory=list)  # (group, address, mark) closed without a word
    regrouped: list[Alert] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    wake: float | None = None

    def wakes(self, at: float) -> None:
        """Look again then."""
        self.wake = at if self.wake is None else min(self.wake, at)


@dataclass(frozen=True)
class _Desk:
    """One group at one address."""

    group: str
    address: Address
    known: Mapping[str, Mark]
    last: float | None
    row: Row | None
    items: tuple[Item, ...]

    @property
    def state_keeper(self) -> bool:
        """Whether the other side groups, waits and repeats by itself (Alertmanager)."""
        return self.address.receiver.type == "alertmanager"

    def meant(self, item: Item) -> bool:
        """Whether this address is to hear of it."""
        return not item.muted and self.address.receiver.name in item.to

    def firing_known(self, alert: str) -> bool:
        """Whether it was told that this fires, and not yet that it ended."""
        return alert in self.known and self.known[alert].status == "firing"


def plan(batch: Batch, ledger: Ledger, book: Mapping[str, tuple[Address, ...]], at: Context) -> Plan:
    """One look at everything. ``book`` has the addresses of every receiver."""
    made = Plan()
    for wake in at.wakes:
        made.wakes(wake)
    addresses = {a.name: a for found in book.values() for a in found}
    for group, items in _by_group(batch).items():
        names = {a.name for item in items for name in item.to for a in book.get(name, ())}
        names |= ledger.told.get(group, {}).keys() & addresses.keys()
        for name in sorted(names):
            key = (group, name)
            desk = _Desk(group, addresses[name], ledger.known(*key), ledger.last.get(key), ledger.rows.get(key), items)
            _decide(desk, ledger, at, made)
    _forget(batch, ledger, addresses, at, made)
    return made


def _by_group(batch: Batch) -> dict[str, tuple[Item, ...]]:
    groups: dict[str, list[Item]] = {}
    for item in batch:
        groups.setdefault(item.group, []).append(item)
    return {name: tuple(items) for name, items in groups.items()}


def _decide(desk: _Desk, ledger: Ledger, at: Context, made: Plan) -> None:
    row = desk.row
    if row is not None and (row.state == "leased" or row.unsure):
        return
    for item in desk.items:
        if item.muted and not item.firing and desk.firing_known(item.alert.id) and not desk.state_keeper:
            mark = replace(desk.known[item.alert.id], status="resolved", episode=item.alert.episode, at=at.now)
            made.quiet.append((desk.group, desk.address.name, mark))
    news = list(_news(desk, at))
    if row is not None:
        _merge(desk, row, news, ledger, at, made)
        return
    due = [reason for when, reason in news if when <= at.now]
    if due:
        _write(desk, max(due), at, made)
    elif news:
        made.wakes(min(when for when, _ in news))


def _merge(desk: _Desk, row: Row, news: list[tuple[float, Reason]], ledger: Ledger, at: Context, made: Plan) -> None:
    if any(m.alert not in ledger.alerts for m in row.marks):
        return
    if not [reason for _, reason in news if reason != Reason.REPEAT]:
        if row.payload.get("reason") != Reason.REPEAT.word:
            made.dropped.append(row)
        return
    marks = _picture(desk, at)
    if marks and signature(marks) != signature(row.marks):
        _write(desk, max(reason for _, reason in news), at, made, row)


def _write(desk: _Desk, reason: Reason, at: Context, made: Plan, merge: Row | None = None) -> None:
    marks = _picture(desk, at)
    if not marks:
        return
    told = {m.alert for m in marks}
    items = tuple(i for i in desk.items if i.alert.id in told)
    event = event_id(at.host + at.key, desk.group, marks, f"{desk.last}" if reason == Reason.REPEAT else "")
    made.drafts.append(Draft(event, desk.address, desk.group, reason, marks, items, desk.known, merge))
    made.regrouped += [replace(i.alert, group=desk.group) for i in items if i.alert.group != desk.group]


def _news(desk: _Desk, at: Context) -> Iterator[tuple[float, Reason]]:
    """What the address does not know yet, with the time it is due."""
    settings = at.settings
    began = 0.0 if desk.last is None else min(desk.last, at.now)
    others = any(desk.firing_known(i.alert.id) for i in desk.items)
    next_ = began + settings.group_interval if others and not desk.state_keeper else 0.0
    soon = began + settings.group_wait if others and not desk.state_keeper else 0.0
    wanted = [i for i in desk.items if desk.meant(i)]
    for item in wanted:
        fresh = _fresh(desk, item)
        mark = desk.known.get(item.alert.id)
        if not item.firing:
            if _untold(desk, item):
                yield max(fresh, next_), Reason.OVER
        elif mark is None or mark.status == "resolved":
            escalated = desk.address.receiver.name in item.escalated
            urgent = escalated or item.severity == Severity.CRITICAL
            reason = Reason.ESCALATED if escalated else Reason.NEW if others else Reason.FIRST
            yield fresh if urgent else max(fresh, next_), reason
        elif item.alert.pleas > mark.pleas:
            yield 0.0, Reason.ASKED
        elif item.severity > mark.severity:
            yield soon, Reason.WORSE
        elif item.alert.ready and item.alert.cause not in ("", mark.cause):
            yield next_ if mark.cause else soon, Reason.CAUSE
        elif item.alert.flapping != mark.flapping:
            yield next_, Reason.FLAPPING
    yield from _endings(desk, next_)
    if not desk.state_keeper and any(i.firing and desk.firing_known(i.alert.id) and not i.alert.acknowledged for i in wanted):
        yield began + settings.repeat, Reason.REPEAT


def _endings(desk: _Desk, next_: float) -> Iterator[tuple[float, Reason]]:
    known = [i for i in desk.items if desk.firing_known(i.alert.id)]
    if any(_to_close(desk, i) for i in known):
        all_ = not any(i.firing for i in known)
        yield (0.0, Reason.ALL_ENDED) if all_ else (next_, Reason.SOME_ENDED)


def _to_close(desk: _Desk, item: Item) -> bool:
    """Told that it fires, and it does not any more. A silence hides the end too, but not from one that keeps state."""
    return not item.firing and desk.firing_known(item.alert.id) and (not item.muted or desk.state_keeper)


def _fresh(desk: _Desk, item: Item) -> float:
    if not desk.state_keeper:
        return item.not_before
    return item.alert.seen if item.alert.ready else item.alert.seen + UNDIAGNOSED_S


def _picture(desk: _Desk, at: Context) -> tuple[Mark, ...]:
    """All that a message sent now tells: what fires, what ended, and what came and went before anybody was told."""
    return tuple(_mark(desk, item, at) for item in desk.items if _told_of(desk, item, at))


def _told_of(desk: _Desk, item: Item, at: Context) -> bool:
    if item.firing:
        return desk.meant(item) and (desk.firing_known(item.alert.id) or _fresh(desk, item) <= at.now)
    return _to_close(desk, item) or (desk.meant(item) and _untold(desk, item))


def _untold(desk: _Desk, item: Item) -> bool:
    """It came and went without a word. What became part of another incident is told there."""
    mark = desk.known.get(item.alert.id)
    known = mark is not None and (mark.status == "firing" or mark.episode >= item.alert.episode)
    return not known and item.alert.ending != "merged"


def _mark(desk: _Desk, item: Item, at: Context) -> Mark:
    a = item.alert
    known = desk.known.get(a.id)
    worst = max(item.severity, known.severity) if known is not None and known.status == "firing" else item.severity
    return Mark(
        a.id, a.episode, a.version, a.status, worst, a.cause, a.flapping, desk.address.receiver.name in item.escalated, a.labels,
        a.opened, at.now, a.pleas,
    )  # fmt: skip


def signature(marks: Iterable[Mark]) -> frozenset[tuple[object, ...]]:
    """What a reader would see of marks: two messages with the same one say the same."""
    return frozenset((m.alert, m.episode, m.status, m.severity, m.cause, m.flapping, m.pleas) for m in marks)


def event_id(host: str, group: str, marks: Iterable[Mark], salt: str = "") -> str:
    """The same for every copy of a message and at every address that is told the same; another one for anything else."""
    said = sorted((m.alert, m.episode, m.version, m.status, int(m.severity), m.cause, m.flapping) for m in marks)
    return hashlib.sha256(repr((host, group, salt, said)).encode()).hexdigest()[:16]


def _forget(batch: Batch, ledger: Ledger, addresses: Mapping[str, Address], at: Context, made: Plan) -> None:
    """Ended alerts that nobody needs to hear of any more."""
    drafted = {m.alert for d in made.drafts for m in d.marks}
    waiting = {m.alert for row in ledger.rows.values() if row.open for m in row.marks} | drafted
    silenced = {(group, address, mark.alert) for group, address, mark in made.quiet}
    for item in batch:
        alert = item.alert
        if item.firing or alert.id in waiting or (alert.leads_to and at.now < (alert.closed or 0.0) + at.settings.settle):
            continue  # a root that has just ended still covers its consequences
        known = {a: marks for a, marks in ledger.told.get(item.group, {}).items() if a in addresses}
        if any(
            alert.id in marks and marks[alert.id].status == "firing" and (item.group, a, alert.id) not in silenced
            for a, marks in known.items()
        ):
            continue
        due = (
            not item.muted
            and alert.ending != "merged"
            and any(
                alert.id not in known.get(a.name, {}) or known[a.name][alert.id].episode < alert.episode
                for a in addresses.values()
                if a.receiver.name in item.to and not _parked(ledger, item.group, a, alert.id)
            )
        )
        if not due:
            made.forgotten.append(alert.id)


def _parked(ledger: Ledger, group: str, address: Address, alert: str) -> bool:
    row = ledger.rows.get((group, address.name))
    return row is not None and row.state == "parked" and any(m.alert == alert for m in row.marks)
