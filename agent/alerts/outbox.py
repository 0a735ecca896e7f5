"""The outbox: lease, send, mark. What an address has been told is noted in the transaction that marks the message as sent.

A message that was leased when the agent was killed may have arrived: it is sent again, word for word and with the same id. Pure but
for the randomness of the backoff; every method adds what is to be kept to ``Writes``, which the caller commits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from random import Random

from agent.alerts.health import GIVE_UP_S, LONGEST_ASKED_S, Health, backoff
from agent.alerts.model import Outcome, Row
from agent.alerts.plan import Ledger, Plan
from agent.alerts.tables import Kept, Writes
from agent.model import JsonObject


class Outbox:
    """Messages, addresses and what these know, in memory as they are in the state file."""

    def __init__(self, kept: Kept, addresses: Mapping[str, object], random: Random | None = None) -> None:
        self.ledger: Ledger = kept.ledger
        self.health = {name: Health.from_json(kept.health[name]) if name in kept.health else Health() for name in addresses}
        self._addresses = addresses
        self._random = random or Random()
        for row in kept.rows:
            self.ledger.rows[row.group, row.address] = row

    @staticmethod
    def empty() -> Outbox:
        """Before anything was read."""
        return Outbox(Kept(), {})

    def recover(self, writes: Writes) -> int:
        """After a start: what was out when the last one ended may have arrived, and what was parked is tried once more.

        What was meant for addresses that are configured no more is dropped; how many messages those were.
        """
        dropped = self._drop_gone(writes)
        for row in list(self.ledger.rows.values()):
            if row.state == "leased":
                self._put(row.but(state="pending", unsure=True), writes)
        for name in [name for name, health in self.health.items() if health.parked and not health.by_hand]:
            self.retry(name, 0.0, writes)
        for told in self.ledger.told.values():
            for name in [name for name in told if name not in self._addresses]:
                del told[name]
        return dropped

    def adopt(self, addresses: Mapping[str, object], other: Collection[str], now: float, writes: Writes) -> int:
        """From now on these addresses; those in ``other`` are new or lead elsewhere than before. What is out stays out.

        As after a start, what was parked is tried once more, unless by hand, and what was meant for addresses that are gone is
        dropped; how many messages those were. What they have been told stays known: they may come back.
        """
        self._addresses = addresses
        for name in self.health.keys() - addresses.keys():
            del self.health[name]
            writes.forget_health(name)
        for name in addresses:
            health = self.health.setdefault(name, Health())
            if not health.by_hand and (health.parked or (name in other and health.failures)):
                self.retry(name, now, writes)
        return self._drop_gone(writes)

    def _drop_gone(self, writes: Writes) -> int:
        gone = [row for row in self.ledger.rows.values() if row.address not in self._addresses]
        for row in gone:
            self._drop(row, writes)
        return len(gone)

    # ------------------------------------------------------------------------------------------ messages

    def post(self, row: Row, writes: Writes, merge: Row | None = None) -> Row:
        """A new message, or one that takes the place of ``merge``; parked at once where its address is."""
        if merge is not None:
            writes.drop(merge)
            row = row.but(made=merge.made, next_at=merge.next_at, attempts=merge.attempts, first_failure=merge.first_failure)
            row = row.but(state=merge.state, error=merge.error)
        if self.health[row.address].parked:
            row = row.but(state="parked", error=self.health[row.address].parked)
        self._put(row, writes)
        return row

    def apply(self, plan: Plan, writes: Writes) -> None:
        """All of a plan but its messages."""
        for row in plan.dropped:
            self._drop(row, writes)
        for group, address, mark in plan.quiet:
            self.ledger.told.setdefault(group, {}).setdefault(address, {})[mark.alert] = mark
            writes.told(group, address, mark)
        for alert in plan.regrouped:
            self.ledger.alerts[alert.id] = alert
            writes.alert(alert)
        for id_ in plan.forgotten:
            self._forget(id_, writes)

    def _forget(self, id_: str, writes: Writes) -> None:
        alert = self.ledger.alerts.pop(id_, None)
        writes.forget(id_)
        for group in [alert.group] if alert is not None and alert.group else list(self.ledger.told):
            for address, marks in list(self.ledger.told.get(group, {}).items()):
                marks.pop(id_, None)
                if not marks:
                    del self.ledger.told[group][address]
                    if self.ledger.last.pop((group, address), None) is not None:
                        writes.forget_last(group, address)
            if not self.ledger.told.get(group, True):
                del self.ledger.told[group]

    # ------------------------------------------------------------------------------------------ sending

    def next(self, address: str, now: float) -> tuple[Row | None, float | None]:
        """The message to send now to an address, or None and when the next one is due (None: nothing waits)."""
        health = self.health[address]
        waiting = [row for row in self.ledger.rows.values() if row.address == address and row.state == "pending"]
        if not waiting or health.parked:
            return None, None
        first = min(waiting, key=lambda row: (max(row.next_at, health.hold), row.made, row.event))
        at = max(first.next_at, health.hold)
        if at - now > LONGEST_ASKED_S + 1:  # no wait is so long: the clock was set back
            at = now
        return (first, at) if at <= now else (None, at)

    def lease(self, row: Row, writes: Writes) -> Row:
        """Take a message out to send it; commit before sending."""
        return self._put(row.but(state="leased", attempts=row.attempts + 1), writes)

    def settle(self, row: Row, outcome: Outcome, now: float, writes: Writes) -> Row:
        """An attempt has ended: delivered, tried again later, or parked."""
        wait = backoff(row.attempts, self._random, outcome.after)
        health = self.health[row.address].after(outcome, now, wait)
        self._note(row.address, health, writes)
        if outcome.ending == "done":
            return self._delivered(row, now, writes)
        failed = row.but(
            error=outcome.why,
            next_at=now + wait,
            unsure=row.unsure or outcome.unsure,
            first_failure=now if row.first_failure is None else row.first_failure,
        )
        tired = failed.first_failure is not None and now - failed.first_failure >= GIVE_UP_S
        failed = self._put(failed.but(state="parked" if health.parked or tired else "pending"), writes)
        if health.parked:
            for other in [r for r in self.ledger.rows.values() if r.address == row.address and r.state == "pending"]:
                self._put(other.but(state="parked", error=health.parked), writes)
        return failed

    def _delivered(self, row: Row, now: float, writes: Writes) -> Row:
        done = row.but(state="done", done=now, error="", payload=_stub(row.payload), marks=())
        writes.row(done)
        writes.tidy()
        del self.ledger.rows[row.group, row.address]
        known = [m for m in row.marks if m.alert in self.ledger.alerts]
        for mark in known:
            told = replace(mark, at=now)
            self.ledger.told.setdefault(row.group, {}).setdefault(row.address, {})[mark.alert] = told
            writes.told(row.group, row.address, told)
        if known:
            self.ledger.last[row.group, row.address] = now
            writes.last(row.group, row.address, now)
        return done

    # ------------------------------------------------------------------------------------------ by hand

    def retry(self, address: str, now: float, writes: Writes) -> int:
        """Try all messages of an address again from now on; how many there are."""
        self._note(address, self.health[address].freed(), writes)
        rows = [r for r in self.ledger.rows.values() if r.address == address and r.state in ("parked", "pending")]
        for row in rows:
            self._put(row.but(state="pending", next_at=now, first_failure=None), writes)
        return len(rows)

    def park(self, address: str, why: str, writes: Writes) -> int:
        """Send nothing more to an address until it is retried; how many messages wait."""
        self._note(address, replace(self.health[address], parked=why, by_hand=True), writes)
        rows = [r for r in self.ledger.rows.values() if r.address == address and r.state == "pending"]
        for row in rows:
            self._put(row.but(state="parked", error=why), writes)
        return len(rows)

    # ------------------------------------------------------------------------------------------ keeping

    def _put(self, row: Row, writes: Writes) -> Row:
        self.ledger.rows[row.group, row.address] = row
        writes.row(row)
        return row

    def _drop(self, row: Row, writes: Writes) -> None:
        self.ledger.rows.pop((row.group, row.address), None)
        writes.drop(row)

    def _note(self, address: str, health: Health, writes: Writes) -> None:
        self.health[address] = health
        writes.health(address, health.to_json())


def _stub(payload: JsonObject) -> JsonObject:
    """What is kept of a message that arrived: its title and whose it was, for ``alerts list`` and reports."""
    about = [{"incident": alert["incident"]} for alert in payload.get("alerts", ()) if "incident" in alert]
    return {"title": payload.get("title", ""), "alerts": about}
