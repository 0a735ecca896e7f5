"""What holds for every test: nothing of ours blocks the event loop, nothing is left running behind a test."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster
from hypothesis import settings

LEAVE_S = 2.0
settings.register_profile("anfl", deadline=None)  # 200 ms an example pass anywhere but on a busy machine
settings.load_profile("anfl")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that boot a system of their own run only when they are asked for: ``pytest -m boot``."""
    if "boot" not in config.option.markexpr:
        left = [item for item in items if item.get_closest_marker("boot") is not None]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.fixture(scope="session", autouse=True)
def _no_blocking_calls() -> Iterator[None]:
    """A blocking call on the event loop from code under agent/ raises BlockingError."""
    watcher = BlockBuster("agent")
    for function in watcher.functions.values():
        # InlineLane runs the blocking side on the loop on purpose: it is what makes tests on the fake clock deterministic.
        function.can_block_in("agent/host/lane.py", {"run"})
        # /proc/PID/status is answered from memory and takes no lock of the target.
        function.can_block_in("agent/web/api.py", {"_owner"})
        # The socket's folder is a tmpfs, touched once at start and once at the end.
        function.can_block_in("agent/web/sock.py", {"_bind", "stop"})
        # The doctor is a command of its own; it has the loop to itself.
        function.can_block_in("agent/checkup.py", {"doctor"})
        function.can_block_in("agent/reports/doctor.py", {"bundles"})
    watcher.activate()
    yield
    watcher.deactivate()


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """A test that leaves a child process or a non-daemon thread behind fails."""
    children, threads = _children(), set(threading.enumerate())
    yield
    deadline = time.monotonic() + LEAVE_S  # an ending child or thread gets a moment
    while (left := _left(children, threads)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left, f"left behind: {', '.join(left)}"


def _left(children: set[int], threads: set[threading.Thread]) -> list[str]:
    found = [f"process {pid}" for pid in sorted(_children() - children)]
    # A daemon thread may hang in the kernel and is never waited for: lanes are made of them.
    return found + [f"thread {t.name}" for t in threading.enumerate() if t not in threads and not t.daemon]


def _children() -> set[int]:
    found: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children") as file:
                found.update(map(int, file.read().split()))
        except FileNotFoundError:  # the thread ended meanwhile, or the kernel has no such file
            continue
    return found
