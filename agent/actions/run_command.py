"""Run a program that the playbook names."""

from __future__ import annotations

import os
import stat
from typing import ClassVar

from agent.actions._action import Base
from agent.dataclass import dataclass
from agent.host.lane import aside
from agent.host.reach import Class, WillNot
from agent.model import JsonObject
from agent.yamlfile import Seconds

SAID_MOST = 2000


@dataclass
class Action(Base):
    """``argv``: a list, given to the kernel as it is, no shell. Its program must be an absolute path that only root can change.

    ``undo_argv`` takes it back, where that can be. Playbooks are files that only the host's administrator writes.
    """

    class_: ClassVar[Class] = "disruptive"
    kinds: ClassVar[tuple[str, ...]] = ("host", "process", "unit", "cgroup", "gpu")
    argv: tuple[str, ...] = ()
    undo_argv: tuple[str, ...] = ()
    deadline: Seconds = 60.0

    @property
    def undoable(self) -> bool:  # type: ignore[override]
        """With ``undo_argv``."""
        return bool(self.undo_argv)

    def plan(self) -> str:
        """In words."""
        return f"run {' '.join(self.argv)}"

    async def check(self) -> None:
        """The program is there, and nobody but root may change it."""
        await aside(lambda: safe(self.argv))

    async def act(self) -> JsonObject:
        """Run it; what it said comes back."""
        done = await self.command(*self.argv, timeout=self.deadline)
        return {"said": done.out.decode(errors="replace")[-SAID_MOST:]}

    async def undo(self, done: JsonObject) -> None:
        """Run the other one."""
        if not self.undo_argv:
            raise WillNot("this cannot be taken back: the playbook names no undo_argv")
        await aside(lambda: safe(self.undo_argv))
        await self.command(*self.undo_argv, timeout=self.deadline)


def safe(argv: tuple[str, ...]) -> None:
    """WillNot unless the program, and every folder above it, belongs to root (or the agent's user) and no one else may write it."""
    if not argv or not argv[0].startswith("/"):
        raise WillNot("argv must begin with the absolute path of a program")
    path = os.path.realpath(argv[0])
    while True:
        try:
            info = os.stat(path)
        except OSError as error:
            raise WillNot(f"{path}: {error.strerror}") from None
        sticky = stat.S_ISDIR(info.st_mode) and info.st_mode & stat.S_ISVTX
        if info.st_uid not in (0, os.geteuid()) or (info.st_mode & 0o022 and not sticky):
            raise WillNot(f"{path} can be changed by others", help="chown root and chmod go-w")
        if path == "/":
            break
        path = os.path.dirname(path)
    if not os.access(os.path.realpath(argv[0]), os.X_OK):
        raise WillNot(f"{argv[0]} cannot be executed")
