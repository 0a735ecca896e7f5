"""stacks: a few snapshots of all threads' stacks, with what the kernel says of the same threads: queues on locks, deadlocks, hangs.

The target is never stopped. A lock's waiters are told from idle threads by the line they stand on (its syntax says whether it takes
a lock) and by the kernel (a futex without time limit); without the source the answer is unknown, not a guess.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from agent.dataclass import dataclass
from agent.host import procs, pyspy, pyspy_pace, threads
from agent.host.lane import once
from agent.host.threads import WaitKind
from agent.model import Cost, Culprit, Evidence, Metric, Target, Tools
from agent.probes import _source
from agent.probes._files import keep_stacks
from agent.probes._found import Found, code
from agent.probes._guard import answer, guarded, pid_of, python_of
from agent.probes._locks import Holding, Picture, Shot, Waiter, cycle, cycle_culprits, holders, median, stuck_behind_a_wait
from agent.probes._loops import in_callback, is_loop
from agent.stacks import Frame, Stack, ThreadDump, is_own

_BLOCKING = (WaitKind.IO, WaitKind.POLL, WaitKind.SLEEP, WaitKind.CHILD, WaitKind.OTHER)


@dataclass
class Probe:
    """Settings: ``snapshots`` (2 to 8) and ``gap`` seconds between them; where one costs much, fewer and further apart."""

    snapshots: int = 4
    gap: float = 0.5

    cost: ClassVar[Cost] = "light"
    needs: ClassVar[tuple[str, ...]] = ("py-spy",)
    answers: ClassVar[tuple[Metric, ...]] = (
        answer("lock_waiters", "", "Threads that wait for a lock on a line of the program's own code"),
        answer("lock_waiter_share", "ratio", "The same as a share of all Python threads"),
        answer("lock_moving", "bool", "True if the waiters get their turn: a queue; false if nothing moves"),
        answer("hold_and_wait", "", "Threads frozen while they hold one lock and wait for another that is held likewise"),
        answer("frozen", "bool", "True if no thread ran, switched or changed its stack between the snapshots"),
        answer("threads_same_frame", "", "Most threads that stand on one and the same own line"),
        answer(
            "blocked_call_share", "ratio", "Share of the threads that sit in a socket, file, sleep or child wait below own code"
        ),
    )

    async def look(self, target: Target, tools: Tools) -> Evidence:
        """Take the snapshots; never raises for a target that vanished or refuses."""
        return await guarded("stacks", lambda: self._look(target, tools))

    async def _look(self, target: Target, tools: Tools) -> Evidence:
        pid = await once("probe-stacks", lambda: python_of(pid_of(target)), 5.0)
        shots = await self._shots(pid)
        found = await once("probe-stacks", lambda: judge(pid, shots), 10.0)
        title = f"process {pid}: where its threads stand"
        keep = partial(keep_stacks, tools.artifacts_dir, f"stacks-{pid}", _seen(shots), title=title, unit="snapshots")
        artifacts, missing = await once("probe-stacks", keep, 10.0)
        if missing:
            found.says["artifacts"] = missing
        return Evidence("stacks", found.answers, found.culprits, found.says, tuple(artifacts))

    async def _shots(self, pid: int) -> list[Shot]:
        """Snapshots as wanted; where one costs much, further apart, and rather fewer."""
        shots: list[Shot] = []
        count, gap = min(8, max(2, self.snapshots)), max(0.05, self.gap)
        while len(shots) < count:
            if shots:
                await asyncio.sleep(gap)
            began = time.monotonic()
            taken = await pyspy.dump(pid)
            made, own_s = await once("probe-stacks", partial(priced, pid, taken.threads), 5.0)
            shots.append(made)
            if len(shots) == 1:
                price = pyspy_pace.cost(taken.cpu_s, len(taken.threads), taken.frames).dump_s + own_s
                count, gap = pyspy_pace.row(price, time.monotonic() - began, count, gap)
        return shots


def priced(pid: int, dumps: Sequence[ThreadDump]) -> tuple[Shot, float]:
    """A shot, and the CPU seconds it took us: at hundreds of threads nearly as many as the sampler."""
    began = time.thread_time()
    return shot(pid, dumps), time.thread_time() - began


def shot(pid: int, dumps: Sequence[ThreadDump]) -> Shot:
    """What the kernel says of the threads, right after their stacks were read."""
    looks = {look.tid: look for look in threads.look(pid, threads.task_ids(pid))}
    return Shot(time.monotonic(), tuple(dumps), looks, {thread.tid: thread for thread in procs.threads(pid)})


def judge(pid: int, shots: list[Shot]) -> Found:
    """All answers from the snapshots; reads source files of the target."""
    sources: dict[str, _source.Source | None] = {}

    def source(file: str) -> _source.Source | None:
        if file not in sources:
            sources[file] = _source.read(pid, file)
        return sources[file]

    found, picture = Found(), Picture(shots, source)
    found.put("frozen", picture.all_frozen)
    _queue(pid, picture, found)
    _deadlock(pid, picture, found)
    _common(pid, picture, found)
    _blocked(pid, picture, found)
    return found


def _queue(pid: int, picture: Picture, found: Found) -> None:
    waiting = median([len(waiters) for waiters in picture.waiters])
    if picture.blind and not waiting:
        for name in ("lock_waiters", "lock_waiter_share", "lock_moving"):
            found.put(name, None, "threads sleep in own code whose source cannot be read, so waiting cannot be told from idling")
        return
    everyone = max(1, len(picture.shots[-1].dumps))
    queue = {waiter.tid: waiter for waiters in picture.waiters for waiter in waiters}
    held_by = holders(picture) if waiting else []
    culprits = [c for holding, share in held_by for c in _working(pid, holding, share)]
    culprits += (
        [code(pid, w.frame, detail=f"thread {w.thread} waits for {w.lock}") for w in _places(list(queue.values()))]
        if waiting
        else []
    )
    words = f"{waiting:.0f} of {everyone} threads wait for a lock"
    if held_by:
        words += f"; {held_by[0][0].region.lock} is held by thread {held_by[0][0].thread} in {held_by[0][0].frame.short}"
    found.put("lock_waiters", waiting, words, culprits)
    found.put("lock_waiter_share", waiting / everyone, words, culprits)
    moving = any(tid not in picture.frozen for tid in queue) if waiting else None
    found.put("lock_moving", moving, "", culprits)


def _working(pid: int, holding: Holding, share: float) -> list[Culprit]:
    """Where the holder stands, then where it took the lock: the slow work is at the first, the lock at the second."""
    region = _holder(pid, holding, share)
    doing = holding.doing
    if doing is None or not is_own(doing) or (doing.short, doing.file) == (holding.frame.short, holding.frame.file):
        return [region]
    return [code(pid, doing, share, f"thread {holding.thread} works here while it holds {holding.region.lock}"), region]


def _holder(pid: int, holding: Holding, share: float) -> Culprit:
    doing = holding.doing
    inner = f", now in {doing.short} line {doing.line}" if doing and doing != holding.frame else ""
    frame = holding.frame if is_own(holding.frame) or doing is None else doing
    return code(pid, frame, share, f"thread {holding.thread} holds {holding.region.lock}{inner}")


def _places(queue: list[Waiter]) -> list[Waiter]:
    """One waiter per line, the line with most first."""
    count = Counter(waiter.frame for waiter in queue)
    return [next(w for w in queue if w.frame == frame) for frame, _ in count.most_common(2)]


def _deadlock(pid: int, picture: Picture, found: Found) -> None:
    members = cycle(picture)
    if members:
        words = "; ".join(f"thread {w.thread} waits for {w.lock} in {w.frame.short}:{w.frame.line}" for w in members[:4])
        found.put("hold_and_wait", float(len(members)), f"nothing moves: {words}", cycle_culprits(pid, members))
        return
    pairs = stuck_behind_a_wait(picture)
    if pairs:
        held = {holding.tid: _holder(pid, holding, 1.0) for holding, _ in pairs}
        waits = {w.tid: code(pid, w.frame, detail=f"thread {w.thread} waits for {w.lock}") for _, w in pairs}
        words = f"nothing moves: {len(held)} thread(s) wait for others while they hold the lock those want"
        found.put("hold_and_wait", float(len(held) + len(waits)), words, [*held.values(), *waits.values()])
        return
    blind = picture.blind and picture.all_frozen
    found.put("hold_and_wait", None if blind else 0.0, "the source cannot be read" if blind else "no threads wait for each other")


def _common(pid: int, picture: Picture, found: Found) -> None:
    """How many threads stand on one own line."""
    each = [Counter(f for dump in shot.dumps if (f := _own(dump)) is not None) for shot in picture.shots]
    tops = [counts.most_common(1)[0] for counts in each if counts]
    if not tops:
        found.put("threads_same_frame", 0.0, "no thread stands in own code")
        return
    frame = Counter(frame for frame, _ in tops).most_common(1)[0][0]
    count = median([counts[frame] for counts in each])
    words = f"{count:.0f} threads stand in {frame.short} line {frame.line}"
    found.put("threads_same_frame", count, words, [code(pid, frame)])


def _own(dump: ThreadDump) -> Frame | None:
    return next((frame for frame in reversed(dump.frames) if is_own(frame)), None)


def _blocked(pid: int, picture: Picture, found: Found) -> None:
    """Threads that sit in a system call other than a lock or an idle wait, below own code."""
    places: Counter[tuple[Frame, str]] = Counter()
    everyone = 0
    for shot in picture.shots:
        for dump in shot.dumps:
            everyone += 1
            look, frame = shot.looks.get(dump.tid), _own(dump)
            if look is None or frame is None or not (look.kind in _BLOCKING or look.state == "D"):
                continue
            if not is_loop(dump.frames) or in_callback(dump.frames) is not None:
                places[frame, look.wchan or look.kind.value] += 1
    share = places.total() / everyone if everyone else 0.0
    ranked = [(frame, wchan, count / everyone) for (frame, wchan), count in places.most_common(3)]
    culprits = [code(pid, frame, part, f"sits in {wchan}") for frame, wchan, part in ranked]
    words = f"{share:.0%} of the threads sit in a blocking call"
    found.put(
        "blocked_call_share",
        share,
        words + (f", most in {ranked[0][0].short} line {ranked[0][0].line}" if ranked else ""),
        culprits,
    )


def _seen(shots: list[Shot]) -> list[Stack]:
    return [Stack(dump.tid, dump.name, dump.frames, 1.0) for shot in shots for dump in shot.dumps if dump.frames]
