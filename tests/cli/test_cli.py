"""The frame of the command line."""

from __future__ import annotations

import json

import pytest

from agent.cli import cli, main


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one call."""
    with pytest.raises(SystemExit) as done:
        main(list(args))
    out = capsys.readouterr()
    return int(done.value.code or 0), out.out, out.err


def test_help_lists_every_command_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """No command is left without a word of help."""
    code, out, _ = run(capsys, "--help")
    assert code == 0
    listed = out.split("Commands:")[1].strip().splitlines()
    assert all(len(line.split(None, 1)) == 2 for line in listed), listed


def test_every_command_imports_and_answers_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Each file of the folder is a working command."""
    import click

    for name in cli.list_commands(click.Context(cli)):
        code, out, _ = run(capsys, name, "--help")
        assert (code, "Usage:" in out) == (0, True), name


def test_an_unknown_command_is_met_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    """Usage errors exit 2 and help."""
    code, _, err = run(capsys, "file")
    assert code == 2
    assert "did you mean 'files'?" in err


def test_with_json_even_a_failure_is_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts can always parse stdout."""
    code, out, err = run(capsys, "config", "check", "/nowhere.yaml", "--json")
    document = json.loads(out)
    assert (code, err) == (2, "")
    assert document["schema"] == "anfl.error/1"
    assert document["exit_code"] == 2
    assert "/nowhere.yaml" in document["message"]


def test_files_lists_what_ships_and_prints_one(capsys: pytest.CaptureFixture[str]) -> None:
    """An administrator finds the unit and the rules."""
    code, out, _ = run(capsys, "files")
    assert code == 0
    assert "rules/memory.yaml" in out.splitlines()
    code, out, _ = run(capsys, "files", "systemd/anfl-agent.service")
    assert "[Service]" in out
    code, _, err = run(capsys, "files", "rules/none.yaml")
    assert (code, "no shipped file" in err) == (2, True)
    assert "did you mean 'rules/memory.yaml'?" in run(capsys, "files", "rules/memry.yaml")[2]
    code, out, err = run(capsys, "files", "systemd")
    assert (code, out) == (2, "")
    assert "name one (systemd/anfl-agent-acts.conf, systemd/anfl-agent.service, " in err


@pytest.mark.parametrize("words", [[], ["incidents"], ["sim", "gpu"]])
def test_a_command_without_its_command_shows_what_there_is(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """As help, not as an error in front of help."""
    with pytest.raises(SystemExit) as done:
        main(words)
    said = capsys.readouterr()
    assert (done.value.code, said.out) == (2, "")
    assert said.err.startswith("Usage: anfl-agent ")
    assert "Traceback" not in said.err
