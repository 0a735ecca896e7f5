"""Keep a process and its children on some CPUs."""

from __future__ import annotations

import contextlib
import os
from typing import ClassVar

from agent.actions._action import Base
from agent.actions._process import held
from agent.dataclass import dataclass
from agent.host import procs
from agent.host.lane import aside
from agent.host.reach import Class, WillNot
from agent.model import JsonObject


@dataclass
class Action(Base):
    """``cpus`` such as ``0-3,8``; or ``leave`` CPUs free for others: the last ones of those it has."""

    class_: ClassVar[Class] = "reversible"
    idempotent: ClassVar[bool] = True
    undoable: ClassVar[bool] = True
    cpus: str = ""
    leave: int = 0

    def plan(self) -> str:
        """In words."""
        return f"keep {self.name} on CPUs {self.cpus}" if self.cpus else f"take {self.leave} CPUs from {self.name}"

    def _wanted(self, have: set[int]) -> set[int]:
        if self.cpus:
            return parse(self.cpus) & have
        return set(sorted(have)[: max(1, len(have) - self.leave)])

    async def check(self) -> None:
        """There is something to change, and something left."""
        if bool(self.cpus) == bool(self.leave):
            raise WillNot("say either cpus or leave")
        have = await aside(self._have)
        wanted = self._wanted(have)
        if not wanted:
            raise WillNot(f"{self.name} has none of the CPUs {self.cpus}")
        if wanted == have:
            raise WillNot(f"{self.name} is on these CPUs already")

    def _have(self) -> set[int]:
        with held(self.target):
            assert self.target.pid is not None
            return os.sched_getaffinity(self.target.pid)

    async def act(self) -> JsonObject:
        """All threads of the tree."""
        return await aside(self._move)

    def _move(self) -> JsonObject:
        before = []
        with held(self.target):
            assert self.target.pid is not None
            wanted = self._wanted(os.sched_getaffinity(self.target.pid))
            for pid in procs.tree(self.target.pid):
                with contextlib.suppress(ProcessLookupError):
                    before.append([pid, procs.start_time(pid), sorted(os.sched_getaffinity(pid))])
                    _set(pid, wanted)
        return {"before": before}

    async def verify(self, done: JsonObject) -> bool | None:
        """It is where it was put."""
        have = await aside(self._have)
        return have == self._wanted(have) and bool(have)

    async def undo(self, done: JsonObject) -> None:
        """Everyone that is still there goes where it was."""

        def back() -> None:
            for pid, start, cpus in done["before"]:
                if procs.still(pid, start):
                    with contextlib.suppress(ProcessLookupError):
                        _set(pid, set(cpus))

        await aside(back)


def parse(text: str) -> set[int]:
    """``0-3,8`` as CPU numbers. WillNot if it is none."""
    found: set[int] = set()
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    except ValueError:
        raise WillNot(f"'{text}' is no list of CPUs", help="such as 0-3,8") from None
    return found


def _set(pid: int, cpus: set[int]) -> None:
    for name in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(name), cpus)
