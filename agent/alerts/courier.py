"""The courier: the organ that turns incidents into messages and sees to it that they arrive.

Two kinds of tasks. One looks: takes new incident events, runs the pipeline, and commits what follows from it together with the
cursor. One for each address sends (postmen.py): lease, send, mark, each step committed before the next. A kill anywhere loses
nothing: what was not committed is found again, and what may have been sent is sent again with the same id.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random

from agent.alerting import Alerts, Receiver
from agent.alerts import feed
from agent.alerts.addresses import addresses_of
from agent.alerts.intake import Bound, alert_of
from agent.alerts.letters import letter
from agent.alerts.model import Address, Alert, Row, Send
from agent.alerts.outbox import Outbox
from agent.alerts.plan import Plan, plan
from agent.alerts.postmen import Postmen
from agent.alerts.routing import Router
from agent.alerts.silences import Maintenance, Mute, Silence
from agent.alerts.stages import MOST_GROUPS, Context, group_of, pipeline
from agent.alerts.tables import Kept, Writes
from agent.alerts.trouble import trouble, trouble_id, troubles
from agent.engine.incident import Incident
from agent.host.clock import Clock, until
from agent.host.lane import Stalled, aside
from agent.store.state import State

log = logging.getLogger("anfl.alerts")

LOOK_MOST_S = 30.0
LOOK_LEAST_S = 0.2
STORM_S = 1.0
"""Between two looks while events come by the hundred."""
MOST_EVENTS = 5000
CROWD = 100
"""Incidents in one look: a storm."""
BREATH = 50
FEW_ALERTS = 50
"""With more the pipeline runs aside: it takes some 30 µs for each, and the loop has other work."""
TRY_AGAIN_S = 1.0
KEEP_SILENCES_S = 7 * 86400.0


class Courier:
    """One organ: it may not fail. ``send`` is how a message goes out."""

    def __init__(
        self,
        settings: Alerts,
        receivers: tuple[Receiver, ...],
        host: str,
        state: State,
        clock: Clock,
        send: Send,
        *,
        env: Mapping[str, str] | None = None,
        random: Random | None = None,
    ) -> None:
        self.settings = settings
        self.receivers = receivers
        self.host = host
        self.router = Router(settings, receivers, host)
        self.outbox = Outbox.empty()
        self.silences: dict[str, Silence] = {}
        self.digest: dict[str, dict[str, object]] = {}
        self.book: dict[str, tuple[Address, ...]] = {}
        self.addresses: dict[str, Address] = {}
        self.bound = Bound((), settings.group_by, host)
        self.sent: dict[tuple[str, str], int] = {}  # (address, ending) → attempts
        self._maintenance = [Maintenance.of(w) for w in settings.maintenance]
        self.state, self.clock, self.send = state, clock, send
        self.audit: Callable[[], str] = lambda: ""  # the head of the audit, where there is one
        self._env = os.environ if env is None else env
        self._random = random or Random()
        self.lock = asyncio.Lock()
        self.postmen = Postmen(self)
        self._hint = asyncio.Event()
        self._cursor = 0
        self._read = self._changed = True
        self._due = 0.0
        self._started = 0.0

    # ------------------------------------------------------------------------------------------ life

    async def open(self) -> None:
        """Read what was kept; the state must be open."""
        self._address(await self._found(self.receivers))
        kept = await self.state.read(Kept)
        self.outbox = Outbox(kept, self.addresses, self._random)
        self.silences, self.digest = kept.silences, kept.digest
        self._cursor = int(kept.notes.get("cursor", 0))
        self.bound = Bound(kept.ledger.alerts.values(), self.settings.group_by, self.host)
        self._started = self.clock.now()
        writes = Writes()
        self._left(self.outbox.recover(writes), writes)
        await self.commit(writes)

    async def adopt(self, settings: Alerts, receivers: tuple[Receiver, ...]) -> None:
        """Go on with other settings, as after a new start, while attempts that are out end as they began.

        Messages stay where their receiver does. Those for a receiver that is gone are dropped, and what they told is told to whom
        the new routes name, unless they know.
        """
        found = await self._found(receivers)
        async with self.lock:
            before, writes = self.addresses, Writes()
            if settings.group_by != self.settings.group_by:
                self.bound = Bound(self.outbox.ledger.alerts.values(), settings.group_by, self.host)
            self.settings, self.receivers, self.router = settings, receivers, Router(settings, receivers, self.host)
            self._maintenance = [Maintenance.of(w) for w in settings.maintenance]
            self._address(found)
            other = {name for name, address in self.addresses.items() if before.get(name) != address}
            self._left(self.outbox.adopt(self.addresses, other, self.clock.now(), writes), writes)
            self._changed = True
            await self.commit(writes)
        self.postmen.called()
        self._hint.set()

    async def _found(self, receivers: tuple[Receiver, ...]) -> list[tuple[Receiver, tuple[Address, ...]]]:
        return await aside(lambda: [(r, addresses_of(r, self._env)) for r in receivers if r.type != "heartbeat"])

    def _address(self, found: list[tuple[Receiver, tuple[Address, ...]]]) -> None:
        self.book = {str(r.name): addresses for r, addresses in found}
        self.addresses = {a.name: a for addresses in self.book.values() for a in addresses}

    def _left(self, dropped: int, writes: Writes) -> None:
        """What is left of receivers that are configured no more: messages that were dropped, and alerts about their trouble."""
        if dropped:
            log.warning("%d messages for receivers that are configured no more were dropped", dropped)
        for alert in list(self.outbox.ledger.alerts.values()):
            if alert.avoid and alert.status == "firing" and alert.labels.get("receiver") not in self.addresses:
                self._put(replace(alert, status="resolved", closed=self.clock.now(), ending="gone"), writes)

    async def run(self) -> None:
        """Look and send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._looks(), name="alerts-look")
            group.create_task(self.postmen.run(), name="alerts-send")

    def hint(self) -> None:
        """There may be new events, or something else changed."""
        self._read = True
        self._hint.set()

    async def commit(self, writes: Writes) -> None:
        """Keep changes; again until they are kept: they are the same however often they are made."""
        told = False
        while writes:
            try:
                await self.state.write(writes)
            except Stalled as stall:
                if not told:
                    log.error("alerts cannot be kept, trying on: %s", stall)
                told = True
                await self.clock.sleep(TRY_AGAIN_S)
            else:
                return

    # ------------------------------------------------------------------------------------------ looking

    async def _looks(self) -> None:
        while True:
            self._hint.clear()
            many = await self.look()
            await self.clock.sleep(STORM_S if many else LOOK_LEAST_S)
            await until(self._hint, min(LOOK_MOST_S, self._due - self.clock.now()), self.clock)

    async def look(self) -> bool:
        """One look; True if events come in crowds. Where nothing changed and nothing is due there is nothing to decide."""
        async with self.lock:
            writes, many = Writes(), False
            if self._read or self.clock.now() >= self._due:
                many = await self._take_events(writes)
            posted = await self._plan(writes) if self._changed or self.clock.now() >= self._due else set()
            await self.commit(writes)
        self.postmen.called(posted)
        return many

    async def _take_events(self, writes: Writes) -> bool:
        """New events; True if they come in crowds."""
        self._read = False
        try:
            last, heads = await self.state.read(lambda at: feed.heads(at, self._cursor, MOST_EVENTS))
            wanted = [head.seq for head in heads if self._wanted(head)]
            incidents = await self.state.read(lambda at: feed.told(at, wanted)) if wanted else []
        except Stalled as stall:
            log.warning("incident events cannot be read, trying on: %s", stall)
            self._read = True
            return True
        for number, incident in enumerate(incidents):
            self._take(incident, writes)
            if number % BREATH == 0:
                await asyncio.sleep(0)
        if last != self._cursor:
            self._read |= last - self._cursor >= MOST_EVENTS  # a hint may have come meanwhile
            self._cursor = last
            writes.note("cursor", str(last))
        return len(heads) > CROWD

    def _wanted(self, head: feed.Head) -> bool:
        """Whether an event is read whole: not if its incident is a new one of a group that is full, which can be told from here
        where groups are made by cause."""
        if str(head.incident) in self.outbox.ledger.alerts or self.settings.group_by != ("cause",):
            return True
        return not self.bound.full(f"cause={head.cause or head.tree}", head.severity)

    def _take(self, incident: Incident, writes: Writes) -> None:
        before = self.outbox.ledger.alerts.get(str(incident.id))
        alert = alert_of(incident, before, self.clock.now())
        if before is None and (alert.ending == "merged" or not self.bound.takes(alert)):
            return
        if alert.ready and not alert.group and self.bound.groups < MOST_GROUPS:
            alert = replace(alert, group=group_of(alert, self.settings.group_by, self.host))
        self._put(alert, writes)
        self._to_digest(alert, writes)

    async def _plan(self, writes: Writes) -> set[str]:
        """Decide what is to be told; addresses with something new to send."""
        self._changed = False
        at = self.context()
        ledger = self.outbox.ledger

        def decide() -> Plan:
            return plan(pipeline(ledger.alerts.values(), at), ledger, self.book, at)

        # nobody changes the ledger meanwhile: that needs the lock; and nothing there can hang
        made = await aside(decide, math.inf) if len(ledger.alerts) > FEW_ALERTS else decide()
        self.outbox.apply(made, writes)
        for id_ in made.forgotten:
            self.bound.forget(id_)
        notes = troubles(self.outbox.health)
        for draft in made.drafts:
            await asyncio.sleep(0)  # ten alerts take some milliseconds to write
            said = [note for name, note in notes.items() if name != draft.address.name]
            told = letter(draft, self.settings, self.host, at.now, self.bound.folded.get(draft.group, 0), said, self.audit())
            row = Row(draft.event, draft.address.name, draft.group, "pending", at.now, at.now, told, draft.marks)
            self.outbox.post(row, writes, draft.merge)
        self._due = min(made.wake or math.inf, *(m.ends for m in self.silences.values() if m.ends > at.now), at.now + LOOK_MOST_S)
        return {draft.address.name for draft in made.drafts}

    def context(self) -> Context:
        """What the pipeline goes by now."""
        mutes: Sequence[Mute] = [*self.silences.values(), *self._maintenance]
        now = self.clock.now()
        live = [m for m in mutes if not isinstance(m, Silence) or now < m.ends]
        return Context(now, self.host, self.settings, self.router, live, self._started, key=self.state.identity)

    def _put(self, alert: Alert, writes: Writes) -> None:
        self.outbox.ledger.alerts[alert.id] = alert
        self._changed = True
        writes.alert(alert)

    def _to_digest(self, alert: Alert, writes: Writes) -> None:
        """What is not worth a message of its own may be worth a line a day."""
        wanted = self.settings.digest
        if wanted.receivers and alert.severity.word in wanted.severity:
            line: dict[str, object] = {
                "opened": alert.opened,
                "closed": alert.closed,
                "title": alert.title,
                "cause": alert.cause or alert.tree,
            }
            self.digest[alert.id] = line
            writes.digest(alert.id, line)

    # ------------------------------------------------------------------------------------------ helpers

    def tried(self, name: str, writes: Writes) -> None:
        """An attempt has ended: an alert of our own when its address is parked, and its end when messages arrive there again."""
        self._changed = True
        known = self.outbox.ledger.alerts.get(trouble_id(name))
        made = trouble(self.addresses[name], self.outbox.health[name], known, self.clock.now())
        if made is not None:
            self._put(made, writes)
        self._hint.set()

    async def locked(self, change: Callable[[Writes], None]) -> None:
        """A change by hand, kept when this returns; everybody looks again."""
        async with self.lock:
            writes = Writes()
            change(writes)
            self._changed = True
            await self.commit(writes)
        self._hint.set()
        self.postmen.called()
