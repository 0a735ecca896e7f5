"""threads: looks at every thread's kernel state 20 times a second for 3 s: locks, disk, run queue. Reads /proc only."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import ClassVar

from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host import procs, threads
from agent.host.lane import once
from agent.host.procs import Thread
from agent.host.threads import Look, WaitKind
from agent.model import Cost, Culprit, Evidence, Metric, Target, Tools
from agent.probes._found import WAKES_PER_S, Found
from agent.probes._guard import answer, guarded, pid_of

FASTEST, SLOWEST, LOOKS_PER_S = 20.0, 2.0, 2000.0
MOST_PROCESSES = 16
MOSTLY = 0.5
_DISK = (
    "io_schedule",
    "folio_wait",
    "wait_on_page",
    "blk_",
    "jbd2",
    "balance_dirty",
    "nfs",
    "rpc_wait",
    "fuse",
    "request_wait_answer",
    "xfs_",
)


@dataclass(frozen=True)
class Watch:
    """What was seen over ``seconds``: looks per (pid, tid), and each thread's counters at both ends."""

    seconds: float
    looks: Mapping[tuple[int, int], Sequence[Look]]
    before: Mapping[tuple[int, int], Thread]
    after: Mapping[tuple[int, int], Thread] = field(default_factory=dict)

    def wakes(self, key: tuple[int, int]) -> float:
        """Voluntary switches per second."""
        if key not in self.before or key not in self.after:
            return 0.0
        return (self.after[key].voluntary - self.before[key].voluntary) / self.seconds

    def delay(self, key: tuple[int, int]) -> float:
        """Share of the time the thread was ready and had no CPU."""
        if key not in self.before or key not in self.after:
            return 0.0
        return min(1.0, (self.after[key].run_delay - self.before[key].run_delay) / self.seconds)


@dataclass
class Probe:
    """Settings: ``seconds`` of watching (1 to 10)."""

    seconds: float = 3.0

    cost: ClassVar[Cost] = "free"
    needs: ClassVar[tuple[str, ...]] = ()
    answers: ClassVar[tuple[Metric, ...]] = (
        answer("futex_share", "ratio", "Share of all looks at which a thread waited on a lock or condition"),
        answer("disk_wait_share", "ratio", "Share of the time the worst thread waited for a disk or a file system"),
        answer("running_share", "ratio", "Share of all looks at which a thread ran or was ready to"),
        answer("threads_contending", "", "Threads that are mostly in a futex and wake more than 50 times a second"),
        answer("runqueue_share", "ratio", "Share of the time the worst thread was ready and had no CPU"),
        answer("thread_growth", "per second", "New threads per second over the watch"),
    )

    async def look(self, target: Target, tools: Tools) -> Evidence:
        """Watch; never raises for a target that vanished."""
        return await guarded("threads", lambda: self._look(target))

    async def _look(self, target: Target) -> Evidence:
        seconds = min(10.0, max(1.0, self.seconds))
        seen = await once("probe-threads", lambda: watch(pid_of(target), seconds), seconds + 5)
        found = judge(seen)
        return Evidence("threads", found.answers, found.culprits, found.says)


def watch(pid: int, seconds: float) -> Watch:
    """Look at all threads of the process and its children again and again; slower where there are many."""
    pids = procs.tree(pid)[:MOST_PROCESSES]
    began = time.monotonic()
    before = _threads(pids)
    pause = 1 / min(FASTEST, max(SLOWEST, LOOKS_PER_S / max(1, len(before))))
    looks: dict[tuple[int, int], list[Look]] = {}
    while (left := began + seconds - time.monotonic()) > 0:
        for member in pids:
            for seen in _looks(member):
                looks.setdefault((member, seen.tid), []).append(seen)
        time.sleep(min(left, pause))
    after = _threads(pids)
    return Watch(time.monotonic() - began, looks, before, after)


def _threads(pids: Sequence[int]) -> dict[tuple[int, int], Thread]:
    found = {}
    for pid in pids:
        try:
            found.update({(pid, thread.tid): thread for thread in procs.threads(pid)})
        except AgentError:
            continue
    return found


def _looks(pid: int) -> list[Look]:
    try:
        return threads.look(pid, threads.task_ids(pid))
    except AgentError:
        return []


# ---------------------------------------------------------------------------------------------- judging


def judge(seen: Watch) -> Found:
    """All answers of one watch."""
    found = Found()
    every = sum(map(len, seen.looks.values()))
    if not every:
        for name in ("futex_share", "disk_wait_share", "running_share", "threads_contending", "runqueue_share", "thread_growth"):
            found.put(name, None, "no thread could be looked at")
        return found
    found.put("futex_share", sum(_futex(look) for looks in seen.looks.values() for look in looks) / every)
    found.put("running_share", sum(look.state == "R" for looks in seen.looks.values() for look in looks) / every)
    _disk(seen, found)
    busy = [key for key, looks in seen.looks.items() if _share(looks, _futex) > MOSTLY and seen.wakes(key) > WAKES_PER_S]
    named = [_culprit(seen, key, seen.wakes(key), "wakes") for key in sorted(busy, key=seen.wakes, reverse=True)[:3]]
    found.put(
        "threads_contending",
        float(len(busy)),
        f"{len(busy)} threads wake more than {WAKES_PER_S} times a second to wait again",
        named,
    )
    late = max(seen.looks, key=seen.delay)
    found.put("runqueue_share", seen.delay(late), f"the worst thread was ready without a CPU {seen.delay(late):.0%} of the time")
    growth = (len(seen.after) - len(seen.before)) / seen.seconds
    found.put("thread_growth", growth, f"{len(seen.before)} threads, {growth:+.1f} per second")
    return found


def _disk(seen: Watch, found: Found) -> None:
    worst = max(seen.looks, key=lambda key: _share(seen.looks[key], disk))
    share = _share(seen.looks[worst], disk)
    if share == 0:
        found.put("disk_wait_share", 0.0, "no thread waited for a disk")
        return
    where = Counter(look.wchan or "?" for look in seen.looks[worst] if disk(look)).most_common(1)[0][0]
    culprit = _culprit(seen, worst, None, f"in {where}", share)
    found.put("disk_wait_share", share, f"thread {culprit.name} waits for a disk {share:.0%} of the time, in {where}", [culprit])


def disk(look: Look) -> bool:
    """True for a thread that waits for a disk or a file system."""
    return look.state == "D" or (look.kind is not WaitKind.NONE and look.wchan.startswith(_DISK))


def _futex(look: Look) -> bool:
    return look.kind in (WaitKind.FUTEX, WaitKind.TIMED)


def _share(looks: Sequence[Look], test: Callable[[Look], bool]) -> float:
    return sum(map(test, looks)) / len(looks) if looks else 0.0


def _culprit(seen: Watch, key: tuple[int, int], rate: float | None, detail: str, share: float | None = None) -> Culprit:
    pid, tid = key
    thread = seen.after.get(key) or seen.before.get(key)
    return Culprit("thread", thread.name if thread else str(tid), pid=pid, rate=rate, share=share, detail=f"tid {tid}, {detail}")
