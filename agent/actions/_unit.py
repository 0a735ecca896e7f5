"""systemd units: which one is meant, and how it stands."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from agent.actions._action import Base
from agent.host.reach import WillNot
from agent.model import Target

_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}\.(service|scope|slice|socket|timer)")
UNTOUCHABLE = ("anfl-*", "systemd-*", "dbus*", "init.scope", "-.slice", "system.slice", "user.slice", "user@*", "session-*", "ssh*")
"""Without these a host cannot be reached or mended any more."""


def unit_of(target: Target, named: str = "") -> str:
    """The unit. WillNot if there is none, it is no unit's name, or one that must not be touched."""
    unit = named or target.unit or ""
    if not unit:
        raise WillNot(f"{target.name or target.kind} belongs to no systemd unit")
    if not _UNIT.fullmatch(unit):
        raise WillNot(f"'{unit}' is no name of a unit")
    if any(fnmatchcase(unit, own) for own in UNTOUCHABLE):
        raise WillNot(f"{unit} is never touched")
    return unit


async def shown(action: Base, unit: str, name: str) -> str:
    """One property of a unit."""
    done = await action.command("systemctl", "show", "--property", name, "--value", "--", unit)
    return done.out.decode(errors="replace").strip()


async def active(action: Base, unit: str) -> None:
    """WillNot unless the unit is loaded and runs."""
    if await shown(action, unit, "LoadState") != "loaded":
        raise WillNot(f"systemd knows no {unit}")
    state = await shown(action, unit, "ActiveState")
    if state not in ("active", "reloading"):
        raise WillNot(f"{unit} is {state}")
