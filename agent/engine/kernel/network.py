"""Network links and cards: carrier, bonds, transmit timeouts, mlx5 and EFA; and what systemd-networkd says of carriers.

Forms of the drivers' own link messages, drivers/net/bonding/bond_main.c, net/sched/sch_generic.c,
drivers/net/ethernet/mellanox/mlx5/core, drivers/infiniband/hw/efa/efa_com.c.
"""

from __future__ import annotations

import re

from agent.engine.kernel.log import Log
from agent.engine.kernel.record import Value
from agent.engine.kernel.words import BDF, FULL_BDF

IFACE = r"[A-Za-z0-9][\w.@-]{0,14}"
BOOT_GRACE_S = 60.0
"""Links come and go while a host starts: an event in the first minute carries ``boot_grace``."""
_VIRTUAL = re.compile(
    r"(?:veth|cali|lxc|docker|br-|cni|flannel|virbr|vnet|tun|tap|kube|nodelocaldns|dummy|vxlan|azv|gke|eni[0-9a-f]{11}\Z)"
)
"""Interfaces of containers and virtual machines, which come and go with them."""
_STATE = r"(?:NIC )?[Ll]ink (?:is )?([Dd]own|DOWN|[Uu]p|UP)\b"
_LINKS = (
    re.compile(
        rf"(?P<driver>[A-Za-z][\w-]{{1,20}})(?: (?P<device>{FULL_BDF}))?:? (?P<iface>{IFACE}): "
        rf"(?:\w{{1,20}}: )?(?:{IFACE}:? )?{_STATE}"
    ),
    re.compile(rf"(?P<driver>[A-Za-z][\w-]{{1,20}}): (?P<iface>{IFACE}) NIC Link is ([Dd]own|[Uu]p)\b"),
    re.compile(rf"(?P<iface>{IFACE}): (?:NIC )?Link is ([Dd]own|[Uu]p)\b"),
)
"""``driver bdf iface: Link down``, ``driver: iface NIC Link is Down``, ``iface: Link is Down``."""
_BOND = re.compile(rf"(?:bonding: )?({IFACE}): link status (definitely )?(down|up) for (?:active )?interface ({IFACE})")
_BOND_SLAVE = re.compile(rf"(?:bonding: )?({IFACE}): \(slave ({IFACE})\): link status (definitely )?(down|up)\b")
_BOND_NONE = re.compile(rf"(?:bonding: )?({IFACE}): now running without any active interface")
_WATCHDOG_OLD = re.compile(rf"NETDEV WATCHDOG: ({IFACE}) \(([\w-]{{0,40}})\): transmit queue (\d{{1,6}}) timed out")
_WATCHDOG = re.compile(
    rf"([\w-]{{1,40}})(?: ({FULL_BDF}|[\w.:-]{{1,40}}))? ({IFACE}): NETDEV WATCHDOG: CPU: \d+: transmit queue (\d{{1,6}}) timed out"
)
_TX = re.compile(rf"([\w-]{{1,40}}) ({FULL_BDF}) ({IFACE}): TX timeout detected")
_RX = re.compile(rf"([\w-]{{1,40}}) ({FULL_BDF}) ({IFACE}): RX timeout on channel: (\d{{1,6}})")
_REFCOUNT = re.compile(r"unregister_netdevice: waiting for (\S{1,64}) to become free\. Usage count = ?-?\d+")
_CONNTRACK = re.compile(r"(?:(?:nf|ip)_conntrack: )+table full, dropping packet")
_MLX = re.compile(rf"(?:mlx5_core(?: ({BDF}))?: )?(?:(\w{{1,60}})(?::\d{{1,6}}:\(pid (\d{{1,10}})\))?: )?(.*)", re.DOTALL)
_POWER = re.compile(r"Detected insufficient power on the PCIe slot \((\d{1,6})W\)")
_MODULE = re.compile(r"Port module event(?:\[\w{1,10}\])?: module (\d{1,4}),.{0,80}?High Temperature")
_WARM = re.compile(r"High temperature on sensors with bit set|synd 0x10: ")
_COMMAND = re.compile(
    r"(?:cmd\[\d+\]: )?([A-Z][A-Z0-9_]{1,60})\(0x[0-9a-f]{1,6}\) (?:(op_mod\(0x[0-9a-f]+\)) failed|((?:Async, )?timeout)\b)"
)
_HEALTH = re.compile(
    r"device's health compromised|synd 0x[0-9a-f]{1,4}: (?!no error)|Fatal error \d+ detected|health recovery flow aborted"
    r"|Health issue observed, .{1,80}?severity\(\d\) (?:EMERGENCY|ALERT|CRITICAL|ERROR)"
)
_EFA = re.compile(rf"(?:infiniband ((?:rdmap|efa_)\w{{1,30}})|efa ({FULL_BDF})): (.*)", re.DOTALL)
_EFA_FATAL = re.compile(
    r"Wait for completion \(polling\) timeout|Admin queue is closed"
    r"|Reset indication didn't turn o(?:n|ff)|Failed to reset device|Reset timeout"
    r"|The device didn't send any completion for admin cmd|Device isn't ready, "
)
_EFA_COMMAND = re.compile(r"Failed to (?:process|submit) command (\w{1,60}) \(opcode \d+\)")


