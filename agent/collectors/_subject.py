"""One subject: a process with its tree, and the sums over that tree."""

from __future__ import annotations

import os
from enum import IntEnum

from agent.collectors._board import Board
from agent.collectors._proc import Proc
from agent.host.procstat import TICKS
from agent.model import labels

PAGE = os.sysconf("SC_PAGE_SIZE")
Sums = tuple[int, ...]
"""Processes, pages, threads, processes whose sizes were not read yet, anonymous bytes, swapped bytes, descriptors."""
NOTHING: Sums = (0,) * 7
UNREAD = (1, 0, 0, 0)
FORGET_LOST = 12
"""Ticks after which the time of an ended process is no longer expected to turn up with the parent that waited for it."""


class Why(IntEnum):
    """What makes a subject; the stronger one goes first where room is short."""

    TOP = 1
    ASKED = 2
    PINNED = 3


class Subject:
    """A process with its tree. Sizes are summed over all its processes, so pages they share count once for each.

    ``burnt`` grows by what every process of the tree burns, and by the time of ended children that were never seen (a parent's
    times of waited-for children), so it never falls when processes come and go.
    """

    __slots__ = (
        "_board", "_filled", "_lost", "_lost_for", "_sums", "burnt", "dirty", "inner", "outer", "procs", "root", "until", "why",
    )  # fmt: skip

    def __init__(self, root: Proc) -> None:
        self.root = root
        self.procs: dict[int, Proc] = {}
        self.outer: Subject | None = None
        self.inner: list[Subject] = []
        self.until = 0.0
        self.why = Why.TOP
        self.burnt = 0
        self.dirty = True
        self._sums: Sums = NOTHING  # of its own processes, without those of subjects inside it
        self._lost = self._lost_for = 0
        self._filled = False
        self._board = Board(labels(pid=root.pid))

    def clear(self) -> list[Proc]:
        """Forget whose tree it is; the processes it had."""
        procs = list(self.procs.values())
        for p in procs:
            p.owner = None
        self.procs, self.inner, self.outer, self.dirty = {}, [], None, True
        return procs

    def take(self, p: Proc) -> None:
        """The process belongs to the tree from now on; it counts with ``add_up`` or ``count``."""
        p.owner = self
        self.procs[p.pid] = p

    def add_up(self) -> None:
        """The sums from what each process is known to stand for; one that is new here has its ``summed`` made first."""
        for p in self.procs.values():
            if p.summed is None:
                p.summed = _share(p)
        self._sums = tuple(map(sum, zip(NOTHING, *[p.summed or NOTHING for p in self.procs.values()], strict=True)))

    def count(self, p: Proc) -> None:
        """Take over the sizes of a process of the tree as they are now."""
        now = _share(p)
        if now != p.summed:
            self._add(now, p.summed or NOTHING)
            p.summed = now

    def _add(self, now: Sums, before: Sums) -> None:
        self._sums = tuple([s + n - b for s, n, b in zip(self._sums, now, before, strict=True)])
        subject: Subject | None = self
        while subject is not None:
            subject.dirty = True
            subject = subject.outer

    def tree(self) -> list[Proc]:
        """All processes of the tree, those of subjects inside it included."""
        found = list(self.procs.values())
        for subject in self.inner:
            found += subject.tree()
        return found

    def burn(self, own: int, reaped: int) -> None:
        """Count the ticks a process burnt itself, and those of children it waited for that were not counted before."""
        if reaped:
            known = min(reaped, self._lost)
            self._lost -= known
            own += reaped - known
        self.burnt += own
        self.dirty = True

    def lose(self, p: Proc) -> None:
        """A process of the tree has ended; its parent may soon show its time as that of a waited-for child."""
        if p.owner is self and self.procs.pop(p.pid, None) is not None:
            self._add(NOTHING, p.summed or NOTHING)
        self._lost += p.cpu + p.ccpu
        self._lost_for = 0
        self.dirty = True

    def sum(self) -> Board:
        """The sums as they stand."""
        if self._lost:
            self._lost_for += 1
            if self._lost_for > FORGET_LOST:
                self._lost = 0
        if self.dirty:
            self._put()
            self.dirty = False
        return self._board

    def _all(self) -> Sums:
        """The sums over the whole tree."""
        return tuple(map(sum, zip(self._sums, *(subject._all() for subject in self.inner), strict=True)))

    def _put(self) -> None:
        count, rss, threads, unread, anonymous, swapped, fds = self._all()
        self._board.put(
            {
                "process_tree_cpu_seconds_total": self.burnt / TICKS,
                "process_tree_resident_bytes": rss * PAGE,
                "process_tree_processes": count,
                "process_tree_threads": threads,
            }
        )
        # A sum over half of the tree would look like growth while the rest is read for the first time.
        self._filled = self._filled or not unread
        if self._filled and unread < count:
            self._board.put(
                {
                    "process_tree_anonymous_bytes": anonymous,
                    "process_tree_swap_bytes": swapped,
                    "process_tree_open_fds": fds,
                }
            )


def _share(p: Proc) -> Sums:
    """What a process adds to the sums."""
    return (1, p.rss, p.threads, *(UNREAD if p.sizes is None else (0, *p.sizes[:3])))
