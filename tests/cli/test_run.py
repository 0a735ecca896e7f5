"""``anfl-agent run``: what its log looks like, and how it ends."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import daemon
from agent.cli import _running
from agent.cli._group import cli
from agent.cli._running import CRASHED, Asked, asked, set_up_logging
from agent.errors import AgentError
from tests.cli.conftest import Call


@contextlib.contextmanager
def bare_logging() -> Iterator[None]:
    """Logging as it is before a run sets it up, and afterwards as it was."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    root.handlers = []
    try:
        yield
    finally:
        root.handlers = before
        root.setLevel(level)


def test_one_event_is_one_line_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    """A process name cannot forge another event."""
    with bare_logging():
        set_up_logging(0, journal=False)
        logging.getLogger("anfl.x").warning("process %s ended", "a\n2026-01-01 00:00:00,000 WARNING forged\x1b[2J")
        logging.getLogger("anfl.x").debug("not shown")
    [line] = capsys.readouterr().err.splitlines()
    assert " WARNING process a" in line
    assert "\x1b" not in line


def test_the_journal_adds_the_time_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """And knows the unit."""
    with bare_logging():
        set_up_logging(2, journal=True)
        logging.getLogger("anfl.x").debug("begun")
    assert capsys.readouterr().err == "begun\n"


class Broken:
    """A daemon that ends as it is told."""

    error: Exception = AgentError("another agent answers", help="stop it first")

    def __init__(self, config: object, *, listen: str | None = None, insecure: bool = False) -> None:
        self.insecure = insecure

    async def run(self) -> None:
        raise self.error


def test_a_failed_organ_ends_the_agent_with_its_traceback_in_the_log(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service manager starts it anew; what a person can mend is one message as everywhere."""
    monkeypatch.setattr(daemon, "Daemon", Broken)
    with bare_logging():
        done = call("run")
    assert (done.code, done.err) == (1, "anfl-agent: another agent answers\n  help: stop it first\n")
    monkeypatch.setattr(Broken, "error", ExceptionGroup("unhandled", [ValueError("in the judge")]))
    with bare_logging():
        done = call("run")
    assert done.code == CRASHED
    assert "an organ of the agent failed; the agent ends" in done.err
    assert "ValueError: in the judge" in done.err


PLAIN = (
    "run",
    "run --listen 127.0.0.1:1",
    "run --listen=:0 --insecure",
    "run --insecure --listen a --listen b",
    "--config /x run",
    "--config=/a=b -v run --insecure",
    "--config /a --config /b -vv --verbose run",
    "-vvv run --listen=",
)
FOR_CLICK = (
    "",
    "--help",
    "run --help",
    "run -h",
    "run -v",
    "run --config /x",
    "run --listen",
    "run --listen --insecure",
    "run --insecure=yes",
    "run now",
    "run run",
    "--listen a run",
    "--config",
    "--config run",
    "--config -x run",
    "-vx run",
    "-v- run",
    "--version",
    "-- run",
    "status",
    "drill run",
)


@pytest.mark.parametrize("environment", [None, "", "/of/the/environment"])
@pytest.mark.parametrize("line", PLAIN)
def test_a_plain_run_is_understood_as_click_would(line: str, environment: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both readers of the command line come to the same options."""
    if environment is None:
        monkeypatch.delenv("ANFL_CONFIG", raising=False)
    else:
        monkeypatch.setenv("ANFL_CONFIG", environment)
    given: list[Asked] = []
    monkeypatch.setattr("agent.cli.run.run", given.append)
    cli.main(line.split(), prog_name="anfl-agent", standalone_mode=False)
    assert given == [asked(line.split())]


@pytest.mark.parametrize("line", FOR_CLICK)
def test_anything_else_is_left_to_click(line: str) -> None:
    """Help, other commands and every mistake: it says what is wrong."""
    assert asked(line.split()) is None


def test_a_run_that_is_interrupted_before_it_listens_for_signals_ends_as_every_command(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a traceback, with the code of SIGINT."""

    def interrupted(given: Asked) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(_running, "run", interrupted)
    assert call("run").code == 130


APART = """
import sys
from agent import config
from agent.cli import _running
from agent.errors import Problems
from agent.yamlnodes import parse
path = sys.argv[1]
given = config.load(path, {}, _running._parsed)
print("ruamel.yaml" in sys.modules)
text = open(path).read()
assert given == config.load(path, {}) and _running._parsed(text, path) == parse(text, path)
told = []
for parser in (_running._parsed, parse):
    try:
        parser(text + "\\nlisten: [", path)
    except Problems as wrong:
        told.append(str(wrong))
assert told[0] == told[1]
"""


@pytest.mark.real
def test_the_configuration_is_read_without_keeping_its_parser(tmp_path: Path) -> None:
    """Where rules were parsed before: it comes out the same, mistakes too. A first start needs the parser anyway."""
    file, state = tmp_path / "config.yaml", tmp_path / "state"
    file.write_text(f"listen: 127.0.0.1:1\nstate_dir: {state}\nbudget:\n  history: 30m  # half\n")
    argv = [sys.executable, "-c", APART, str(file)]
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run(argv, check=True, capture_output=True, text=True, cwd=root).stdout == "True\n"
    state.mkdir()
    (state / "rules.parsed").touch()
    assert subprocess.run(argv, check=True, capture_output=True, text=True, cwd=root).stdout == "False\n"
