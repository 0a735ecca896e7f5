"""Queues at real sockets of this process, in the network it lives in."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from agent.collectors import listeners
from agent.collectors.listeners import Collector, first_of, owners
from agent.host import sockets
from agent.model import Sample
from tests.fakes.clock import FakeClock


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """A listening socket nobody accepts on."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as made:
        if made.getsockname()[1] not in {one.port for one in sockets.listeners().values()}:
            pytest.skip("this kernel does not tell of listeners")
        yield made


@pytest.fixture
def collector() -> Collector:
    """One on a clock that stands until it is moved."""
    made = Collector()
    made.clock = FakeClock()
    return made


def pass_time(collector: Collector, seconds: float) -> None:
    """Let the collector's clock move on."""
    asyncio.run(cast(FakeClock, collector.clock).advance(seconds))


def look(collector: Collector, times: int = 1) -> dict[str, float]:
    """What this process's series say after so many looks."""
    found: dict[str, float] = {}
    for _ in range(times):
        samples = [item for item in collector.collect() if isinstance(item, Sample)]
        found = {s.series.name: s.value for s in samples if dict(s.series.labels)["pid"] == str(os.getpid())}
        pass_time(collector, 2.0)
    return found


def test_connections_that_nobody_accepts_are_counted(port: socket.socket, collector: Collector) -> None:
    """Three looks at which they wait are needed before anybody asks whose they are; once accepted, none waits."""
    with ExitStack() as clients:
        for _ in range(2):
            clients.enter_context(socket.create_connection(port.getsockname()))
        assert look(collector, 2) == {}
        assert (look(collector))["process_connections_waiting"] == 2.0
        for _ in range(2):
            clients.enter_context(port.accept()[0])
        assert (look(collector))["process_connections_waiting"] == 0.0


def test_requests_that_nobody_reads_are_counted(port: socket.socket, collector: Collector) -> None:
    """They are looked for from time to time only; one that is read is none."""
    with socket.create_connection(port.getsockname()) as client, port.accept()[0] as served:
        client.sendall(b"GET")
        seen = [look(collector) for _ in range(200)]
        assert {"process_connections_waiting": 0.0, "process_connections_unread": 1.0} in seen
        assert {"process_connections_waiting": 0.0} in seen
        assert sockets.unread({port.getsockname()[1]}) == {port.getsockname()[1]: 1}
        served.recv(10)
        assert sockets.unread({port.getsockname()[1]}) == {}


def test_an_owner_that_is_not_found_is_searched_for_ever_more_seldom(
    port: socket.socket, collector: Collector, tmp_path: Path
) -> None:
    """After 30 s, 60 s, 120 s and so on: a search reads every process's descriptors."""
    collector.proc = str(tmp_path)  # nobody is to be seen here
    with socket.create_connection(port.getsockname()):
        assert look(collector, 50) == {}  # 100 s: three searches
        collector.proc = "/proc"
        assert look(collector, 50) == {}
        assert look(collector, 40)["process_connections_waiting"] == 1.0


def test_a_port_that_is_closed_or_calm_for_long_is_forgotten(port: socket.socket, collector: Collector) -> None:
    """Its series end."""
    with socket.create_connection(port.getsockname()):
        assert look(collector, 3)
        with port.accept()[0]:
            assert look(collector)
            pass_time(collector, listeners.CALM_S)
            assert look(collector) == {}


def test_a_socket_is_its_holders(port: socket.socket) -> None:
    """By inode; others' are left out."""
    inode = os.fstat(port.fileno()).st_ino
    assert os.getpid() in owners({inode})[inode]
    assert owners({1}) == {}


def test_of_several_the_one_that_started_the_others_is_named() -> None:
    """A parent comes before its children, whatever their numbers; of those that are gone the first."""
    assert first_of([os.getpid(), os.getppid()]) == os.getppid()
    assert first_of([os.getpid()]) == os.getpid()
    assert first_of([4194999, 4194998]) == 4194998
