"""What people ask of alerting and tell it to do: lists, retries, parking, silences, tests, and where something would go."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import replace

from agent.alerts.courier import KEEP_SILENCES_S, Courier
from agent.alerts.message import notice
from agent.alerts.model import SEVERITIES, Address, Alert, Row
from agent.alerts.routing import Router
from agent.alerts.silences import Mute, Silence, make_silence
from agent.alerts.tables import Writes, last_done
from agent.engine.report import when
from agent.errors import UsageError
from agent.host.text import clean
from agent.model import JsonObject
from agent.yamlfile import did_you_mean

DONE_SHOWN = 20
TEST_SHOWN_S = 60.0


class Answers:
    """By name, as the API and the commands call them; every one gives plain JSON. UsageError where a name is not known."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier

    async def overview(self) -> JsonObject:
        """``anfl.alerts/1``: what waits, what is parked, what arrived last, and how the receivers do."""
        courier = self._courier
        done = await courier.state.read(lambda at: last_done(at, DONE_SHOWN))
        waiting = sorted(courier.outbox.ledger.rows.values(), key=lambda row: (row.made, row.event))
        return {
            "schema": "anfl.alerts/1",
            "host": courier.host,
            "messages": [_row(row) for row in [*done, *waiting]],
            "receivers": [self._receiver(address) for address in courier.addresses.values()],
            "alerts": [_alert(alert) for alert in courier.outbox.ledger.alerts.values()],
        }

    def _receiver(self, address: Address) -> JsonObject:
        health = self._courier.outbox.health[address.name]
        return {
            "name": address.name,
            "type": address.receiver.type,
            "state": health.word,
            "why": health.parked or health.error,
            "failures": health.failures,
            "sent": health.sent,
            "last_delivery": when(health.delivered) if health.delivered else None,
            "next_attempt": when(health.hold) if health.hold > self._courier.clock.now() else None,
        }

    # ------------------------------------------------------------------------------------------ by hand

    async def retry(self, receiver: str | None) -> JsonObject:
        """Try parked and waiting messages again now, of one receiver or of all."""
        courier, done = self._courier, 0
        names = [a.name for a in self._named(receiver)]

        def change(writes: Writes) -> None:
            nonlocal done
            done = sum(courier.outbox.retry(name, courier.clock.now(), writes) for name in names)

        await courier.locked(change)
        return {"schema": "anfl.alerts-retry/1", "receivers": names, "messages": done}

    async def park(self, receiver: str, why: str, who: str) -> JsonObject:
        """Send nothing more to a receiver until it is retried; a new start does not change that."""
        courier, done = self._courier, 0
        names = [a.name for a in self._named(receiver)]
        said = f"parked by {clean(who, 60)}" + (f": {clean(why, 200)}" if why else "")

        def change(writes: Writes) -> None:
            nonlocal done
            done = sum(courier.outbox.park(name, said, writes) for name in names)

        await courier.locked(change)
        return {"schema": "anfl.alerts-park/1", "receivers": names, "messages": done, "why": said}

    async def test(self, receiver: str | None) -> JsonObject:
        """A marked message to every address, past all routes and silences; how each ended."""
        courier = self._courier
        event = f"test-{secrets.token_hex(6)}"
        lines = ["This is a test. Nothing is wrong.", "It was asked for with: anfl-agent alerts test"]
        told = notice(event, "test", "a test message", lines, courier.host, courier.clock.now(), "notice")
        told["alertmanager"] = [test_alert(courier.host, courier.clock.now())]
        results = await asyncio.gather(*(self._tried(address, told) for address in self._named(receiver)))
        return {"schema": "anfl.alerts-test/1", "event": event, "results": list(results)}

    async def _tried(self, address: Address, told: JsonObject) -> JsonObject:
        clock = self._courier.clock
        began = clock.monotonic()
        outcome = await self._courier.send(address, told)
        took = round(clock.monotonic() - began, 3)
        ok = outcome.ending == "done"
        return {"address": address.name, "type": address.receiver.type, "ok": ok, "why": outcome.why, "took_s": took}

    def route(self, labels: Mapping[str, str]) -> JsonObject:
        """Where an alert with these labels would go now, and why."""
        at = self._courier.context()
        return explain(self._courier.router, labels, at.now, self._courier.host, list(at.mutes))

    def _named(self, name: str | None) -> list[Address]:
        """The addresses of a receiver, one address by its own name, or all."""
        courier = self._courier
        if name is None:
            return [*courier.addresses.values()]
        found = [a for a in courier.addresses.values() if name in (a.name, a.receiver.name)]
        if not found:
            known = [*courier.book]
            raise UsageError(f"no receiver '{name}'", help=did_you_mean(name, known) or f"there are: {', '.join(known)}")
        return found

    # ------------------------------------------------------------------------------------------ silences

    def silences(self) -> JsonObject:
        """``anfl.silences/1``: those in force and those that ended within a week."""
        now = self._courier.clock.now()
        listed = sorted(self._courier.silences.values(), key=lambda s: (s.ends <= now, s.ends))
        return {"schema": "anfl.silences/1", "silences": [_silence(s, now) for s in listed]}

    async def silence(self, matchers: list[str], seconds: float, reason: str, by: str) -> JsonObject:
        """Make one; nothing that fits is told until it ends."""
        courier, now = self._courier, self._courier.clock.now()
        made = make_silence(secrets.token_hex(4), matchers, now, seconds, clean(reason, 200), clean(by, 60))

        def change(writes: Writes) -> None:
            for old in [s for s in courier.silences.values() if s.ends < now - KEEP_SILENCES_S]:
                del courier.silences[old.id]
                writes.forget_silence(old.id)
            courier.silences[made.id] = made
            writes.silence(made)

        await courier.locked(change)
        hides = [a for a in courier.outbox.ledger.alerts.values() if made.holds(a.all_labels(courier.host), now)]
        return {"schema": "anfl.silence/1", **_silence(made, now), "hides": [_alert(a) for a in hides]}

    async def expire(self, id_: str) -> JsonObject:
        """End one now."""
        courier, now = self._courier, self._courier.clock.now()
        found = courier.silences.get(id_)
        if found is None:
            known = [s.id for s in courier.silences.values() if now < s.ends]
            raise UsageError(f"no silence '{id_}'", help=f"in force: {', '.join(known) or 'none'}")
        ended: Silence = replace(found, ends=min(found.ends, now))

        def change(writes: Writes) -> None:
            courier.silences[id_] = ended
            writes.silence(ended)

        await courier.locked(change)
        return {"schema": "anfl.silence/1", **_silence(ended, now), "hides": []}


