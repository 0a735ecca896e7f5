from pathlib import Path

import pytest

from agent.collectors._interface import parse_speed
from agent.collectors._tcp import NETSTAT, SNMP, parse_table
from agent.collectors.network import Collector
from agent.errors import Unavailable
from tests.collectors.figures import events, figures

HEADINGS = "Inter-|   Receive  |  Transmit\n face |bytes packets | bytes packets\n"


def test_received_and_sent_are_told_apart(proc: Path, sys: Path) -> None:
    """Every column of the card's line lands in its metric."""
    read = figures(Collector(proc=str(proc), sys=str(sys)).collect())
    card = {name.split("{")[0]: value for name, value in read.items() if "eth0" in name}
    assert card == {
        "network_receive_bytes_total": 106948434,
        "network_transmit_bytes_total": 185151,
        "network_receive_packets_total": 2736,
        "network_transmit_packets_total": 1436,
        "network_receive_errors_total": 1,
        "network_transmit_errors_total": 3,
        "network_receive_drops_total": 2,
        "network_transmit_drops_total": 4,
        "network_up": 1,
        "network_speed_bytes": 25e9 / 8,
    }


def test_interfaces_that_are_down_are_listed_and_loopback_is_up_without_a_link_state(proc: Path, sys: Path) -> None:
    """Down is a figure, not an absence; "unknown" is up as long as it is switched on."""
    read = figures(Collector(proc=str(proc), sys=str(sys)).collect())
    assert (read["network_up{interface='ifb0'}"], read["network_up{interface='lo'}"]) == (0, 1)


def test_a_link_that_drops_is_seen_at_the_next_reading(proc: Path, sys: Path) -> None:
    """State is read every time, and a link without carrier has no speed."""
    collector = Collector(proc=str(proc), sys=str(sys))
    collector.collect()
    (sys / "class/net/eth0/operstate").write_text("down\n")
    read = figures(collector.collect())
    assert read["network_up{interface='eth0'}"] == 0
    assert "network_speed_bytes{interface='eth0'}" not in read


def test_a_removed_virtual_interface_ends_and_a_lost_card_does_not(proc: Path, sys: Path) -> None:
    """Containers come and go; a card that falls off the bus is a fault and must not close as gone."""
    collector = Collector(proc=str(proc), sys=str(sys))
    collector.collect()
    lines = (proc / "net/dev").read_text().splitlines(True)
    (proc / "net/dev").write_text("".join(line for line in lines if "ifb0" not in line and "eth0" not in line))
    assert events(collector.collect()) == [("entity_ended", {"interface": "ifb0"})]


def test_interface_names_are_cleaned(proc: Path, sys: Path) -> None:
    """The kernel allows escape signs in interface names; a page or terminal must not get them."""
    (proc / "net/dev").write_text(HEADINGS + "e\x1b[2J: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n")
    read = figures(Collector(proc=str(proc), sys=str(sys)).collect())
    assert "network_receive_bytes_total{interface='e\ufffd[2J'}" in read


def test_tcp_counters_come_by_name_not_by_place(proc: Path, sys: Path) -> None:
    """Names in the first line of a table say what the numbers in the second mean; sockets of both families are summed."""
    read = figures(Collector(proc=str(proc), sys=str(sys)).collect())
    assert {name: value for name, value in read.items() if name.startswith(("tcp", "conntrack"))} == {
        "tcp_segments_sent_total": 2326,
        "tcp_segments_retransmitted_total": 17,
        "tcp_resets_sent_total": 43,
        "tcp_listen_overflows_total": 6,
        "tcp_listen_drops_total": 7,
        "tcp_timeouts_total": 2,
        "tcp_connections": 7,
        "conntrack_entries": 11,
        "conntrack_limit": 262144,
    }


def test_a_link_that_comes_up_is_seen_within_five_readings(proc: Path, sys: Path) -> None:
    """Links that are down are looked at less often."""
    collector = Collector(proc=str(proc), sys=str(sys))
    collector.collect()
    (sys / "class/net/ifb0/operstate").write_text("up\n")
    turns = [figures(collector.collect())["network_up{interface='ifb0'}"] for _ in range(5)]
    assert turns[-1] == 1


def test_loopback_that_is_switched_off_is_down(proc: Path, sys: Path) -> None:
    """Its state stays "unknown"; the flag tells."""
    collector = Collector(proc=str(proc), sys=str(sys))
    collector.collect()
    (sys / "class/net/lo/flags").write_text("0x8\n")
    turns = [figures(collector.collect())["network_up{interface='lo'}"] for _ in range(5)]
    assert turns[-1] == 0


def test_tcp_is_read_at_every_fifth_turn(proc: Path, sys: Path) -> None:
    """In between there are no samples of them, rather than stale ones that would bend a rate."""
    collector = Collector(proc=str(proc), sys=str(sys))
    turns = ["tcp_connections" in figures(collector.collect()) for _ in range(7)]
    assert turns == [True, False, False, False, False, True, False]


def test_without_packet_filter_or_ipv6_their_series_are_absent(proc: Path, sys: Path) -> None:
    """Missing files are no failure."""
    (proc / "net/sockstat6").unlink()
    (proc / "sys/net/netfilter/nf_conntrack_count").unlink()
    read = figures(Collector(proc=str(proc), sys=str(sys)).collect())
    assert read["tcp_connections"] == 4
    assert "conntrack_entries" not in read


def test_no_network_at_all_is_unavailable(tmp_path: Path) -> None:
    """A host without /proc/net/dev lacks the source."""
    with pytest.raises(Unavailable):
        Collector(proc=str(tmp_path), sys=str(tmp_path)).collect()


@pytest.mark.parametrize("raw", [b"", b"Tcp: OutSegs\n", b"Udp: A\nUdp: 1\n", b"Tcp: OutSegs\nUdp: 1\n"])
def test_a_table_cut_short_gives_nothing(raw: bytes) -> None:
    """A line of names without its line of numbers is not read as something else."""
    assert parse_table(raw, b"Tcp:", SNMP) == {}


def test_the_first_table_of_a_file_is_found_too() -> None:
    """TcpExt opens netstat, Tcp stands in the middle of snmp."""
    assert parse_table(b"TcpExt: TCPTimeouts\nTcpExt: 4\n", b"TcpExt:", NETSTAT) == {"tcp_timeouts_total": 4.0}


@pytest.mark.parametrize(("raw", "speed"), [(b"100000\n", 12.5e9), (b"-1\n", None), (b"4294967295\n", None), (b"0\n", None)])
def test_an_unknown_speed_is_none(raw: bytes, speed: float | None) -> None:
    """The kernel's several ways to say that it does not know are all unknown."""
    assert parse_speed(raw) == speed
