"""Which events belong together: one fault makes many lines, and has one number.

What joins: the same thing named again (a GPU, an interface, a server), or a chain known to run from one kind to the next (an error
of a link, then what the driver says the GPU needs; a disk, then the filesystem above it). Untrusted events never join trusted ones.
"""

from __future__ import annotations

from collections import deque
from dataclasses import field

from agent.dataclass import dataclass
from agent.engine.kernel.record import Happening

MOST_TOPICS, MOST_OF_A_TOPIC, MOST_EVENTS = 512, 8, 6
"""So many things, incidents of each and events of an incident are remembered, the newest; a flood must not cost more than that."""
CHAIN_S = 60.0
"""Parts of one fault on one GPU: 48, 63 and 94 come within a second, 13 and 43 within some; a minute leaves room for retries."""
SAME_S = 600.0
"""The same error on the same thing again (GSP timeouts come every 6 s to 3 min while a monitor polls)."""
FABRIC_S = 10.0
"""All GPUs and switches of a fabric see one fault within seconds."""
FOLLOW_S = 30.0
BUS_S = 5.0

_GPU = frozenset(("xid", "gpu_fallen_off_bus", "gpu_init_failed", "gsp_timeout"))
_LINKS = frozenset((74, 136, 137, 155, *range(144, 151)))
_STORAGE = frozenset(
    (
        *("nvme_timeout", "nvme_disabled", "nvme_controller_down", "nvme_path_failure", "ata_error", "raid_failure"),
        *("beyond_end_of_device", "io_error", "fs_error", "fs_readonly", "fs_shutdown", "superblock_write_error"),
    )
)
_STUCK = frozenset(("hung_task", "hung_task_suppressed", "soft_lockup", "hard_lockup", "rcu_stall", "workqueue_lockup"))
_BROKEN = frozenset(("kernel_oops", "kernel_bug", "kernel_panic"))
_HARDWARE = frozenset(("mce", "memory_failure", "edac", "cper"))
_CHAINS = (_STORAGE, _STUCK, _BROKEN, _HARDWARE)
_RESOLVES = {"nfs_ok": "nfs_not_responding", "link_up": "link_down"}
_SUBJECTS = ("iface", "server", "device", "array")


@dataclass(eq=False)
class _Incident:
    """One open incident and its last events."""

    number: int
    trusted: bool | None
    events: deque[Happening] = field(default_factory=lambda: deque(maxlen=MOST_EVENTS))


class Incidents:
    """Numbers events as they come. Incidents are looked up by what their events are about."""

    def __init__(self) -> None:
        self._topics: dict[str, deque[_Incident]] = {}
        self._count = 0

    def place(self, event: Happening) -> None:
        """Give the event the number of the incident it belongs to, or a new one."""
        topics = _topics(event)
        incident = self._home(event, topics)
        if incident is None:
            self._count += 1
            incident = _Incident(self._count, event.record.trusted)
        event.incident = incident.number
        incident.events.append(event)
        for topic in topics:
            known = self._topics.pop(topic, None) or deque(maxlen=MOST_OF_A_TOPIC)
            if incident not in known:
                known.append(incident)
            self._topics[topic] = known  # the newest stand last
        while len(self._topics) > MOST_TOPICS:
            del self._topics[next(iter(self._topics))]
        _resolve(incident, event)

    def _home(self, event: Happening, topics: tuple[str, ...]) -> _Incident | None:
        for topic in topics:
            for incident in reversed(self._topics.get(topic, ())):
                if incident.trusted == event.record.trusted and any(_joined(e, event) for e in reversed(incident.events)):
                    return incident
        return None


