"""A reach over the real machine, and processes to act on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.host import procs
from agent.host.clock import SystemClock
from agent.host.reach import Reach
from agent.host.run import run
from agent.model import JsonObject, Target

Start = Callable[..., Target]


@pytest.fixture
def reach(tmp_path: Path) -> Reach:
    """What actions may use."""
    told: JsonObject = {"causes": [], "operation": "op-1"}
    return Reach(SystemClock(), run, str(tmp_path / "evidence"), told)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes that end with the test, as targets."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*argv: str, **more: Any) -> Target:
        process = subprocess.Popen(argv or ("sleep", "60"), stdout=subprocess.PIPE, **more)
        started.append(process)
        return Target("process", argv[0] if argv else "sleep", process.pid, procs.start_time(process.pid))

    yield begin
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
