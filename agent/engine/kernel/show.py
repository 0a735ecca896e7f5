"""An event as people and programs get it: one flat object with the table's words."""

from __future__ import annotations

from datetime import UTC, datetime

from agent.engine.kernel.record import Happening, Value
from agent.engine.kernel.tables import Tables
from agent.model import JsonObject

_RECOVERY = {
    "None": "none", "GPU Reset Required": "reset_gpu", "GPU Reset": "reset_gpu", "Node Reboot Required": "reboot",
    "Node Reboot": "reboot", "Drain P2P": "drain", "Drain and Reset": "drain",
}  # fmt: skip
"""Xid 154 says itself what the GPU needs; 0x0 to 0x4 of the driver's recovery action."""


def meaning(event: Happening, tables: Tables) -> dict[str, Value]:
    """Level, title and advice; for an Xid its class, what to do, and whether the number is known."""
    level = tables.level(event.kind, event.fields)
    number = event.get("xid")
    if event.kind != "xid" or not isinstance(number, int):
        entry = tables.kinds.get(event.kind)
        switch = tables.sxids.get(int(str(event.get("sxid")))) if event.kind == "sxid" else None
        title = switch.title if switch else entry.title if entry else event.kind
        return {"level": level, "title": title, "advice": entry.advice if entry else ""}
    xid = tables.xid(number)
    need = event.get("recovery_to")
    action = _RECOVERY.get(need, xid.action) if isinstance(need, str) else xid.action
    return {
        "level": level,
        "title": xid.title,
        "advice": xid.advice,
        "class": str(xid.class_),
        "action_class": action,
        "known": number in tables.xids,
    }


def to_json(event: Happening, tables: Tables) -> JsonObject:
    """``kind``, ``incident``, ``count``, ``trusted``, when, the event's own fields, what they mean, and the first record's text."""
    record = event.record
    priority = None if record.facility is None or record.level is None else record.facility << 3 | record.level
    return {
        "kind": event.kind,
        "incident": event.incident,
        "count": event.count,
        "trusted": record.trusted,
        "resolved": event.resolved,
        "time": _rfc3339(record.wall),
        "ts_us": None if record.stamp is None else round(record.stamp * 1e6),
        "seq": record.seq,
        "priority": priority,
        "device_key": record.keys.get("DEVICE"),
        **event.fields,
        **meaning(event, tables),
        "text": record.text[:1000],
    }


def line(event: Happening, tables: Tables) -> str:
    """One line for people: incident, when, level, kind, whom it names, how often."""
    said = meaning(event, tables)
    record = event.record
    when = _rfc3339(record.wall) or (f"{record.stamp:.6f}" if record.stamp is not None else "-")
    number = event.get("xid") or event.get("sxid")
    kind = f"{event.kind} {number}" if number is not None else event.kind
    shown = [f"{name}={event.get(name)}" for name in _NAMED if event.get(name) is not None]
    action = said.get("action_class")
    parts = [f"#{event.incident}", when, str(said["level"]), kind, f"({said['title']})", *shown]
    parts += [f"×{event.count}"] if event.count > 1 else []
    parts += [f"→ {action}"] if action not in (None, "none") else []
    parts += ["resolved"] if event.resolved else []
    parts += ["not from the kernel"] if record.trusted is False else []
    return "  ".join(parts)


_NAMED = (
    *("pci", "gpu_instance", "compute_instance", "nvswitch", "link", "device", "iface", "master", "server", "fs", "process", "pid"),
    *(
        "memcg",
        "cpu",
        "bank",
        "mc",
        "dimm",
        "severity",
        "seconds",
        "reason",
        "recovery_to",
        "prev_xid",
        "client_version",
        "kernel_version",
    ),
    *("library", "limit", "watts", "module", "command"),
)


def _rfc3339(moment: float | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
