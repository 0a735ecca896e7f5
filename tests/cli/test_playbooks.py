"""``anfl-agent playbooks``, ``approve``, ``deny``, ``pause`` and ``audit`` as far as they need no agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.host.keyfile import Keyring
from agent.store.audit import AuditFile, Entry, link
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
        ("audit", "tail"),
        ("audit", "verify"),
        ("playbooks", "list"),
        ("playbooks", "history"),
        ("playbooks", "undo", "1"),
        ("playbooks", "reset", "-m", "x"),
        ("playbooks", "run", "recycle-worker", "-i", "1", "--dry-run"),
    ],
)
def test_without_an_agent_there_is_nobody_to_ask(call: Call, args: tuple[str, ...], tmp_path: Path) -> None:
    """Exit 3, with how to start one."""
    (tmp_path / "config.yaml").write_text(f"socket: {tmp_path}/none.sock\nstate_dir: {tmp_path}\n")
    done = call("--config", str(tmp_path / "config.yaml"), *args)
    assert (done.code, "no agent runs here" in done.err) == (3, True), done.err


def test_a_copy_of_the_audit_is_verified_without_an_agent(call: Call, tmp_path: Path) -> None:
    """Whole, against a head, and with a record that was changed."""
    (tmp_path / "key").write_text("k" * 64)
    key = Keyring(str(tmp_path / "none"), file=str(tmp_path / "key")).key("audit")
    path, before = tmp_path / "audit.jsonl", ""
    file = AuditFile(str(path), key)
    for seq in (1, 2, 3):
        before = link(before, seq, 1.0, "ada", "run 1 approved", "{}")
        file.append([Entry(seq, 1.0, "ada", "run 1 approved", "{}", before)])
    given = ("audit", "verify", "--file", str(path), "--key", str(tmp_path / "key"))
    done = call(*given, "--head", f"3:{before[:12]}")
    assert (done.code, done.out) == (0, f"3 records: whole; head 3:{before[:12]}\n")
    assert call(*given, "--head", f"4:{before[:12]}").code == 1
    assert call(*given, "--head", "x").code == 2
    path.write_bytes(path.read_bytes().replace(b"ada", b"eve", 1))
    done = call(*given)
    said = "BROKEN, line 1: record 1 was changed, or what stood before it; whole up to record 0\n"
    assert (done.code, done.out) == (1, said)
