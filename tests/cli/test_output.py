"""What every command prints alike."""

from __future__ import annotations

import errno
import io
import json
import sys
import time

import pytest

from agent.cli import _output
from agent.cli._output import Progress, fail, plugin_failure, print_json, stdout_trouble, unexpected
from agent.errors import AgentError, ConfigError, Problem, Problems

WRONG = ConfigError("no such thing", help="name another", where="/etc/x.yaml:3:1")
SEVERAL = Problems([Problem("b.yaml", 2, 1, "second", "mend it"), Problem("a.yaml", 1, 5, "first")])


def test_an_error_is_one_message_with_its_place_and_mend(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr; stdout stays empty."""
    assert fail(WRONG, []) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "anfl-agent: /etc/x.yaml:3:1: no such thing\n  help: name another\n")


def test_several_mistakes_are_listed_as_compilers_do(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of files and lines."""
    assert fail(SEVERAL, []) == 1
    assert capsys.readouterr().err == "a.yaml:1:5: first\nb.yaml:2:1: second; mend it\n"


def test_with_json_an_error_is_a_document_alone_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """With every mistake on its own."""
    assert fail(WRONG, ["--json"]) == 2
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == {
        "schema": "anfl.error/1",
        "message": "no such thing",
        "help": "name another",
        "where": "/etc/x.yaml:3:1",
        "exit_code": 2,
    }
    fail(SEVERAL, ["--json"])
    assert [p["line"] for p in json.loads(capsys.readouterr().out)["problems"]] == [1, 2]


def test_a_monitoring_system_gets_unknown_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the error's own code."""
    assert fail(SEVERAL, ["--plugin", "--json"]) == 3
    assert capsys.readouterr().out == "ANFL UNKNOWN - a.yaml:1:5: first\n"
    assert plugin_failure(AgentError("a|b\x1b[2J")).count("|") == 0
    assert "\x1b" not in plugin_failure(AgentError("a\x1b[2J"))


def test_an_error_nobody_foresaw_is_told_in_one_line_and_in_full_only_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was found out: exit 3."""
    error = unexpected(KeyError("pid"), verbose=False)
    assert (error.exit_code, error.message) == (3, "this should not happen: KeyError: 'pid'")
    assert capsys.readouterr().err == ""
    try:
        raise KeyError("pid")
    except KeyError as raised:
        unexpected(raised, verbose=True)
    assert "Traceback" in capsys.readouterr().err


def test_trouble_with_stdout_is_told_from_trouble_with_a_file() -> None:
    """An error of a file names it."""
    assert stdout_trouble(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert stdout_trouble(OSError(errno.ENOSPC, "No space left"))
    assert not stdout_trouble(OSError(errno.ENOSPC, "No space left", "/var/x"))
    assert not stdout_trouble(ValueError("x"))


def test_json_holds_hostile_text_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal sees ASCII only; a lone surrogate does not break the document."""
    print_json({"name": "a\x1b[2J\u202e\ud800"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    with pytest.raises(ValueError):
        print_json({"value": float("nan")})


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_overwrites_itself_on_a_terminal_and_is_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quiet says nothing at all."""
    screen, log = Terminal(), io.StringIO()
    for stream in (screen, log):
        monkeypatch.setattr(sys, "stderr", stream)
        progress = Progress()
        progress("one")
        progress("two")
        progress.done()
        Progress(quiet=True)("three")
    assert screen.getvalue().count("\r") == 3
    assert "\n" not in screen.getvalue()
    assert log.getvalue() == "… one\n… two\n"


def test_a_log_is_not_told_of_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts come every few seconds; what is new comes at once. Looking at another process is new."""
    log, now = io.StringIO(), [100.0]
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = Progress()
    for second in range(8):
        progress(f"sampling {second} of 15 s")
        now[0] += 1.0
    progress("looking at pid 7")
    progress("looking at pid 8")
    assert log.getvalue() == "… sampling 0 of 15 s\n… sampling 5 of 15 s\n… looking at pid 7\n… looking at pid 8\n"


def test_colour_needs_a_terminal_and_no_objection(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR is honoured."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert _output.colour()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not _output.colour()
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.delenv("NO_COLOR")
    assert not _output.colour()
