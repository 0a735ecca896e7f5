"""Who suffers: a process with its tree, or a systemd unit, as the kernel knows them. Blocking code, to be called on a lane."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence

from agent.errors import AgentError, UsageError
from agent.host import procs, procstat
from agent.host.beside import beside
from agent.host.clock import Clock
from agent.host.lane import Runner, Stalled
from agent.model import Target

MEMBERS_EVERY_S = 2.0
"""How often the processes of a target are looked up while it is diagnosed."""


def process(pid: int) -> Target:
    """A process by its number. NoSuchProcess if there is none, UsageError for a thread of the kernel."""
    who = procs.identity(pid)
    if procs.kernel_thread(pid):
        raise UsageError(f"pid {pid} is a kernel thread ({who.comm})", help="name a process of a program")
    return Target(
        kind="process",
        name=who.comm,
        pid=pid,
        start_time=who.start_time,
        unit=who.unit,
        cgroup=who.cgroup,
        container=who.container,
        job=who.job,
        user=who.user,
    )


def tree(pid: int) -> tuple[int, ...]:
    """The process and all its descendants; the process alone if it is gone."""
    try:
        return procs.tree(pid)
    except procstat.NoSuchProcess:
        return (pid,)


def unit(name: str) -> tuple[int, ...]:
    """Processes of a systemd unit, from their cgroup paths; UsageError if none runs there."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(AgentError, OSError):
                if procs.identity(int(entry)).unit == name:
                    found.append(int(entry))
    if not found:
        raise UsageError(f"no process runs in unit '{name}'", help="systemctl status shows whether it is up")
    return tuple(found)


def roots(pids: Sequence[int]) -> tuple[int, ...]:
    """Those whose parent is not among them; one that ended meanwhile is left out."""
    members, found = set(pids), []
    for pid in pids:
        with contextlib.suppress(AgentError):
            if procstat.stat(pid).ppid not in members:
                found.append(pid)
    return tuple(found)


class Members:
    """The processes of a target. Those of a tree are looked up again and again on a lane: the whole of /proc has to be read."""

    def __init__(
        self, pids: tuple[int, ...], roots: tuple[int, ...], lane: Runner, live: Callable[[], tuple[int, ...]] | None = None
    ) -> None:
        self.roots = roots
        self._pids = pids
        self._lane = lane
        self._live = live

    def now(self) -> tuple[int, ...]:
        """As last looked up; of the host, every process that has series of its own."""
        return self._pids if self._live is None else self._live()

    @contextlib.asynccontextmanager
    async def kept(self, clock: Clock) -> AsyncIterator[None]:
        """Up to date while this is open."""
        async with beside(self._refresh(clock), "members"):
            yield

    async def _refresh(self, clock: Clock) -> None:
        while self._live is None:
            await clock.sleep(MEMBERS_EVERY_S)
            with contextlib.suppress(Stalled):
                found = await self._lane.run(lambda: {pid for root in self.roots for pid in tree(root)}, 10.0)
                self._pids = (*self.roots, *sorted(found - set(self.roots)))