def _topics(event: Happening) -> tuple[str, ...]:
    """What an event is about, so far as two events must share one of these to belong together."""
    kind = event.kind
    if kind in _GPU or kind in ("sxid", "pcie_aer"):
        about: tuple[str, ...] = (f"pci {event.get('pci')}",)
        about += ("fabric",) if _fabric(event) or event.get("xid") in (45, 154) else ()
        return (*about, "bus") if kind in ("pcie_aer", "gpu_fallen_off_bus") or event.get("xid") == 79 else about
    for name, chain in (("storage", _STORAGE), ("stuck", _STUCK | _BROKEN), ("hardware", _HARDWARE)):
        if kind in chain:
            return (name,)
    if kind.startswith(("nic_", "link_", "efa_")):
        named = tuple(f"net {event.get(name)}" for name in ("iface", "device") if event.get(name) is not None)
        return (*named, "net") if kind.startswith("nic_") or not named else named
    return ("nfs",) if kind.startswith("nfs_") else (kind,)


def _resolve(incident: _Incident, event: Happening) -> None:
    """The end of a stall, the return of a link, a need for recovery that is gone: the whole incident is over."""
    over = event.kind in _RESOLVES and any(e.kind == _RESOLVES[event.kind] for e in incident.events)
    over = over or (event.get("xid") == 154 and event.get("recovery_to") == "None")
    for each in incident.events:
        each.resolved = over


def _gap(a: Happening, b: Happening) -> float:
    """Seconds between two events of one log; 0 where it does not say."""
    before, after = a.last if a.last is not None else a.record.moment, b.record.moment
    return abs(after - before) if before is not None and after is not None else 0.0


def _joined(a: Happening, b: Happening) -> bool:
    gap = _gap(a, b)
    if gap > SAME_S:
        return False
    if a.kind in _GPU and b.kind in _GPU and a.get("pci") == b.get("pci"):
        same = a.get("xid") == b.get("xid") or a.kind != "xid" or b.get("xid") == 154 or b.get("prev_xid") == a.get("xid")
        return gap <= (SAME_S if same else CHAIN_S)
    if _fabric(a) and (_fabric(b) or b.get("xid") in (45, 154)):
        return gap <= FABRIC_S
    if a.get("xid") == b.get("xid") == 154 or (a.get("xid") == 154 and _fabric(b)):
        return gap <= FABRIC_S
    if _names_same(a, b) and (a.kind == b.kind or _RESOLVES.get(b.kind) == a.kind or _RESOLVES.get(a.kind) == b.kind):
        return True
    return a.same == b.same or _chained(a, b, gap)


def _chained(a: Happening, b: Happening, gap: float) -> bool:
    if a.kind in _STUCK and b.kind in _STUCK | _BROKEN:
        return gap <= SAME_S
    if any(a.kind in chain and b.kind in chain for chain in _CHAINS):
        return gap <= FOLLOW_S
    if "pcie_aer" in (a.kind, b.kind):  # the port above tells first, then what hangs below it
        same = a.get("pci") is not None and a.get("pci") == b.get("pci")
        below = a.kind == b.kind or (a.get("severity") in ("fatal", "unrecovered") and _lost(b))
        return gap <= (CHAIN_S if same else BUS_S if below else -1.0)
    if a.kind.startswith("nic_") and (b.kind.startswith("nic_") or b.kind == "link_down"):
        return gap <= FOLLOW_S and (a.get("device") is None or b.get("device") in (None, a.get("device")))
    if a.kind == b.kind == "oom_kill":  # a cgroup killed as a whole
        return gap <= 1.0 and a.get("memcg") is not None and a.get("memcg") == b.get("memcg") and a.record.stamp is not None
    return a.kind == "efa_cmd_failed" and b.kind.startswith("efa_") and _names_same(a, b)


def _lost(event: Happening) -> bool:
    return event.kind == "gpu_fallen_off_bus" or event.get("xid") == 79


def _fabric(event: Happening) -> bool:
    return event.kind in ("sxid", "nvlink_rx_detect_failure") or event.get("xid") in _LINKS


def _names_same(a: Happening, b: Happening) -> bool:
    return any(a.get(name) is not None and a.get(name) == b.get(name) for name in _SUBJECTS)
