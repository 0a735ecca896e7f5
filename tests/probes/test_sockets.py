"""sockets: backlog, unread bytes, peers."""

from __future__ import annotations

import os
import socket

from agent.host.sockets import ESTABLISHED, LISTEN, Socket
from agent.host.tools import ProbeTools
from agent.model import Target
from agent.probes.sockets import Probe, Reading, judge

HERE, THERE = ("10.0.0.1", 8080), ("10.0.0.9", 5432)


def test_a_full_backlog_names_its_port_and_its_limit() -> None:
    """The worst moment counts: a queue that is full between two readings is full."""
    listener = Socket(1, LISTEN, HERE, ("0.0.0.0", 0), 0, 0)
    found = judge(Reading(((listener._replace(receive=5),), (listener,)), {1: 5}, {1: 42}))
    assert (found.answers["backlog_waiting"], found.answers["backlog_limit_share"]) == (5.0, 1.0)
    assert (found.culprits["backlog_waiting"][0].name, found.culprits["backlog_waiting"][0].pid) == ("port 8080", 42)


def test_a_backlog_without_a_known_limit_has_an_unknown_share() -> None:
    """In another network namespace the kernel does not say the limit."""
    listener = Socket(1, LISTEN, HERE, ("0.0.0.0", 0), 0, 5)
    assert judge(Reading(((listener,),))).answers["backlog_limit_share"] is None


def test_bytes_count_as_unread_only_if_they_stay() -> None:
    """A buffer that is empty at one reading is being read."""
    open_ = Socket(1, ESTABLISHED, HERE, THERE, 0, 700)
    assert judge(Reading(((open_,), (open_._replace(receive=0),)))).answers["receive_waiting_bytes"] == 0.0
    assert judge(Reading(((open_,), (open_,)))).answers["receive_waiting_bytes"] == 700.0


def test_the_commonest_peer_is_named() -> None:
    """Outgoing connections by address and port."""
    many = tuple(Socket(i, ESTABLISHED, ("10.0.0.1", 40000 + i), THERE, 0, 0) for i in range(3))
    other = Socket(9, ESTABLISHED, ("10.0.0.1", 50000), ("10.0.0.7", 6379), 0, 0)
    found = judge(Reading(((*many, other),)))
    assert (found.answers["peer_top_share"], found.culprits["peer_top_share"][0].address) == (0.75, "10.0.0.9:5432")


async def test_our_own_listener_is_found(tools: ProbeTools) -> None:
    """A real listener of this process with one connection waiting."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        evidence = await Probe(seconds=0.2).look(Target("process", pid=os.getpid()), tools)
    assert evidence.answers["backlog_waiting"] == 1.0
