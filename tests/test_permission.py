"""Who may let playbooks act, as config.yaml says it."""

from __future__ import annotations

import pytest

from agent.config import parse_config
from agent.configtext import show
from agent.errors import Problems


def test_users_groups_and_people_with_a_code_may_agree() -> None:
    """And what is secret of it is never shown."""
    text = """
playbooks:
  url: https://n1.example/anfl
  approvers: [{user: ada, role: admin}, {group: sre}, {name: grace, totp_file: /x}]
  permit: {url: "https://locks.example/?key=s3cret", timeout: 3s}
"""
    config = parse_config(text, "c.yaml")
    assert [(a.user or a.group or a.name, a.role, a.coded) for a in config.playbooks.approvers] == [
        ("ada", "admin", False),
        ("sre", "approver", False),
        ("grace", "approver", True),
    ]
    assert "s3cret" not in str(show(config)) + repr(config)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("approvers: [{role: admin}]", "an approver is one of user, group, name"),
        ("approvers: [{user: a, group: b}]", "c.yaml:1:32: an approver is one of user, group, name"),
        ("approvers: [{name: grace}]", "'grace' needs totp_file"),
        ("approvers: [{group: sre, totp_file: /x}]", "a group has no codes"),
        ("approvers: [{user: a, totp_file: /x, totp_credential: y}]", "not both"),
        ("approvers: [{name: anfl-agent, totp_file: /x}]", "is no person"),
        ("approvers: [{user: a}, {name: a, totp_file: /x}]", "'a' is there twice"),
        ("approvers: [{user: a, role: king}]", "'king'"),
        ("url: n1.example, approvers: [{name: grace, totp_file: /x}]", "must begin with https://"),
        ("url: https://n1.example", "nobody could agree on that page"),
        ("permit: {url: https://x, command: [/bin/true]}", "not both"),
        ("permit: {url: ftp://x}", "must begin with http"),
        ("permit: {command: [may-act]}", "whole path"),
    ],
)
def test_a_mistake_is_said_where_it_stands(given: str, said: str) -> None:
    """Before anything could depend on it."""
    with pytest.raises(Problems) as wrong:
        parse_config(f"playbooks: {{{given}}}\n", "c.yaml")
    assert said in str(wrong.value)
