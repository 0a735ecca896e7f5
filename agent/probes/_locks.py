"""Who waits for a lock, who holds it, whether threads wait for each other. Pure: stacks, kernel states and sources in, answers out.

A thread waits for a lock if the kernel has it in a futex without time limit and its innermost Python frame stands on a line that
takes a lock. ``Condition.wait``, ``queue.get``, ``join``, idle pools and event loops wait inside the standard library and never
count; waiters for the interpreter lock wait with a time limit, 200 times a second, and never count either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from agent.dataclass import dataclass
from agent.host.procs import Thread
from agent.host.threads import Look, WaitKind
from agent.model import Culprit
from agent.probes._found import WAKES_PER_S, code
from agent.probes._source import Region, Source
from agent.stacks import Frame, ThreadDump, deepest_own, is_own, place

FROZEN_CPU_S = 0.002
_LIBRARY_LOCKS = ("logging/__init__.py",)
"""Standard library files whose locks are real queues when threads pile up on them."""
ReadSource = Callable[[str], Source | None]


@dataclass(frozen=True)
class Shot:
    """The target at one moment: stacks, and what the kernel says of the same threads."""

    time: float
    dumps: tuple[ThreadDump, ...]
    looks: Mapping[int, Look]
    kernel: Mapping[int, Thread]


@dataclass(frozen=True)
class Waiter:
    """One thread that queues on a lock: where, what for, what it holds meanwhile. ``address`` 0 = not known."""

    tid: int
    thread: str
    frame: Frame
    lock: str
    address: int
    holds: tuple[tuple[Region, Frame], ...]

    @property
    def key(self) -> int | str:
        """What tells one lock from another."""
        return self.address or self.lock


@dataclass(frozen=True)
class Holding:
    """A region a thread stands in."""

    tid: int
    thread: str
    region: Region
    frame: Frame
    doing: Frame | None


class Picture:
    """All shots with the sources behind them."""

    def __init__(self, shots: Sequence[Shot], source: ReadSource) -> None:
        self.shots = tuple(shots)
        self.source = source
        self.blind = 0  # waits that could not be told from idling because the source is missing
        self.waiters = [self._waiters(shot) for shot in self.shots]
        self.frozen = {tid for shot in self.shots[:1] for tid in shot.kernel if self._frozen(tid)}

    def _waiters(self, shot: Shot) -> list[Waiter]:
        found = [self._waiter(shot, dump) for dump in shot.dumps if dump.frames]
        return [waiter for waiter in found if waiter is not None]

    def _waiter(self, shot: Shot, dump: ThreadDump) -> Waiter | None:
        look, frame = shot.looks.get(dump.tid), dump.frames[-1]
        if look is None or not self._in_lock(look) or not frame.line:
            return None
        if place(frame.file) == "stdlib" and not frame.file.endswith(_LIBRARY_LOCKS):
            return None
        source = self.source(frame.file)
        if source is None:
            self.blind += 1
            return None
        wanted = source.wanted(frame.line)
        if not wanted:
            return None
        named = deepest_own(dump.frames) or frame
        return Waiter(dump.tid, dump.name, named, wanted[-1], look.address, self._holds(dump, waiting=True))

    def _in_lock(self, look: Look) -> bool:
        return look.kind is WaitKind.FUTEX or (look.kind is WaitKind.TIMED and self.wakes(look.tid) <= WAKES_PER_S)

    def _holds(self, dump: ThreadDump, *, waiting: bool) -> tuple[tuple[Region, Frame], ...]:
        held = []
        for at, frame in enumerate(dump.frames):
            source = self.source(frame.file) if is_own(frame) or frame.file.endswith(_LIBRARY_LOCKS) else None
            if source is not None:
                innermost = at == len(dump.frames) - 1
                held += [(region, frame) for region in source.held(frame.line, waiting=waiting and innermost)]
        return tuple(held)

    def wakes(self, tid: int) -> float:
        """Voluntary switches per second over all shots."""
        first, last = self.shots[0], self.shots[-1]
        if tid not in first.kernel or tid not in last.kernel or last.time <= first.time:
            return 0.0
        return (last.kernel[tid].voluntary - first.kernel[tid].voluntary) / (last.time - first.time)

    def _frozen(self, tid: int) -> bool:
        """No CPU, no switch, one and the same stack in every shot."""
        seen = [shot.kernel.get(tid) for shot in self.shots]
        if len(seen) < 2 or any(one is None for one in seen):
            return False
        states = [one for one in seen if one is not None]
        stacks = {dump.frames for shot in self.shots for dump in shot.dumps if dump.tid == tid}
        still = len({(one.voluntary, one.involuntary) for one in states}) == 1
        return still and states[-1].cpu_seconds - states[0].cpu_seconds < FROZEN_CPU_S and len(stacks) <= 1

    @property
    def all_frozen(self) -> bool | None:
        """True if nothing at all moved between the shots."""
        if len(self.shots) < 2:
            return None
        return all(set(shot.kernel) == self.frozen for shot in self.shots)

    def holdings(self, shot: Shot, waiters: Sequence[Waiter]) -> list[Holding]:
        """Regions in which threads stand that do not wait for a lock themselves."""
        queue = {waiter.tid for waiter in waiters}
        return [
            Holding(dump.tid, dump.name, region, frame, deepest_own(dump.frames))
            for dump in shot.dumps
            if dump.tid not in queue
            for region, frame in self._holds(dump, waiting=False)
        ]


def same_lock(wanted: str, held: str) -> int:
    """How well two expressions name one lock: 3 the same text, 2 the same last part (``self._lock``, ``pool._lock``), else 0."""
    if wanted == held:
        return 3
    return 2 if wanted.rsplit(".", 1)[-1] == held.rsplit(".", 1)[-1] else 0


def holders(picture: Picture) -> list[tuple[Holding, float]]:
    """Who holds what the longest queue wants, the likeliest first, each with the share of shots it stood there."""
    votes: Counter[tuple[str, Frame]] = Counter()
    example: dict[tuple[str, Frame], Holding] = {}
    for shot, waiters in zip(picture.shots, picture.waiters, strict=True):
        if not waiters:
            continue
        key, _ = Counter(waiter.key for waiter in waiters).most_common(1)[0]
        wanted = next(waiter.lock for waiter in waiters if waiter.key == key)
        held = picture.holdings(shot, waiters)
        best = max((_rank(wanted, holding) for holding in held), default=0)
        for holding in held:
            if best and _rank(wanted, holding) == best:
                place = (holding.frame.function, holding.frame)
                votes[place] += 1
                example[place] = holding
    queued = sum(bool(waiters) for waiters in picture.waiters) or 1
    return [(example[place], min(1.0, count / queued)) for place, count in votes.most_common(3)]


def _rank(wanted: str, holding: Holding) -> int:
    return same_lock(wanted, holding.region.lock) or int(holding.region.plain)


def cycle(picture: Picture) -> list[Waiter]:
    """Threads that hold one lock and wait for another, frozen, with nobody outside the circle who could let them go."""
    if len(picture.shots) < 2 or not picture.waiters[-1]:
        return []
    last = picture.waiters[-1]
    members = [w for w in last if w.tid in picture.frozen and any(region.plain or _same(w, region) for region, _ in w.holds)]
    outside = picture.holdings(picture.shots[-1], last)
    while True:
        kept = [w for w in members if _caught(w, members, outside)]
        if len(kept) == len(members):
            break
        members = kept
    addresses = {w.address for w in members}
    if len(members) > 1 and addresses != {0} and len(addresses) == 1:
        return []  # all queue on one lock: a slow holder, not a circle
    return members if len(members) > 1 or any(_same(w, region) for w in members for region, _ in w.holds) else []


def _same(waiter: Waiter, region: Region) -> bool:
    return same_lock(waiter.lock, region.lock) == 3


def _caught(waiter: Waiter, members: Sequence[Waiter], outside: Sequence[Holding]) -> bool:
    inside = max(
        (same_lock(waiter.lock, r.lock) or int(r.plain) for w in members for r, _ in w.holds if w.tid != waiter.tid), default=0
    )
    if any(_same(waiter, region) for region, _ in waiter.holds):
        inside = max(inside, 3)
    free = max((same_lock(waiter.lock, holding.region.lock) for holding in outside), default=0)
    return inside > 0 and inside >= free


def stuck_behind_a_wait(picture: Picture) -> list[tuple[Holding, Waiter]]:
    """A holder that joins or waits for a thread which itself waits for that lock: nothing in the process can wake anyone."""
    shot, waiters = picture.shots[-1], picture.waiters[-1]
    if not waiters or not picture.all_frozen or any(look.kind is not WaitKind.FUTEX for look in shot.looks.values()):
        return []
    held = picture.holdings(shot, waiters)
    return [(h, w) for w in waiters for h in held if same_lock(w.lock, h.region.lock) >= 2]


def cycle_culprits(pid: int, members: Sequence[Waiter]) -> list[Culprit]:
    """Each frame of the circle: where the thread waits, and what it holds meanwhile."""
    found = []
    for waiter in members:
        held = ", ".join(dict.fromkeys(region.lock for region, _ in waiter.holds))
        found.append(code(pid, waiter.frame, detail=f"thread {waiter.thread} holds {held} and waits for {waiter.lock}"))
    return found


def median(counts: Sequence[int]) -> float:
    """The middle count over the shots; a wait seen once in passing is no queue."""
    return float(sorted(counts)[(len(counts) - 1) // 2]) if counts else 0.0
