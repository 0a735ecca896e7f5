"""Network interfaces, and how TCP fares on this host."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import field
from typing import ClassVar

from agent.collectors._declare import counter, gauge
from agent.collectors._interface import Interface, parse_dev
from agent.collectors._tcp import METRICS, TcpSource
from agent.dataclass import dataclass
from agent.errors import Unavailable
from agent.host.procfs import KeptFile
from agent.model import ENTITY_ENDED, Event, Metric, Sample

OF_INTERFACE = (
    counter("network_receive_bytes_total", "bytes", "Bytes received.", "interface"),
    counter("network_transmit_bytes_total", "bytes", "Bytes sent.", "interface"),
    counter("network_receive_packets_total", "", "Packets received.", "interface"),
    counter("network_transmit_packets_total", "", "Packets sent.", "interface"),
    counter("network_receive_errors_total", "", "Packets received damaged: cable, optics or card.", "interface"),
    counter("network_transmit_errors_total", "", "Packets that could not be sent for a fault.", "interface"),
    counter("network_receive_drops_total", "", "Packets received and thrown away: no room, or nobody wanted them.", "interface"),
    counter("network_transmit_drops_total", "", "Packets thrown away instead of being sent.", "interface"),
    gauge("network_up", "", "1 if the interface can carry traffic: it is switched on and has a link; else 0.", "interface"),
    gauge("network_speed_bytes", "bytes", "Bytes per second the link can carry in one direction.", "interface"),
)


@dataclass
class Collector:
    """Reads /proc/net and /sys/class/net: every interface, those that are down too, and TCP as a whole.

    ``tcp_every``: TCP is read at every so-manieth collection; the kernel sums its tables over all processors, which takes
    40 µs on two of them and grows with their number.
    """

    metrics: ClassVar[tuple[Metric, ...]] = OF_INTERFACE + METRICS
    may_block: ClassVar[bool] = False

    interval: float = 1.0
    timeout: float = 1.0
    tcp_every: int = 5
    proc: str = "/proc"
    sys: str = "/sys"
    _dev: KeptFile = field(init=False, repr=False)
    _tcp: TcpSource = field(init=False, repr=False)
    _interfaces: dict[bytes, Interface] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._dev = KeptFile(f"{self.proc}/net/dev", 16384)
        self._tcp = TcpSource(self.proc, self.tcp_every)

    def collect(self) -> Iterable[Sample | Event]:
        """Figures of every interface and of TCP; ``entity_ended`` for a virtual interface that was removed.

        A card that disappears ends nothing: its series stop, which is what a rule on a lost link looks for.
        """
        try:
            lines = parse_dev(self._dev.read())
        except FileNotFoundError:
            raise Unavailable(f"no network: {self._dev.path} is not there") from None
        items: list[Sample | Event] = []
        if self._interfaces.keys() != lines.keys():
            items += self._renew(lines)
        for name, counters in lines.items():
            items += self._interfaces[name].read(counters)
        items += self._tcp.read()
        return items

    def _renew(self, lines: dict[bytes, bytes]) -> list[Event]:
        before = self._interfaces
        names = [m.name for m in OF_INTERFACE]
        self._interfaces = {name: before.get(name) or Interface(name, self.sys, names) for name in lines}
        gone = [one for name, one in before.items() if name not in lines and one.virtual]
        return [Event(time.time(), ENTITY_ENDED, one.labels) for one in gone]
