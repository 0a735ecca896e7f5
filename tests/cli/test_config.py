"""``anfl-agent config``."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Call


def test_what_init_writes_is_a_configuration_that_changes_nothing(call: Call, tmp_path: Path) -> None:
    """Every key is there as a comment; an existing file is not replaced by chance."""
    path = tmp_path / "new" / "config.yaml"
    assert call("config", "init", str(path)).out == f"{path}\n"
    assert call("--config", str(path), "config", "check").out == f"{path}: ok\n"
    path.write_text("listen: 127.0.0.1:1\n")
    done = call("config", "init", str(path))
    assert (done.code, "--force replaces it" in done.err) == (1, True)
    call("config", "init", str(path), "--force")
    assert "listen: 127.0.0.1:1\n" not in path.read_text()


def test_init_into_a_place_that_cannot_be_written_is_told(call: Call, tmp_path: Path) -> None:
    """Here a file is in the way."""
    (tmp_path / "file").write_text("")
    done = call("config", "init", str(tmp_path / "file" / "config.yaml"))
    assert (done.code, "cannot write" in done.err) == (1, True)


def test_the_configuration_in_force_is_shown_without_secrets(call: Call, tmp_path: Path) -> None:
    """With its defaults and its source."""
    path = tmp_path / "config.yaml"
    path.write_text("listen: 127.0.0.1:9999\nreceivers: [{url: 'https://user:hunter2@host/'}]\nprobes: {pyspy: {seconds: 3s}}\n")
    text = call("--config", str(path), "config", "show").out
    assert text.startswith(f"# from {path}\n")
    assert "listen: 127.0.0.1:9999" in text
    assert "budget:\n  cpu: 0.02" in text
    shown = call("--config", str(path), "config", "show", "--json").out
    document = json.loads(shown)
    assert (document["schema"], document["path"]) == ("anfl.config/1", str(path))
    assert document["probes"] == {"pyspy": {"seconds": "3s"}}
    assert document["receivers"] == "1 configured"
    assert "hunter2" not in text + shown


def test_a_check_says_which_file_was_read(call: Call, tmp_path: Path) -> None:
    """A path given outright goes before --config."""
    path = tmp_path / "config.yaml"
    path.write_text("collectors: {disk: {interval: 2s}}\n")
    assert json.loads(call("config", "check", str(path), "--json").out) == {
        "schema": "anfl.config-check/1",
        "path": str(path),
        "ok": True,
    }


def test_a_check_finds_an_address_that_a_start_would_refuse(call: Call, tmp_path: Path) -> None:
    """What passes the check must start."""
    path = tmp_path / "config.yaml"
    path.write_text("listen: somewhere\n")
    done = call("config", "check", str(path))
    assert (done.code, "'somewhere' is not host:port" in done.err) == (2, True)
    path.write_text("listen: 0.0.0.0:9477\n")  # 'run --insecure' takes it
    assert call("config", "check", str(path)).code == 0
