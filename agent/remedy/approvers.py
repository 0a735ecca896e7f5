"""People who decide about playbooks: who they are, what they may agree to, and whether a code is theirs."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from agent.dataclass import dataclass
from agent.errors import ConfigError
from agent.host.keyfile import read_secret
from agent.permission import ROLES, Approver, Role
from agent.remedy.codes import NOBODY, counter_of

log = logging.getLogger("anfl.remedy")

_DUMMY = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@dataclass(frozen=True)
class Voice:
    """Somebody who decides. ``name`` stands in the audit; ``identity`` is the same whatever way they come in."""

    name: str
    identity: str = ""
    role: Role = "admin"

    @property
    def who(self) -> str:
        """What counts as one person."""
        return self.identity or self.name

    def may(self, role: Role) -> bool:
        """Whether theirs is that role, or one above it."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class Code:
    """A code somebody gave, compared with their secret; ``counter`` is the step of time it is right for, None if it is wrong."""

    who: str
    counter: int | None


class Approvers:
    """The configured ones."""

    def __init__(self, approvers: tuple[Approver, ...], env: Mapping[str, str] = os.environ) -> None:
        self.all = approvers
        self._env = env

    def by_code(self, name: str, code: str, now: float) -> tuple[Voice, Code]:
        """Who that is, and their code. A name that nobody has costs the same time as a wrong code. Reads a file."""
        one = next((a for a in self.all if a.coded and name and name in (a.name, a.user)), None)
        secret = _DUMMY if one is None else self._secret(one)
        try:
            counter = counter_of(secret or _DUMMY, code, now)
        except ConfigError as error:
            log.error("codes of approver '%s' cannot be checked: %s", name, error)
            counter = None
        if one is None or not secret:
            return Voice(NOBODY, role="operator"), Code(NOBODY, None)
        return Voice(name, role=one.role), Code(name, counter)

    def _secret(self, one: Approver) -> str:
        try:
            lines = read_secret(one.totp_file, one.totp_credential, self._env).splitlines()
        except ConfigError as error:
            log.error("codes of approver '%s' cannot be checked: %s", one.name or one.user, error)
            return ""
        return next((line.strip() for line in lines if line.strip() and not line.startswith("#")), "")
