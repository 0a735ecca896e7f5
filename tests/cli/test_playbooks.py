"""``anfl-agent playbooks``, ``approve``, ``deny``, ``pause`` and ``audit`` as far as they need no agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call


def test_a_playbook_is_shown_whole(call: Call) -> None:
    """With the mode in force, which as installed is dry-run."""
    told = json.loads(call("playbooks", "show", "recycle-worker", "--json").out)
    assert (told["schema"], told["mode"], told["in_force"], told["allow"]) == ("anfl.playbook/1", "propose", "dry-run", [])
    assert [s["do"] for s in told["steps"]] == ["capture_evidence", "restart_unit"]
    assert "in_force     dry-run" in call("playbooks", "show", "recycle-worker").out


def test_all_of_them_are_checked(call: Call, tmp_path: Path) -> None:
    """Those of the site too."""
    assert call("playbooks", "check").out.endswith(" playbooks: ok\n")
    (tmp_path / "playbooks.d").mkdir()
    (tmp_path / "playbooks.d" / "x.yaml").write_text("playbook: x\n")
    (tmp_path / "config.yaml").write_text("{}\n")
    done = call("--config", str(tmp_path / "config.yaml"), "playbooks", "check")
    assert (done.code, "x.yaml:1:1: 'title' is missing" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("playbooks", "show", "nothing"), "there is no playbook 'nothing'"),
        (("pause",), "say either --for or --off"),
        (("pause", "--for", "1h", "--off"), "say either --for or --off"),
        (("approve", "0"), "0 is not in the range"),
        (("deny", "x"), "is not a valid"),
    ],
)
def test_what_cannot_be_meant_is_refused(call: Call, args: tuple[str, ...], said: str) -> None:
    """Exit 2."""
    done = call(*args)
    assert (done.code, said in done.err) == (2, True)


@pytest.mark.parametrize(
    "args",
    [
        ("approve", "1"),
        ("deny", "1"),
        ("pause", "--for", "1h", "-m", "x"),
        ("audit",),
        ("playbooks", "list"),
        ("playbooks", "history"),
        ("playbooks", "undo", "1"),
        ("playbooks", "reset", "-m", "x"),
        ("playbooks", "run", "recycle-worker", "-i", "1", "--dry-run"),
    ],
)
def test_without_an_agent_there_is_nobody_to_ask(call: Call, args: tuple[str, ...], tmp_path: Path) -> None:
    """Exit 3, with how to start one."""
    (tmp_path / "config.yaml").write_text(f"socket: {tmp_path}/none.sock\n")
    done = call("--config", str(tmp_path / "config.yaml"), *args)
    assert (done.code, "no agent runs here" in done.err) == (3, True), done.err
