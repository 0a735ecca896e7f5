"""How TCP and connection tracking fare, for the whole host."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from agent.collectors._declare import counter, gauge, handles
from agent.collectors._kept import KeptSource, number
from agent.host.procfs import KeptFile
from agent.model import Sample

METRICS = (
    counter("tcp_segments_sent_total", "", "TCP segments sent, those sent again not included."),
    counter("tcp_segments_retransmitted_total", "", "TCP segments sent again because no answer came."),
    counter("tcp_resets_sent_total", "", "Connections refused or broken off by this host."),
    counter("tcp_listen_overflows_total", "", "Connections turned away because a listener's queue was full."),
    counter("tcp_listen_drops_total", "", "Connections turned away at a listener for any reason."),
    counter("tcp_timeouts_total", "", "Times TCP waited in vain for an answer."),
    gauge("tcp_connections", "", "TCP sockets in use, IPv4 and IPv6; listening ones count, those waiting to close do not."),
    gauge("conntrack_entries", "", "Connections the packet filter keeps track of."),
    gauge("conntrack_limit", "", "Connections the packet filter can keep track of; past it new ones are dropped."),
)
SNMP = {
    b"OutSegs": "tcp_segments_sent_total",
    b"RetransSegs": "tcp_segments_retransmitted_total",
    b"OutRsts": "tcp_resets_sent_total",
}
NETSTAT = {
    b"ListenOverflows": "tcp_listen_overflows_total",
    b"ListenDrops": "tcp_listen_drops_total",
    b"TCPTimeouts": "tcp_timeouts_total",
}


def parse_table(raw: bytes, table: bytes, wanted: Mapping[bytes, str]) -> dict[str, float]:
    """Values of one table of /proc/net/snmp or netstat: a line of names, then one of numbers, both begun by the table's name."""
    start = 0 if raw.startswith(table) else raw.find(b"\n" + table) + 1
    names, figures = (raw[start:] + b"\n\n").split(b"\n", 2)[:2]
    if not (names.startswith(table) and figures.startswith(table)):
        return {}
    return {wanted[n]: float(v) for n, v in zip(names.split(), figures.split(), strict=False) if n in wanted}


def parse_sockstat(raw: bytes) -> int:
    """TCP sockets in use, from /proc/net/sockstat or sockstat6."""
    raw = b"\n" + raw
    return number(raw, b"\nTCP: inuse ") or number(raw, b"\nTCP6: inuse ") or 0


def _level(name: str, raw: bytes) -> dict[str, float]:
    return {name: float(raw)}


class TcpSource:
    """Reads at every ``every``-th turn: the kernel sums most of these over all processors, however many there are."""

    def __init__(self, proc: str, every: int) -> None:
        series = handles(METRICS)
        tracked = f"{proc}/sys/net/netfilter/nf_conntrack"
        self._connections = series["tcp_connections"]
        self._sockets = (KeptFile(f"{proc}/net/sockstat"), KeptFile(f"{proc}/net/sockstat6"))
        self._sources = (
            KeptSource(f"{tracked}_count", partial(_level, "conntrack_entries"), series),
            KeptSource(f"{tracked}_max", partial(_level, "conntrack_limit"), series),
            KeptSource(f"{proc}/net/snmp", partial(parse_table, table=b"Tcp:", wanted=SNMP), series),
            KeptSource(f"{proc}/net/netstat", partial(parse_table, table=b"TcpExt:", wanted=NETSTAT), series),
        )
        self._every = max(1, every)
        self._turn = 0

    def read(self) -> list[Sample]:
        """The samples of this turn; files the host lacks (no IPv6, no packet filter) are left out."""
        due = self._turn % self._every == 0
        self._turn += 1
        if not due:
            return []
        return self._in_use() + [sample for source in self._sources for sample in source.read_if_there()]

    def _in_use(self) -> list[Sample]:
        found = []
        for file in self._sockets:
            try:
                found.append(parse_sockstat(file.read()))
            except OSError:  # IPv6 is switched off
                continue
        return [Sample(self._connections, float(sum(found)))] if found else []
