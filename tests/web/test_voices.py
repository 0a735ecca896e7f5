"""Who at the socket may decide about playbooks."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from agent.host import procs
from agent.permission import Approver
from agent.remedy.approvers import Approvers, Voice
from agent.remedy.model import ITSELF
from agent.web import peer
from agent.web.peer import Peer
from agent.web.voices import Voices
from agent.yamlfile import Text

ME = os.getuid()
MINE = Peer(os.getpid(), ME, os.getgid())


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a service or a container has it."""
    monkeypatch.setattr(peer, "login", lambda who, proc="/proc": None)


def voices(*approvers: Approver, own: int = -1) -> Voices:
    """With these configured."""
    return Voices(Approvers(approvers), own=own)


def user(name: str, role: str = "approver") -> Approver:
    """A local user."""
    return Approver(user=Text(name), role=role)  # type: ignore[arg-type]


def test_without_approvers_those_who_may_see_all_may_decide() -> None:
    """Root, the agent's user, the group anfl-agent; nobody else."""
    assert voices().of(MINE) == Voice(procs.user_name(ME), procs.user_name(ME))
    assert voices().of(Peer(1, 54321, 54321)) is None


def test_with_approvers_only_those_may_and_with_the_best_of_their_roles() -> None:
    """By user or by group, as the kernel has them."""
    name, group = procs.user_name(ME), grp.getgrgid(os.getgid()).gr_name
    assert voices(user("somebody-else")).of(MINE) is None
    both = voices(user(name, "operator"), Approver(group=Text(group), role="admin"))
    assert both.of(MINE) == Voice(name, name, "admin")
    assert both.of(Peer(1, 54321, 54321, frozenset({os.getgid()}))) == Voice("54321", "54321", "admin")
    assert voices(Approver(group=Text("no-such-group"))).of(MINE) is None
    assert voices(Approver(name=Text(name), totp_file="/x")).of(MINE) is None


def test_the_agent_itself_is_no_approver() -> None:
    """Its own user with no login behind it; with one it is the person who started it."""
    somebody = Peer(os.getpid(), 54321, 54321)
    assert voices(user("54321"), own=54321).of(somebody) == Voice(ITSELF)


def test_root_is_the_person_who_logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ada does not become two by sudo."""
    monkeypatch.setattr(peer, "login", lambda who, proc="/proc": 54321)
    assert voices(user("root")).of(Peer(1, 0, 0)) == Voice("54321 as root", "54321", "approver")


def test_a_login_is_read_as_the_kernel_kept_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None for services."""
    monkeypatch.undo()
    (tmp_path / "7").mkdir()
    for text, found in (("1000", 1000), (str(peer.NO_LOGIN), None), ("", None)):
        (tmp_path / "7" / "loginuid").write_text(text)
        assert peer.login(Peer(7, 0, 0), str(tmp_path)) == found
    assert peer.login(Peer(8, 0, 0), str(tmp_path)) is None