def test_alert(host: str, now: float) -> JsonObject:
    """What an Alertmanager shows of a test: an alert that ends by itself in a minute."""
    return {
        "labels": {"alertname": "anfl-agent-test", "host": host, "instance": host, "severity": "none"},
        "annotations": {"summary": f"{host}: a test of anfl-agent; nothing is wrong"},
        "startsAt": when(now),
        "endsAt": when(now + TEST_SHOWN_S),
    }


def explain(router: Router, labels: Mapping[str, str], now: float, host: str, mutes: list[Mute]) -> JsonObject:
    """Where an alert with these labels would go at a time, route by route. UsageError for a severity that is none."""
    severity = labels.get("severity", "warning")
    if severity not in SEVERITIES:
        raise UsageError(
            f"no severity '{severity}'", help=did_you_mean(severity, SEVERITIES) or f"there are: {', '.join(SEVERITIES)}"
        )
    cause = labels.get("cause", "")
    tree = labels.get("tree") or cause.partition(".")[0]
    alert = Alert("0", "", SEVERITIES[severity], tree, dict(labels), now, cause=cause, seen=now)
    muted = next((m.why for m in mutes if m.holds(alert.all_labels(host), now)), "")
    steps = router.explain(alert, now)
    to, _, _ = router.where(alert, now)
    _, later, _ = router.where(replace(alert, seen=0.0), now)
    return {
        "schema": "anfl.alerts-route/1",
        "labels": alert.all_labels(host),
        "muted": muted,
        "receivers": [] if muted else list(to),
        "escalates_to": list(later),
        "routes": [{"route": s.route, "receivers": list(s.receivers), "fits": s.fits, "because": s.because} for s in steps],
    }


def _row(row: Row) -> JsonObject:
    return {
        "event": row.event,
        "receiver": row.address,
        "state": row.state,
        "title": row.payload.get("title", ""),
        "made": when(row.made),
        "attempts": row.attempts,
        "next_attempt": when(row.next_at) if row.state == "pending" else None,
        "done": when(row.done) if row.done else None,
        "error": row.error,
    }


def _alert(alert: Alert) -> JsonObject:
    return {
        "incident": alert.id,
        "status": alert.status,
        "severity": alert.severity.word,
        "cause": alert.cause or alert.tree,
        "title": alert.title,
        "acknowledged": alert.acknowledged,
    }


def _silence(silence: Silence, now: float) -> JsonObject:
    kept = silence.to_json()
    times = {key: when(kept[key]) for key in ("starts", "ends", "made")}
    return {**kept, **times, "state": "active" if silence.starts <= now < silence.ends else "expired"}
