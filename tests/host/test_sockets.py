"""TCP sockets as the kernel lists them."""

from __future__ import annotations

import os
import socket

from agent.host.sockets import LISTEN, backlog_limits, inodes, parse, same_network, table

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
