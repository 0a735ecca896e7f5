"""Who keeps connections waiting: queues at listening TCP sockets, and requests nobody reads, by the process that should."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import field
from typing import ClassVar

from agent.collectors._declare import gauge
from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host import sockets
from agent.host.clock import Clock, SystemClock
from agent.host.procstat import stat
from agent.model import Item, Metric, Sample, Series, labels

SEEN_WAITING = 3
"""Looks at which connections waited before anybody asks whose they are: one that is accepted a moment later is no queue."""
SEARCH_S = 30.0
"""Finding an owner reads every process's descriptors (some 20 ms for 500 processes). One that was not found, as it is not ours to
see or lives beside our pid namespace, is searched for again after twice as long each time."""
UNREAD_S = 5.0
UNREAD_PAUSE = 1000.0
"""A walk over all connections is followed by a pause of so many times its CPU time: a thousandth of a core at most."""
MOST = 16
CALM_S = 600.0
"""Who has kept nobody waiting for so long is forgotten."""


@dataclass
class _Queue:
    """One listener: the process that owns it, None while nobody has been found."""

    port: int
    waiting: int = 0
    seen: int = 0
    last: float = 0.0
    owner: int | None = None
    search_at: float = 0.0
    pause: float = SEARCH_S


@dataclass
class Collector:
    """Looks at all listening sockets of the host's network namespace; a process has series once it was seen to keep connections
    waiting. Of several that share a socket, as workers do, it is the one that started the others. Containers with a network of
    their own are not seen.
    """

    metrics: ClassVar[tuple[Metric, ...]] = (
        gauge(
            "process_connections_waiting", "", "Connections that wait until the process accepts them, at all its TCP ports.", "pid"
        ),
        gauge("process_connections_unread", "", "Connections to its ports with bytes that it has not read.", "pid"),
    )
    may_block: ClassVar[bool] = True

    interval: float = 2.0
    timeout: float = 2.0
    proc: str = "/proc"
    clock: Clock = field(default_factory=SystemClock, init=False, repr=False)
    _queues: dict[int, _Queue] = field(default_factory=dict, init=False, repr=False)
    _searched: float = field(default=-SEARCH_S, init=False, repr=False)
    _walk_at: float = field(default=0.0, init=False, repr=False)

    def collect(self) -> Iterable[Item]:
        """Queues now; requests that nobody reads from time to time."""
        now = self.clock.monotonic()
        there = sockets.listeners()
        unread = self._walk({one.port for one in there.values()}, now)
        self._look(there, unread, now)
        self._find(now)
        waiting: dict[int, int] = {}
        left: dict[int, int] = {}
        for queue in self._queues.values():
            if queue.owner is not None:
                waiting[queue.owner] = waiting.get(queue.owner, 0) + queue.waiting
                left[queue.owner] = left.get(queue.owner, 0) + (unread or {}).get(queue.port, 0)
        found = [_sample("process_connections_waiting", pid, count) for pid, count in waiting.items()]
        if unread is not None:
            found += [_sample("process_connections_unread", pid, count) for pid, count in left.items()]
        return found

    def _look(self, there: dict[int, sockets.Listener], unread: dict[int, int] | None, now: float) -> None:
        """The queues as they are; those that are gone, or calm for long, are forgotten."""
        self._queues = {i: queue for i, queue in self._queues.items() if i in there and now - queue.last < CALM_S}
        for inode, one in there.items():
            lags = one.waiting or (unread or {}).get(one.port, 0)
            if lags and inode not in self._queues and len(self._queues) < MOST:
                self._queues[inode] = _Queue(one.port, last=now)
            if (queue := self._queues.get(inode)) is not None:
                queue.waiting = one.waiting
                if lags:
                    queue.seen, queue.last = queue.seen + 1, now

    def _walk(self, ports: set[int], now: float) -> dict[int, int] | None:
        """Requests nobody has read, by port; None while it is not due."""
        if now < self._walk_at:
            return None
        began = time.thread_time()
        found = sockets.unread(ports)
        self._walk_at = now + max(UNREAD_S, UNREAD_PAUSE * (time.thread_time() - began))
        return found

    def _find(self, now: float) -> None:
        """Whose the queues are that let connections wait again and again."""
        unknown = {i: queue for i, queue in self._queues.items() if queue.owner is None and queue.seen >= SEEN_WAITING}
        due = {i: queue for i, queue in unknown.items() if now >= queue.search_at}
        if not due or now - self._searched < SEARCH_S:
            return
        self._searched = now
        for queue in due.values():
            queue.search_at, queue.pause = now + queue.pause, min(2 * queue.pause, CALM_S)
        for inode, pids in owners(due, self.proc).items():
            due[inode].owner = first_of(pids, self.proc)


def _sample(name: str, pid: int, value: float) -> Sample:
    return Sample(Series(name, labels(pid=pid)), float(value))


def owners(wanted: Iterable[int], proc: str = "/proc") -> dict[int, list[int]]:
    """Socket inode → the processes that hold it, as far as we may look."""
    links = {f"socket:[{inode}]": inode for inode in wanted}
    found: dict[int, list[int]] = {}
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        try:
            for entry in os.listdir(f"{proc}/{name}/fd"):
                if (inode := links.get(_link(f"{proc}/{name}/fd/{entry}"))) is not None:
                    found.setdefault(inode, []).append(int(name))
        except OSError:
            continue
    return found


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def first_of(pids: list[int], proc: str = "/proc") -> int:
    """Of processes that share something, the one that started the others: its parent is none of them."""
    for pid in sorted(pids):
        try:
            if stat(pid, proc).ppid not in pids:
                return pid
        except AgentError:
            continue
    return min(pids)
