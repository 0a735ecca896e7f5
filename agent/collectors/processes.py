"""Processes: an adaptive sweep over all of them, and figures of those that matter (subjects and their trees)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import ClassVar

from agent.collectors._board import Board
from agent.collectors._choice import matched_root, rank, read_io, root_of
from agent.collectors._match import Matcher
from agent.collectors._member import Member
from agent.collectors._proc import Proc
from agent.collectors._process_metrics import PROCESS_METRICS
from agent.collectors._subject import Subject, Why
from agent.collectors._subjects import STAY_S, Subjects
from agent.collectors._sweep import Sweep
from agent.dataclass import dataclass
from agent.errors import Unavailable
from agent.host.clock import Clock, SystemClock
from agent.host.placement import place
from agent.host.procs import user_name
from agent.host.procstat import TICKS, boot_time, optional
from agent.host.text import clean
from agent.model import ENTITY_ENDED, Event, Item, Metric, labels

QUIET_S = 10.0
"""A process quiet for so long is looked at once in so long."""
CHOOSE_TICKS = 5
HOST_KTHREADD = 2
"""Where this kernel thread is seen, pid 1 is the host's init and its tree is the host; else it is a container's program."""
MOST_NEWS = 20
"""Starts told a tick; a subject that forks hundreds a second shows in its tree's figures."""


