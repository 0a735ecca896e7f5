"""What systemd is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.systemd import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """A listening end as systemd has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(2)
        yield end


def test_each_state_is_one_datagram(manager: socket.socket) -> None:
    """In the words of sd_notify(3); a status is one line."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    assert notifier.active
    notifier.ready("watching 500 processes")
    notifier.alive()
    notifier.status("two\nlines")
    notifier.stopping()
    got = [manager.recv(4096) for _ in range(4)]
    assert got == [b"READY=1\nSTATUS=watching 500 processes", b"WATCHDOG=1", b"STATUS=two lines", b"STOPPING=1"]
    notifier.reloading()
    assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")


def test_an_abstract_address_is_understood() -> None:
    """Containers get one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0anfl-test-{os.getpid()}")
        end.settimeout(2)
        Notifier({"NOTIFY_SOCKET": f"@anfl-test-{os.getpid()}"}).ready()
        assert end.recv(4096) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_without_a_manager_nothing_happens(address: str) -> None:
    """The agent runs just as well from a shell."""
    Notifier({"NOTIFY_SOCKET": address} if address else {}).ready()


@pytest.mark.parametrize(
    ("env", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_interval_is_ours_only(env: dict[str, str], seconds: float | None) -> None:
    """Another process's watchdog is none of ours."""
    assert Notifier(env).watchdog_s == seconds
