"""Configured subjects: patterns over the unit, the cgroup or the command line of a process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from fnmatch import fnmatchcase

from agent.collectors._proc import Proc
from agent.host.placement import cgroup_path, place
from agent.host.procfs import read_once

PATIENCE_TICKS = 5
"""A command line that has not come back after so many ticks is given up: its process holds the lock that reading needs."""
MOST_READERS = 4
COMMAND_BYTES = 8192


class Matcher:
    """Tells which processes a user asked for: ``unit:NAME``, ``cgroup:PATH`` (and all below), or text held in the command line
    (``command:TEXT`` or just TEXT). ``*``, ``?`` and ``[…]`` are wild in units and cgroups.
    """

    def __init__(self, patterns: Sequence[str], proc: str) -> None:
        self._proc = proc
        self._units = [p[5:] for p in patterns if p.startswith("unit:")]
        self._cgroups = [p[7:].rstrip("/") for p in patterns if p.startswith("cgroup:")]
        plain = [p.removeprefix("command:") for p in patterns if not p.startswith(("unit:", "cgroup:"))]
        self._commands = [text.encode("utf-8", "surrogateescape") for text in plain if text]
        self._reader = CommandReader(proc) if self._commands else None

    def __bool__(self) -> bool:
        return bool(self._units or self._cgroups or self._commands)

    def ask(self, p: Proc) -> None:
        """Set ``p.matched`` now where its cgroup tells; its command line is read aside and told by ``answers``."""
        if p.kernel:
            return
        p.matched = (self._units or self._cgroups) != [] and self._placed(p)
        if self._reader is not None and not p.matched:
            self._reader.ask(p)

    def answers(self) -> list[Proc]:
        """Processes whose command line has come in since the last call and matches."""
        if self._reader is None:
            return []
        found = []
        for p, command in self._reader.answers():
            if any(text in command for text in self._commands):
                p.matched = True
                found.append(p)
        return found

    def _placed(self, p: Proc) -> bool:
        try:
            text = read_once(f"{self._proc}/{p.pid}/cgroup")
        except OSError:
            return False
        unit, path = place(text).unit or "", cgroup_path(text)
        if any(fnmatchcase(unit, name) or fnmatchcase(unit, f"{name}.service") for name in self._units):
            return True
        return any(path == want or path.startswith(f"{want}/") or fnmatchcase(path, want) for want in self._cgroups)


class CommandReader:
    """Reads command lines on a thread of its own: reading takes the process's memory-map lock, which a process hung in the kernel
    may hold for ever. A thread that hangs is left behind and another one takes over, a few times.
    """

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._asked: queue.SimpleQueue[Proc] = queue.SimpleQueue()
        self._told: queue.SimpleQueue[tuple[Proc, bytes]] = queue.SimpleQueue()
        self._readers = 0
        self._done = 0
        self._seen = -1
        self._waiting = 0

    def ask(self, p: Proc) -> None:
        """Queue one process; blocked ones (state D) are not asked."""
        if p.state == b"D":
            return
        self._asked.put(p)
        if not self._readers:
            self._start()

    def answers(self) -> list[tuple[Proc, bytes]]:
        """What has come in; called once a tick, so it also watches over the thread."""
        found = []
        while not self._told.empty():
            found.append(self._told.get())
        stuck = self._done == self._seen and not self._asked.empty()
        self._seen = self._done
        self._waiting = self._waiting + 1 if stuck else 0
        if self._waiting >= PATIENCE_TICKS and self._readers < MOST_READERS:
            self._waiting = 0
            self._start()
        return found

    def _start(self) -> None:
        self._readers += 1
        threading.Thread(target=self._work, name="command-lines", daemon=True).start()

    def _work(self) -> None:
        while True:
            p = self._asked.get()
            try:
                text = read_once(f"{self._proc}/{p.pid}/cmdline", COMMAND_BYTES)
                self._told.put((p, text.replace(b"\0", b" ")))
            except OSError:
                pass
            self._done += 1
