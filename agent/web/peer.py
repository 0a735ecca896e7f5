"""Who is at the other end of the unix socket, and what they may ask."""

from __future__ import annotations

import grp
import os
import socket
import struct

from agent.dataclass import dataclass
from agent.host import procs
from agent.host.procfs import read_once

GROUP = "anfl-agent"
_SO_PEERGROUPS = 59  # Linux 4.13; Python has no name for it
NO_LOGIN = 2**32 - 1
"""``loginuid`` of what no login began: services, containers."""
_UCRED = struct.Struct("3i")


@dataclass(frozen=True)
class Peer:
    """The caller as the kernel knows it; nothing here was said by the caller."""

    pid: int
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()

    def may(self, target_uid: int | None) -> bool:
        """Whether they may have a process of ``target_uid`` looked at; None stands for the host and everybody's processes.

        Their own: anybody. Others': root, the user the agent runs as, and the group ``anfl-agent``.
        """
        if self.uid in (0, os.geteuid(), target_uid):
            return True
        group = group_id()
        return group is not None and (group == self.gid or group in self.groups)


def of(connection: socket.socket) -> Peer:
    """The peer of a connected unix socket."""
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 1024)
        groups = frozenset(struct.unpack(f"{len(raw) // 4}I", raw))
    except OSError:  # an older kernel, or more than 256 groups: the primary group counts
        groups = frozenset()
    return Peer(pid, uid, gid, groups)


def person(who: Peer, proc: str = "/proc") -> str:
    """Who that is to other people: the user, and of root also the login behind it (``ada as root``), as the kernel kept it.

    Reads files; not for the event loop.
    """
    name = procs.user_name(who.uid)
    behind = login(who, proc) if who.uid == 0 else None
    return f"{procs.user_name(behind)} as {name}" if behind else name


def login(who: Peer, proc: str = "/proc") -> int | None:
    """The user who logged in and became the caller; None for what no login began. Reads files."""
    try:
        found = int(read_once(f"{proc}/{who.pid}/loginuid", 32) or b"")
    except (OSError, ValueError):  # gone, or a kernel without audit
        return None
    return None if found == NO_LOGIN else found


def group_id() -> int | None:
    """Number of the group ``anfl-agent``, None where there is no such group."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None
