"""The subjects of the host: who they are, whose tree a process is in, and which processes have series of their own."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest

from agent.collectors._member import Member, count_fds, memory_of
from agent.collectors._proc import Proc
from agent.collectors._subject import Subject, Why
from agent.collectors._sweep import Sweep

STAY_S = 60.0
"""A subject or member stays at least so long after it last stood out, so that series do not flap."""
CHANGED_PAGES = 16
FIRST_READS = 64
LATER_READS = 16
"""Processes of trees without series of their own whose memory is read a tick: for the first time, and again when their size has
moved by ``CHANGED_PAGES``."""
NEW_MEMBERS = 16
"""Members made a tick; each costs about 0.1 ms once."""
PINNED_MEMBERS = 64


class Subjects:
    """Keeps at most ``most`` subjects, ``members`` detailed processes in each and ``total`` in all (pinned ones may exceed it).

    The process ``own`` and what it starts belong to no tree but their own.
    """

    def __init__(self, sweep: Sweep, boot: float, own: int, most: int, members: int, total: int) -> None:
        self.by_root: dict[int, Subject] = {}
        self.members: dict[int, Member] = {}
        self.fresh: list[Member] = []
        self._sweep = sweep
        self._boot = boot
        self._own = own
        self._most, self._each, self._total = most, members, total
        self._unread: dict[int, Proc] = {}
        self._stale: dict[int, Proc] = {}
        self._waiting: list[Proc] = []
        self._crooked = False

    def follow(self) -> None:
        """Take over what the last sweep found: ends first, then what was burnt, then newcomers and orphans."""
        for p in self._sweep.ended:
            self._forget(p)
        for p in self._sweep.changed:
            subject = p.owner
            if subject is None:
                continue
            if p.detail is None and p.sizes is not None and abs(p.rss - p.sizes[3]) >= CHANGED_PAGES:
                self._stale[p.pid] = p
            subject.count(p)
            while subject is not None:
                subject.burn(p.dcpu, p.dccpu)
                subject = subject.outer
        for p in self._sweep.started:
            parent = self._sweep.procs.get(p.ppid)
            if parent is not None and parent.owner is not None:
                self._join(p, parent.owner)
        for p in self._sweep.moved:
            parent = self._sweep.procs.get(p.ppid)
            if p.owner is not None or (parent is not None and parent.owner is not None):
                self._crooked = True

    def want(self, root: Proc, until: float, why: Why) -> None:
        """Make the process a subject or let it stay one until then; where there is no room a weaker one gives way."""
        subject = self.by_root.get(root.pid)
        if subject is None:
            if len(self.by_root) >= self._most and why is not Why.PINNED and not self._make_room(why):
                return
            subject = self.by_root[root.pid] = Subject(root)
            self._crooked = True
        subject.until = max(subject.until, until)
        subject.why = max(subject.why, why)

    def unpin(self, pins: Iterable[int], now: float) -> None:
        """Subjects that are pinned no more become ordinary ones and stay a while."""
        pins = set(pins)
        for pid, subject in self.by_root.items():
            if subject.why is Why.PINNED and pid not in pins:
                subject.why, subject.until = Why.TOP, now + STAY_S

    def expire(self, now: float) -> None:
        """Let go of subjects and members that have not stood out for a while."""
        for pid in [pid for pid, s in self.by_root.items() if s.until < now and s.why is not Why.PINNED]:
            self._remove(pid)
        self.straighten()  # a process of a dropped subject may belong to another one around it
        for pid, member in list(self.members.items()):
            if member.keep_until < now:
                self._dismiss(pid)

    def straighten(self) -> None:
        """Work out anew whose tree every process is in, if subjects or parents have changed. The innermost subject owns it."""
        if not self._crooked:
            return
        self._crooked = False
        new = [s for s in self.by_root.values() if not s.procs]
        before = [p for subject in self.by_root.values() for p in subject.clear()]
        for subject in self.by_root.values():
            self._claim(subject)
        for p in before:
            if p.owner is None:
                p.summed = None
        for subject in self.by_root.values():
            subject.add_up()
        for subject in new:
            subject.burnt = sum(p.cpu + p.ccpu for p in subject.tree())
        for pid in [pid for pid, member in self.members.items() if member.p.owner is None]:
            self._dismiss(pid)

    def appoint(self, now: float) -> None:
        """Give series of their own to the root, the busiest and the largest of each tree."""
        until = now + STAY_S
        self._waiting = []
        for subject in sorted(self.by_root.values(), key=lambda s: -s.why):
            each = PINNED_MEMBERS if subject.why is Why.PINNED else self._each
            procs = list(subject.procs.values())
            wanted = {subject.root: None}
            if len(procs) > each:
                busy = [p for p in procs if p.burnt]
                procs = nlargest(each // 2, busy, key=lambda p: p.burnt) + nlargest(each // 2, procs, key=lambda p: p.rss)
            wanted |= dict.fromkeys(procs)
            room = each - sum(p.detail is not None for p in subject.procs.values())
            for p in wanted:
                if p.detail is not None:
                    p.detail.keep_until = until
                elif room > 0:
                    self._waiting.append(p)
                    room -= 1
        self._waiting.reverse()

    def admit(self, now: float) -> None:
        """Make members: the whole trees of pinned subjects at once, some of the others each tick."""
        self.fresh = []
        for subject in self.by_root.values():
            if subject.why is Why.PINNED:
                for p in subject.tree()[:PINNED_MEMBERS]:
                    if p.detail is None:
                        self._engage(p, now)
                    p.detail.keep_until = now + STAY_S
        while self._waiting and len(self.members) < self._total and len(self.fresh) < NEW_MEMBERS:
            p = self._waiting.pop()
            if p.detail is None and p.owner is not None and self._sweep.procs.get(p.pid) is p:
                self._engage(p, now)

    def read_others(self) -> None:
        """Read memory and descriptors of tree processes without series of their own, some each tick, for the sums."""
        slot = self._sweep.ticks % 10
        stale = [pid for pid in self._stale if pid % 10 == slot][:LATER_READS]
        for pid in [*stale, *list(self._unread)[:FIRST_READS]]:
            p = self._unread.pop(pid, None) or self._stale.pop(pid, None)
            if p is None or p.detail is not None or p.owner is None:
                continue
            base = f"{self._sweep.proc}/{pid}"
            try:
                p.sizes = (*memory_of(base), count_fds(base) or 0, p.rss)
            except OSError:
                p.sizes = p.sizes or (0, 0, 0, p.rss)
            p.owner.count(p)

    def pinned(self) -> set[int]:
        """Pids of all processes in pinned trees."""
        return {p.pid for s in self.by_root.values() if s.why is Why.PINNED for p in s.tree()}

    def _claim(self, subject: Subject) -> None:
        """Walk down from the root, stopping where another subject begins."""
        procs, children, root = self._sweep.procs, self._sweep.children, subject.root.pid
        pids = [root]
        for pid in pids:
            p = procs.get(pid)
            if p is None or pid == self._own or pid in subject.procs:
                continue
            inside = self.by_root.get(pid)
            if inside is not None and pid != root:
                if inside.outer is None:
                    inside.outer = subject
                    subject.inner.append(inside)
                continue
            self._join(p, subject, born=False)
            pids.extend(children.get(pid, ()))

    def _join(self, p: Proc, subject: Subject, born: bool = True) -> None:
        subject.take(p)
        if p.detail is None and p.sizes is None:
            self._unread[p.pid] = p
        if born:
            subject.count(p)
        outer: Subject | None = subject
        while born and outer is not None:
            outer.burn(p.cpu + p.ccpu, 0)
            outer = outer.outer

    def _forget(self, p: Proc) -> None:
        subject = p.owner
        while subject is not None:
            subject.lose(p)
            subject = subject.outer
        self._unread.pop(p.pid, None)
        self._stale.pop(p.pid, None)
        if p.detail is not None:
            self._dismiss(p.pid)
        own = self.by_root.get(p.pid)
        if own is not None and own.root is p:
            self._remove(p.pid)

    def _engage(self, p: Proc, now: float) -> None:
        p.detail = self.members[p.pid] = Member(p, self._sweep.proc, self._boot)
        p.detail.keep_until = now + STAY_S
        self.fresh.append(p.detail)

    def _dismiss(self, pid: int) -> None:
        member = self.members.pop(pid)
        member.close()
        member.p.detail = None

    def _make_room(self, why: Why) -> bool:
        """Remove the weakest subject if it is weaker than ``why``."""
        weakest = min(self.by_root.values(), key=lambda s: (s.why, s.until))
        if weakest.why >= why:
            return False
        self._remove(weakest.root.pid)
        return True

    def _remove(self, pid: int) -> None:
        """Drop a subject; its processes lose their owner until trees are straightened."""
        for p in self.by_root.pop(pid).procs.values():
            p.owner = p.summed = None
        self._crooked = True
