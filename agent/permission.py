"""What playbooks may do on this host, and who may let them: the section ``playbooks`` of config.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Literal
from urllib.parse import urlsplit

from agent.dataclass import dataclass
from agent.errors import Problem
from agent.yamlfile import Seconds, Text

EMPTY = Text("")
Role = Literal["operator", "approver", "admin"]
ROLES: tuple[Role, ...] = ("operator", "approver", "admin")
"""Each may do what those before it may."""
NOBODY = ("anfl-agent", "guard", "policy")
"""How the audit calls those who are no person."""


@dataclass(frozen=True)
class Approver:
    """Somebody who may agree to what playbooks propose, or refuse it.

    A local ``user`` or ``group`` says so with ``anfl-agent approve`` (the kernel tells who asks); a named person on the page of the
    link, with a code of an authenticator (TOTP). A user may have such a secret too.
    """

    user: Text = EMPTY
    group: Text = EMPTY
    name: Text = EMPTY
    role: Role = "approver"
    totp_file: str = ""
    totp_credential: str = ""

    @property
    def coded(self) -> bool:
        """Whether they have a second factor."""
        return bool(self.totp_file or self.totp_credential)


@dataclass(frozen=True)
class Permit:
    """Who else is asked before anything disruptive: a ``url`` or a ``command``. Anything but a clear yes in time is a no."""

    url: str = field(default="", repr=False)
    command: tuple[str, ...] = ()
    secret_file: str = ""
    secret_credential: str = ""
    timeout: Seconds = 5.0


@dataclass(frozen=True)
class Playbooks:
    """The most any playbook may do on this host, whatever it asks for itself; where tickets and scaling are asked for."""

    ceiling: Literal["dry-run", "propose", "auto"] = "dry-run"
    webhook: str = field(default="", repr=False)
    url: str = ""
    approvers: tuple[Approver, ...] = ()
    permit: Permit = Permit()
    key_file: str = ""
    key_credential: str = ""


def check(playbooks: Playbooks, file: str, problems: list[Problem]) -> None:
    """Mistakes that only show in the whole."""
    for one in playbooks.approvers:
        given = [text for text in (one.user, one.group, one.name) if text]
        for text, help in _mistakes(one, len(given)):
            problems.append(given[0].node.problem(text, help) if given else Problem(file, 0, 0, text, help))
    problems += [Problem(file, 0, 0, text, help) for text, help in _wholly(playbooks)]


def _mistakes(one: Approver, given: int) -> Iterable[tuple[str, str]]:
    if given != 1:
        yield "an approver is one of user, group, name", "one line for each"
        return
    if one.name and not one.coded:
        yield f"approver '{one.name}' needs totp_file or totp_credential", "on the page people are known by a code"
    if one.group and one.coded:
        yield "a group has no codes of its own", "name its members"
    if one.totp_file and one.totp_credential:
        yield "an approver has totp_file or totp_credential, not both", ""
    if (one.name or one.user) in NOBODY:
        yield f"approver '{one.name or one.user}' is no person", "whoever proposes cannot agree"


def _wholly(playbooks: Playbooks) -> Iterable[tuple[str, str]]:
    who = [one.name or one.user for one in playbooks.approvers if not one.group]
    if doubled := sorted({name for name in who if who.count(name) > 1}):
        yield f"playbooks.approvers: '{doubled[0]}' is there twice", "one line a person"
    if playbooks.url and (urlsplit(playbooks.url).scheme not in ("http", "https") or not urlsplit(playbooks.url).hostname):
        yield "playbooks.url must begin with https:// (or http://)", "the address under which people reach the agent's page"
    if playbooks.url and not any(one.coded for one in playbooks.approvers):
        yield "playbooks.url: nobody could agree on that page", "name approvers with totp_file or totp_credential"
    permit = playbooks.permit
    if permit.url and permit.command:
        yield "playbooks.permit asks a url or a command, not both", ""
    if permit.url and not permit.url.startswith(("http://", "https://")):
        yield "playbooks.permit.url must begin with http:// or https://", ""
    if permit.command and not permit.command[0].startswith("/"):
        yield "playbooks.permit.command: the program needs its whole path", "such as [/usr/local/sbin/may-act]"


DEFAULT = Playbooks()
