"""Real targets for the probes: small programs that are started, watched for READY, and always ended."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.host.tools import ProbeTools
from agent.model import Target

Start = Callable[[str], Target]


@pytest.fixture
def tools(tmp_path: Path) -> ProbeTools:
    """Folders of their own for one test."""
    folder = tmp_path / "artifacts"
    folder.mkdir(mode=0o700)
    return ProbeTools(str(folder), str(folder))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a Python program that prints READY, and name it as a target."""
    running: list[subprocess.Popen[bytes]] = []

    def launch(source: str) -> Target:
        path = tmp_path / "app.py"
        path.write_text(textwrap.dedent(source))
        process = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"READY"
        return Target("process", pid=process.pid)

    yield launch
    for process in running:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