class Network:
    """One line, one event."""

    def read(self, text: str, log: Log) -> bool:
        """One line; True if it belongs to this family."""
        return (
            self._bond(text, log)
            or self._timeout(text, log)
            or self._link(text, log)
            or self._mellanox(text, log)
            or self._efa(text, log)
            or self._limits(text, log)
        )

    def _link(self, text: str, log: Log) -> bool:
        found = next((match for pattern in _LINKS if (match := pattern.match(text)) is not None), None)
        if found is None:
            return False
        said = found.groupdict()
        state = (found[found.re.groups] or "").lower()
        self._carrier(said["iface"], state, {"driver": said.get("driver"), "device": said.get("device")}, log)
        return True

    def _carrier(self, iface: str, state: str, more: dict[str, Value], log: Log) -> None:
        if _VIRTUAL.match(iface):
            return
        early = log.record.stamp is not None and log.record.stamp < BOOT_GRACE_S
        log.add(f"link_{state}", {"iface": iface, **more, "boot_grace": early}, (iface, more.get("master")))

    def _bond(self, text: str, log: Log) -> bool:
        if (old := _BOND.match(text)) is not None:
            master, sure, state, iface = old.groups()
        elif (new := _BOND_SLAVE.match(text)) is not None:
            master, iface, sure, state = new.groups()
        elif (none := _BOND_NONE.match(text)) is not None:
            self._carrier(none[1], "down", {"master": none[1]}, log)
            return True
        else:
            return False
        if sure or state == "down":
            self._carrier(iface, state, {"master": master, "provisional": not sure}, log)
        return True

    def _timeout(self, text: str, log: Log) -> bool:
        queue: int | None
        if (old := _WATCHDOG_OLD.match(text)) is not None:
            iface, driver, device, queue = old[1], old[2], None, int(old[3])
        elif (new := _WATCHDOG.match(text)) is not None:
            iface, driver, device, queue = new[3], new[1], new[2], int(new[4])
        elif (own := _TX.match(text)) is not None:
            iface, driver, device, queue = own[3], own[1], own[2], None
        elif (receive := _RX.match(text)) is not None:
            driver, device, iface, channel = receive.groups()
            log.add("nic_rx_timeout", {"iface": iface, "driver": driver, "queue": int(channel), "device": device}, (iface,))
            return True
        else:
            return False
        log.add("nic_tx_timeout", {"iface": iface, "driver": driver, "queue": queue, "device": device}, (iface,))
        return True

    def _mellanox(self, text: str, log: Log) -> bool:
        if not text.startswith(("mlx5", "Port module", "Detected insuff")):
            return False
        found = _MLX.match(text)
        if found is None:
            return False
        device, said = found[1], found[4]
        pid = int(found[3]) if found[3] else None
        if (power := _POWER.match(said)) is not None:
            log.add("nic_pcie_power", {"device": device, "watts": int(power[1])})
        elif (module := _MODULE.match(said)) is not None:
            log.add("nic_module_temp", {"device": device, "module": int(module[1])})
        elif _WARM.match(said):
            log.add("nic_temp", {"device": device}, (device,))
        elif _HEALTH.match(said):
            log.add("nic_fw_fatal", {"device": device}, (device,))
        elif (command := _COMMAND.match(said)) is not None and pid is not None:
            kind = "nic_cmd_failed" if command[2] else "nic_cmd_timeout"
            log.add(kind, {"device": device, "pid": pid, "command": command[1]})
        else:
            return False
        return True

    def _efa(self, text: str, log: Log) -> bool:
        found = _EFA.match(text)
        if found is None:
            return False
        device = found[1] or found[2]
        if _EFA_FATAL.match(found[3]):
            log.add("efa_fatal", {"device": device})
        elif (command := _EFA_COMMAND.match(found[3])) is not None:
            log.add("efa_cmd_failed", {"device": device, "command": command[1]})
        else:
            return False
        return True

    def _limits(self, text: str, log: Log) -> bool:
        if (device := _REFCOUNT.match(text)) is not None:
            log.add("netdev_refcount", {"iface": device[1]}, (device[1],))
        elif _CONNTRACK.match(text):
            log.add("conntrack_full", {}, ())
        else:
            return False
        return True


def from_daemon(tag: str, text: str, log: Log) -> bool:
    """What a daemon logs of the kernel's own news: systemd-networkd tells of carriers that drivers do not print."""
    found = re.match(rf"({IFACE}): (Lost|Gained) carrier\s*\Z", text) if tag == "systemd-networkd" else None
    if found is None:
        return False
    if not _VIRTUAL.match(found[1]):
        kind = "link_down" if found[2] == "Lost" else "link_up"
        log.add(kind, {"iface": found[1], "source": tag, "boot_grace": False}, (found[1], tag))
    return True
