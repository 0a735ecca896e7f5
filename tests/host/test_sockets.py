"""TCP sockets as the kernel lists them."""

from __future__ import annotations

import contextlib
import os
import socket
import time

import pytest

from agent.host.sockets import LISTEN, backlog_limits, inodes, listeners, parse, same_network, table, unread

TABLE = b"""  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 46 1 0000000083784 100 0 0 10 0
   1: 0100007F:1F90 0200007F:C350 01 00000010:00000400 00:00000000 00000000     0        0 47 1 0000000083784 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0 0 0 48 1
   3: broken
"""


def test_a_table_gives_addresses_queues_and_states_of_what_is_wanted() -> None:
    """Only wanted inodes are taken apart; an IPv4 address inside IPv6 reads as IPv4; torn lines are left out."""
    listener, open_, mapped = parse(TABLE, {46, 47, 48})
    assert (listener.local, listener.state, listener.receive) == (("127.0.0.1", 8080), LISTEN, 3)
    assert (open_.remote, open_.send, open_.receive) == (("127.0.0.2", 50000), 16, 1024)
    assert mapped.local == ("127.0.0.1", 80)
    assert parse(TABLE, ()) == []


def test_our_own_listener_shows_its_queue_and_its_limit() -> None:
    """A listener with one connection waiting, and the backlog it was given."""
    with socket.create_server(("127.0.0.1", 0), backlog=7) as server, socket.create_connection(server.getsockname()):
        held = inodes(os.getpid())
        (mine,) = [one for one in table(os.getpid(), held) if one.local == server.getsockname() and one.state == LISTEN]
        assert mine.receive == 1
        assert backlog_limits().get(mine.inode, 7) == 7
    assert same_network(os.getpid())


def test_one_look_tells_of_the_listeners_of_both_families_and_of_what_nobody_reads() -> None:
    """IPv4 and IPv6 alike: who listens, how many wait, and at which ports bytes lie that nobody has read."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0)))]
        with contextlib.suppress(OSError):  # a host without IPv6
            servers.append(stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6)))
        ports = {server.getsockname()[1] for server in servers}
        for server in servers:
            for _ in range(2):
                stack.enter_context(client := socket.create_connection(server.getsockname()[:2]))
                client.send(b"hello")
            stack.enter_context(server.accept()[0])
        if not (found := listeners()):
            pytest.skip("this kernel does not tell of listeners")
        until = time.monotonic() + 5
        while unread(ports) != dict.fromkeys(ports, 2) and time.monotonic() < until:
            time.sleep(0.01)
        assert unread(ports) == dict.fromkeys(ports, 2)
        found = listeners()
        assert {one.port: one.waiting for one in found.values() if one.port in ports} == dict.fromkeys(ports, 1)
