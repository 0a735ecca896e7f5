"""Calls of the real command, and processes to point it at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import NOBODY, Command

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that any user may enter."""
    made = Path(tempfile.mkdtemp(prefix="anfl-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def agent(home: Path) -> Command:
    """The command as this user, with defaults below its own folder and no daemon to ask."""
    command = Command(home)
    command.config(f"state_dir: {home}/state\nsocket: {home}/agent.sock\n")
    return command


@pytest.fixture
def nobody(home: Path) -> Command:
    """The command as a user without rights: nobody where this is root, else this user."""
    if os.geteuid() != 0:
        return Command(home)
    os.chown(home, NOBODY, NOBODY)
    for python in (sys.executable, "/usr/bin/python3"):
        command = Command(home, python, NOBODY)
        if _runs(command):
            return command
    pytest.skip("no interpreter that the user nobody may run")


def _runs(command: Command) -> bool:
    """Whether that user may run that interpreter, and the packages of this one fit it."""
    check = "import sys, click, aiohttp, ruamel.yaml; print(sys.version_info[:2])"
    try:
        done = subprocess.run(
            [command.python, "-c", check],
            env=command.env(),
            cwd=command.home,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            capture_output=True,
            text=True,
        )
    except OSError:
        return False
    return done.stdout.strip() == str(sys.version_info[:2])


@pytest.fixture
def patient() -> Iterator[Start]:
    """Starts programs that the agent is pointed at, and ends them."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
