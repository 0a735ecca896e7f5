"""``anfl-agent run``: what its log looks like, and how it ends."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import pytest

from agent import config, daemon
from agent.cli.run import CRASHED, set_up_logging
from agent.config import Config
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


def test_the_journal_adds_the_time_itself_and_is_told_the_priority(capsys: pytest.CaptureFixture[str]) -> None:
    """Of every line of a traceback, too: 'journalctl -p warning' shows all that is one, and no process name can pass for one."""
    with bare_logging():
        set_up_logging(2, journal=True)
        logging.getLogger("anfl.x").debug("begun by %s", "a\n<0>b")
        logging.getLogger("anfl.x").warning("late")
        try:
            raise ValueError("of ours")
        except ValueError:
            logging.getLogger("anfl.x").exception("failed")
    begun, late, *failed = capsys.readouterr().err.splitlines()
    assert (begun[:13], late) == ("<7>begun by a", "<4>late")
    assert failed[0] == "<3>failed"
    assert len(failed) > 3
    assert all(line.startswith("<3>") for line in failed)


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


def test_a_run_that_is_interrupted_before_it_listens_for_signals_ends_as_every_command(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a traceback, with the code of SIGINT."""

    def interrupted(explicit: str | None) -> Config:
        raise KeyboardInterrupt

    monkeypatch.setattr(config, "load", interrupted)
    assert call("run").code == 130
