"""Receivers in trouble: an alert of our own about each that is parked, a line in every message that arrives elsewhere, the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from agent.alerts.health import Health
from agent.alerts.model import Address, Alert
from agent.model import Severity

log = logging.getLogger("anfl.alerts")

CAUSE = "agent.receiver-parked"


def trouble_id(name: str) -> str:
    """The id of the alert about an address."""
    return f"receiver:{name}"


def troubles(health: Mapping[str, Health]) -> dict[str, str]:
    """A line for each parked address."""
    return {name: f"receiver {name} gets nothing: {h.parked}" for name, h in health.items() if h.parked}


def trouble(address: Address, health: Health, known: Alert | None, now: float) -> Alert | None:
    """The alert about an address as it is now, if that changes: it fires when the address is parked, it ends when one arrives."""
    if health.parked and not health.by_hand and (known is None or known.status == "resolved"):
        return Alert(
            id=trouble_id(address.name),
            title=f"Alerts do not reach {address.name}: {health.parked}",
            severity=Severity.WARNING,
            tree="agent",
            cause=CAUSE,
            labels={"receiver": address.name},
            opened=now,
            seen=now,
            episode=1 if known is None else known.episode + 1,
            version=1 if known is None else known.version + 1,
            avoid=str(address.receiver.name),
            body={"command": f"anfl-agent alerts retry --receiver {address.receiver.name}"},
        )
    if known is not None and known.status == "firing" and health.word == "ok" and health.delivered:
        return replace(known, status="resolved", closed=now, ending="resolved", version=known.version + 1)
    return None


def say(name: str, before: str, health: Health) -> None:
    """A change for the worse or the better is logged once."""
    if health.word == before:
        return
    if health.word == "ok":
        log.info("receiver %s: messages arrive again", name)
    else:
        log.log(logging.ERROR if health.parked else logging.WARNING, "receiver %s: %s: %s", name, health.word, health.error)
