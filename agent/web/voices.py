"""Who at the unix socket may decide about playbooks. The kernel says who is there; nothing is taken from the caller's words."""

from __future__ import annotations

import grp
import os

from agent.host import procs
from agent.permission import ROLES, Approver
from agent.remedy.approvers import Approvers, Voice
from agent.remedy.model import ITSELF
from agent.web import peer


class Voices:
    """``own``: the user the agent runs as. The agent proposes: what runs as that user, with no login behind it, is the agent itself
    and cannot agree. Root is not held to that, for it needs no agreement to do anything.
    """

    def __init__(self, approvers: Approvers, own: int | None = None) -> None:
        self.approvers = approvers
        self._own = os.geteuid() if own is None else own

    def of(self, who: peer.Peer) -> Voice | None:
        """Theirs; None if they may not decide. Reads files.

        Without configured approvers root, the agent's user and the group anfl-agent may.
        """
        behind = peer.login(who)
        if who.uid == self._own != 0 and behind is None:
            return Voice(ITSELF)
        name, user = peer.person(who), procs.user_name(who.uid)
        identity = procs.user_name(behind) if who.uid == 0 and behind else user
        if not self.approvers.all:
            return Voice(name, identity) if who.may(None) else None
        roles = [a.role for a in self.approvers.all if _fits(a, user, who)]
        return Voice(name, identity, max(roles, key=ROLES.index)) if roles else None


def _fits(one: Approver, user: str, who: peer.Peer) -> bool:
    if one.user:
        return one.user == user
    return bool(one.group) and _number(one.group) in {who.gid, *who.groups}


def _number(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None