@dataclass
class Collector:
    """Sweeps all processes and reads closely those of a subject: the ``top`` ones by CPU, size, growth and I/O and
    a few whose threads have just stopped working, each with their trees, those that ``match`` (text of the command line,
    ``unit:NAME``, ``cgroup:PATH``), favoured and pinned ones.

    Bound: 24 series for each of at most ``max_total`` detailed processes, 7 for each of at most ``max_subjects`` trees, 3 for the
    host; pinned trees add up to 64 processes each. Kernel threads and, unless ``own``, the agent itself are never subjects.
    """

    metrics: ClassVar[tuple[Metric, ...]] = PROCESS_METRICS
    may_block: ClassVar[bool] = False

    interval: float = 1.0
    timeout: float = 2.0
    top: int = 8
    match: tuple[str, ...] = ()
    max_subjects: int = 40
    max_members: int = 32
    max_total: int = 96
    own: bool = False
    proc: str = "/proc"
    clock: Clock = field(default_factory=SystemClock, init=False, repr=False)
    _pins: dict[str, frozenset[int]] = field(default_factory=dict, init=False, repr=False)
    _favoured: frozenset[int] = field(default=frozenset(), init=False, repr=False)
    _matched: set[Proc] = field(default_factory=set, init=False, repr=False)
    _host: Board = field(default_factory=lambda: Board(()), init=False, repr=False)
    _ranked_at: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        self._matcher = Matcher(self.match, self.proc)
        self._sweep: Sweep | None = None
        self._own_pid = -1 if self.own else os.getpid()

    def pin(self, pids: Iterable[int], by: str = "diagnosis") -> None:
        """Make these processes subjects and read them and their trees closely each tick, until ``pin`` is called again.

        ``by`` names who asks, so that two diagnoses do not undo each other; an empty ``pids`` lets go. May be called from any
        thread; takes effect with the next ``collect``.
        """
        self._pins = {**self._pins, by: frozenset(pids)}

    def favour(self, pids: Iterable[int]) -> None:
        """Make these processes subjects as long as they are named here: those another source knows of, such as users of a GPU."""
        self._favoured = frozenset(pids)

    def collect(self) -> Iterable[Item]:
        """One tick: ends and starts first, then the figures of members, trees and the host."""
        sweep = self._sweep or self._begin()
        now, settled = self.clock.monotonic(), sweep.settled
        pins = frozenset[int]().union(*self._pins.values())
        try:
            sweep.tick(pins)
        except OSError as error:
            raise Unavailable(f"{self.proc} cannot be read: {error.strerror}") from None
        subjects = self._subjects
        subjects.follow()
        self._ask(sweep)
        self._choose(sweep, pins, now)
        subjects.straighten()
        subjects.admit(now)
        pinned = subjects.pinned()
        sweep.hold(subjects.members.keys() | pinned)
        out: list[Item] = list(self._news(sweep, settled))
        self._look(sweep, pinned, out)
        return out

    def close(self) -> None:
        """Give all descriptors back."""
        if self._sweep is not None:
            self._sweep.close()
            for member in self._subjects.members.values():
                member.close()

    def _begin(self) -> Sweep:
        try:
            self._boot = boot_time(self.proc)
        except OSError as error:
            raise Unavailable(f"{self.proc} cannot be read: {error.strerror}", help="is /proc mounted?") from None
        self._sweep = sweep = Sweep(self.proc, max(1, round(QUIET_S / self.interval)))
        self._subjects = Subjects(sweep, self._boot, self._own_pid, self.max_subjects, self.max_members, self.max_total)
        return sweep

    def _ask(self, sweep: Sweep) -> None:
        """Ask newcomers, and those that run another program now, whether they match."""
        if not self._matcher:
            return
        for p in sweep.started + sweep.renamed:
            self._matcher.ask(p)
            if p.matched:
                self._matched.add(p)
        self._matched.update(self._matcher.answers())
        self._matched = {p for p in self._matched if p.matched and sweep.procs.get(p.pid) is p}

    def _choose(self, sweep: Sweep, pins: frozenset[int], now: float) -> None:
        """Pinned ones each tick; the others, and who has series, every few ticks (each tick at first)."""
        subjects, procs, ticks = self._subjects, sweep.procs, sweep.ticks
        subjects.unpin(pins, now)
        for pid in pins & procs.keys():
            subjects.want(procs[pid], now + STAY_S, Why.PINNED)
        for p in sweep.changed:
            if (p.pid + ticks) % CHOOSE_TICKS == 0 and not p.kernel:
                read_io(p, self.proc)
        if ticks % CHOOSE_TICKS and ticks > CHOOSE_TICKS:
            return
        until = now + STAY_S
        for p in self._matched:
            subjects.want(matched_root(p, procs), until, Why.ASKED)
        for pid in self._favoured & procs.keys():
            subjects.want(root_of(procs[pid], procs, self._own_pid), until, Why.ASKED)
        chosen = rank(procs.values(), max(now - self._ranked_at, 1.0), self.top, mark=ticks % (2 * CHOOSE_TICKS) == 0)
        self._ranked_at = now
        spared = {self._own_pid} | ({1} if HOST_KTHREADD in procs and procs[HOST_KTHREADD].kernel else set())
        for p in chosen:
            if p.pid not in spared:
                subjects.want(root_of(p, procs, self._own_pid), until, Why.TOP)
        subjects.expire(now)
        subjects.appoint(now)

    def _news(self, sweep: Sweep, settled: bool) -> Iterator[Event]:
        """Ends of all that was told of (they close series), then starts within subjects."""
        at = self.clock.now()
        for p in sweep.ended:
            if p.told:
                yield Event(at, ENTITY_ENDED, labels(pid=p.pid), text=clean(p.comm, 64), fields=self._when(p))
        for member in self._subjects.fresh:
            member.p.told = True
        for p in sweep.started[:MOST_NEWS] if settled else ():
            if p.owner is not None:
                p.told = True
                yield Event(at, "process_started", labels(pid=p.pid), text=clean(p.comm, 64), fields=self._when(p))

    def _when(self, p: Proc) -> dict[str, float | str]:
        owner: Subject | None = p.owner
        return {
            "start_time": self._boot + p.start / TICKS,
            "cpu_seconds": p.cpu / TICKS,
            "ppid": p.ppid,
            "subject": owner.root.pid if owner is not None else p.pid,
        }

    def _look(self, sweep: Sweep, pinned: set[int], out: list[Item]) -> None:
        subjects, children = self._subjects, sweep.children
        moved = {p.pid for p in sweep.changed}
        zombies: dict[int, int] = {}
        for pid in sweep.zombies:
            parent = sweep.procs[pid].ppid
            zombies[parent] = zombies.get(parent, 0) + 1
        for p in sweep.renamed:
            if p.detail is not None:
                p.detail.subject = -1
        for pid, member in subjects.members.items():
            if member.subject != member.p.owner.root.pid:
                self._name(member)
            if pid in moved or pid in pinned or member.wants(sweep.ticks):
                member.look(pid in moved, pid in pinned, sweep.ticks)
            member.count_kin(len(children.get(pid, ())), zombies.get(pid, 0))
            out.append(member.board)
        subjects.read_others()
        for subject in subjects.by_root.values():
            out.append(subject.sum())
        self._host.put(
            {
                "host_processes": len(sweep),
                "host_processes_zombie": len(sweep.zombies),
                "host_processes_blocked": len(sweep.blocked),
            }
        )
        out.append(self._host)

    def _name(self, member: Member) -> None:
        """Labels of ``process_info``. Neither command line nor environment is read: both can hang with the process."""
        p = member.p
        member.subject = p.owner.root.pid
        where = place(optional(p.pid, "cgroup", self.proc))
        try:
            uid = os.stat(f"{self.proc}/{p.pid}").st_uid
        except OSError:
            uid = -1
        member.name(
            pid=p.pid,
            comm=clean(p.comm, 64),
            subject=member.subject,
            cgroup=where.cgroup,
            unit=where.unit or "",
            container=where.container or "",
            job=where.job or "",
            user=user_name(uid) if uid >= 0 else "",
        )
