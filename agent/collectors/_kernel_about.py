"""What an event of the kernel log is about: the device it names, and what tells it from another."""

from __future__ import annotations

from agent.engine.kernel.record import Happening
from agent.host.text import clean
from agent.model import Labels

TEXT = 300
GPU_KINDS = frozenset(("xid", "gpu_fallen_off_bus", "gpu_init_failed", "gsp_timeout"))
"""Kinds whose ``pci`` is a GPU's."""
_DEVICES = ("iface", "device", "server", "array")
_APART = ("xid", "pci", "gpu_instance", "compute_instance", "link", "recovery_to", "prev_xid", "sxid")
_ALSO_APART = ("severity", "error", "dimm", "fs")


def device_of(happening: Happening) -> str | None:
    """The device an event names, other than a GPU: an interface, a disk, a server, a switch, a memory controller."""
    for name in _DEVICES:
        if (value := happening.get(name)) is not None:
            return clean(str(value))
    for name, prefix in (("nvswitch", "nvswitch"), ("mc", "mc")):
        if (value := happening.get(name)) is not None:
            return f"{prefix}{value}"
    return None


def told_apart(happening: Happening) -> tuple[object, ...]:
    """What makes an event another one than the last: kind, number, device and process, not each address or sector it names."""
    who = happening.get("process") if happening.kind == "segfault" else happening.get("pid")
    return (happening.kind, device_of(happening), who, *(happening.get(name) for name in (*_APART, *_ALSO_APART)))


def with_(of: Labels, name: str, value: str) -> Labels:
    """The same labels and one more."""
    return tuple(sorted((*of, (name, value))))


def cleaned(value: str | float | bool) -> str | float:
    """Text of the log made safe to show."""
    return clean(value, TEXT) if isinstance(value, str) else value
