"""From samples and CPU times to answers: who burns the CPU, who holds the interpreter lock, what blocks the event loop. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.host.pyspy import Recording
from agent.host.threads import Look, WaitKind
from agent.model import Culprit
from agent.stacks import Frame, Owner, Stack, by_thread, deepest_own, owner, place, reweigh, total

IDLE_CORES = 0.05
"""A process that burns less than this is idle; its samples say nothing about a hotspot (py-spy calls sleepers active at times)."""
WAKES_PER_S = 50
"""A thread that waits for the interpreter lock wakes every 5 ms; one that waits for a lock or a socket sleeps through."""
VICTIM_SHARE = 0.15
"""A thread with less of the lock's held time than this, while it keeps asking, waits for others."""
HOLDS = 0.9
"""A thread whose lock time is at least this part of its CPU time computes in Python alone."""
_RUNNERS = ("asyncio/runners.py", "uvloop/__init__.py")


@dataclass(frozen=True)
class Window:
    """All that was measured on one process over ``seconds``. ``cpu`` and ``wakes`` are per thread over the window."""

    pid: int
    seconds: float
    cpu: Mapping[int, float]
    wakes: Mapping[int, float]
    names: Mapping[int, str]
    python_threads: int
    loops: tuple[int, ...] = ()
    looks: Mapping[int, Sequence[Look]] = field(default_factory=dict)
    wall: Recording | None = None
    gil: Recording | None = None
    idle: Recording | None = None

    @property
    def cores(self) -> float:
        """CPU seconds per second, all threads."""
        return sum(self.cpu.values()) / self.seconds if self.seconds > 0 else 0.0


@dataclass
class Found:
    """Answers with their culprits and words, under the names the probe declares."""

    answers: dict[str, float | bool | str | None] = field(default_factory=dict)
    culprits: dict[str, tuple[Culprit, ...]] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, value: float | None, says: str = "", culprits: Sequence[Culprit] = ()) -> None:
        """Record one answer."""
        self.answers[name] = value
        if says:
            self.says[name] = says
        if culprits:
            self.culprits[name] = tuple(culprits)


def code(pid: int, frame: Frame, share: float | None = None, detail: str = "") -> Culprit:
    """A place in the code as a culprit."""
    return Culprit("code", frame.short, file=frame.file, line=frame.line, function=frame.short, pid=pid, share=share, detail=detail)


def in_callback(frames: Sequence[Frame]) -> int | None:
    """Where the callback's own frames begin if the loop runs one now; None in the loop's own code or outside a loop."""
    compiled = not any(_turns(frame) for frame in frames)  # uvloop: whatever stands above the runner runs inside a callback
    at = None
    for index, frame in enumerate(frames):
        if (frame.short == "_run" and frame.file.endswith("asyncio/events.py")) or (compiled and at is None and _runs(frame)):
            at = index + 1
    if at is None or not any(frame.line and place(frame.file) != "stdlib" for frame in frames[at:]):
        return None
    return at


def is_loop(frames: Sequence[Frame]) -> bool:
    """True for a thread that runs an asyncio event loop."""
    return any(_turns(frame) or _runs(frame) for frame in frames)


def _turns(frame: Frame) -> bool:
    return frame.short in ("_run_once", "run_forever") and frame.file.endswith("asyncio/base_events.py")


def _runs(frame: Frame) -> bool:
    return frame.short == "run" and frame.file.endswith(_RUNNERS)


# ---------------------------------------------------------------------------------------------- judging


def judge(window: Window) -> Found:
    """All answers one window supports."""
    found = Found()
    found.put("python_threads", float(window.python_threads))
    _hot(window, found)
    _gil(window, found)
    _loop(window, found)
    return found


def on_cpu(window: Window) -> list[Stack]:
    """Stacks weighted with CPU seconds: each thread's own CPU time, shared out over its samples.

    A thread that holds the interpreter lock whenever it runs is seen by the lock's samples too, which are cheap and so many more.
    """
    if window.wall is None:
        return []
    stacks, held = list(window.wall.stacks), by_thread(window.gil.stacks) if window.gil else {}
    for stack in window.gil.stacks if window.gil else ():
        share = held[stack.tid] / window.gil.rounds if window.gil else 0.0
        if share >= HOLDS * window.cpu.get(stack.tid, 0.0) / window.seconds:
            stacks.append(stack)
    return reweigh(stacks, window.cpu)


def _hot(window: Window, found: Found) -> None:
    if window.wall is None:
        return
    if window.cores < IDLE_CORES:
        found.put("hot_share", 0.0, f"it burnt {window.cores:.2f} cores: idle")
        found.put("hot_cores", 0.0)
        return
    stacks = on_cpu(window)
    top = owner(stacks, whole=sum(window.cpu.values()))
    if top is None:
        native = not stacks
        found.put("hot_share", None if native else 0.0, f"{window.cores:.2f} cores burnt outside Python code that could be seen")
        found.put("hot_cores", None if native else 0.0)
        return
    cores = top.share * window.cores
    words = f"{top.frame.short} in {_brief(top.frame)} owns {top.share:.0%} of {window.cores:.2f} cores burnt"
    culprits = [code(window.pid, top.frame, top.share, _threads(top)), *_next(window, stacks, top)]
    found.put("hot_share", top.share, words, culprits)
    found.put("hot_cores", cores, words, culprits)


def _next(window: Window, stacks: Sequence[Stack], top: Owner) -> list[Culprit]:
    """The next two places outside the first one, each with its share of all."""
    rest = [s for s in stacks if all((f.function, f.file) != (top.frame.function, top.frame.file) for f in s.frames)]
    weights: dict[Frame, float] = defaultdict(float)
    for stack in rest:
        if (frame := deepest_own(stack.frames)) is not None:
            weights[frame] += stack.weight
    whole = sum(window.cpu.values())
    ranked = sorted(weights.items(), key=lambda pair: -pair[1])
    return [code(window.pid, frame, weight / whole) for frame, weight in ranked[:2] if weight >= 0.05 * whole]


def _gil(window: Window, found: Found) -> None:
    record = window.gil
    if record is None:
        return
    held = total(record.stacks)
    share = min(1.0, held / record.rounds)
    if not record.stacks:
        found.put(
            "gil_share", 0.0 if window.cores < IDLE_CORES or record.errors < record.rounds else None, "nobody was seen holding it"
        )
        for name in ("gil_top_share", "gil_top_cores", "gil_place_share", "gil_victims"):
            found.put(name, None)
        return
    per_thread = by_thread(record.stacks)
    tid = max(per_thread, key=lambda thread: per_thread[thread])
    mine = [stack for stack in record.stacks if stack.tid == tid]
    name = window.names.get(tid) or mine[0].thread or f"thread {tid}"
    top_share, cores = per_thread[tid] / held, window.cpu.get(tid, 0.0) / window.seconds
    words = f"the interpreter lock is held {share:.0%} of the time, {top_share:.0%} of that by thread {name}"
    culprits = []
    if (held_by := owner(mine)) is not None:
        culprits = [code(window.pid, held_by.frame, top_share, f"thread {name}")]
    found.put("gil_share", share, words, culprits)
    found.put("gil_top_share", top_share, words, culprits)
    found.put("gil_top_cores", cores, words, culprits)
    _gil_place(window, record, found)
    _gil_victims(window, per_thread, held, found)


def _gil_place(window: Window, record: Recording, found: Found) -> None:
    """The one place that holds the lock, however many threads stand in it."""
    place_of_it = owner(record.stacks)
    if place_of_it is None:
        found.put("gil_place_share", None)
        return
    words = f"{place_of_it.share:.0%} of the time the interpreter lock is held, it is held in {place_of_it.frame.short}"
    culprit = code(window.pid, place_of_it.frame, place_of_it.share, _threads(place_of_it))
    found.put("gil_place_share", place_of_it.share, words, [culprit])


def _gil_victims(window: Window, per_thread: Mapping[int, float], held: float, found: Found) -> None:
    """Threads that keep waking to ask for the lock (every 5 ms, the switch interval) and hardly ever have it."""
    asking = [tid for tid, wakes in window.wakes.items() if wakes / window.seconds > WAKES_PER_S]
    starved = [tid for tid in asking if per_thread.get(tid, 0.0) < VICTIM_SHARE * held]
    named = ", ".join(sorted(window.names.get(tid) or f"thread {tid}" for tid in starved)[:3])
    found.put(
        "gil_victims", float(len(starved)), f"{len(starved)} threads ask for it and seldom get it" + (f": {named}" if named else "")
    )


# ---------------------------------------------------------------------------------------------- event loops


def _loop(window: Window, found: Found) -> None:
    if not window.loops:
        for name in ("loop_blocked_share", "loop_blocked_longest_s", "loop_busy_share"):
            found.put(name, 0.0, "no asyncio event loop was seen")
        return
    each = [(_blocked(window, tid), tid) for tid in window.loops]
    known = [(blocked, tid) for blocked, tid in each if blocked is not None]
    busiest = max(window.cpu.get(tid, 0.0) for tid in window.loops) / window.seconds
    found.put("loop_busy_share", min(1.0, busiest), f"the event loop's thread is on a CPU {busiest:.0%} of the time")
    if not known:
        found.put("loop_blocked_share", None, "what the loop's thread waits for may not be read")
        found.put("loop_blocked_longest_s", None)
        return
    (share, longest), tid = max(known)
    culprits = _blockers(window, tid, share)
    where = f" in {culprits[0].function}, {_brief_place(culprits[0])}" if culprits else ""
    words = f"the event loop stands still {share:.0%} of the time, at most {longest:.2f} s at once{where}"
    found.put("loop_blocked_share", share, words, culprits)
    found.put("loop_blocked_longest_s", longest, words, culprits)


def _blocked(window: Window, tid: int) -> tuple[float, float] | None:
    """Share of the time the thread slept inside a callback, and the longest stretch without a turn of the loop."""
    looks = window.looks.get(tid, ())
    if not looks or sum(look.kind is WaitKind.UNKNOWN for look in looks) > len(looks) / 2:
        return None
    gil = window.wakes.get(tid, 0.0) / window.seconds > WAKES_PER_S
    asleep = [_asleep(look, gil) for look in looks]
    share = sum(asleep) / len(asleep)
    if window.idle is not None:
        share = min(share, _callback_share(window.idle, tid))
    step = window.seconds / len(looks)
    return share, _longest(looks, asleep, gil) * step if share > 0 else 0.0


def _asleep(look: Look, gil: bool) -> bool:
    if look.kind in (WaitKind.NONE, WaitKind.EPOLL, WaitKind.UNKNOWN):
        return False
    return not (gil and look.kind is WaitKind.TIMED)


def _longest(looks: Sequence[Look], asleep: Sequence[bool], gil: bool) -> int:
    """The longest run of looks at which the loop never came back to epoll, counting runs that slept at least half of it."""
    best = run = slept = 0
    for look, sleeping in zip(looks, asleep, strict=True):
        if look.kind is WaitKind.EPOLL or (gil and look.kind is WaitKind.TIMED):
            run = slept = 0
            continue
        run, slept = run + 1, slept + sleeping
        best = max(best, run if 2 * slept >= run else 0)
    return best


def _callback_share(record: Recording, tid: int) -> float:
    inside = sum(s.weight for s in record.stacks if s.tid == tid and in_callback(s.frames) is not None)
    seen = sum(s.weight for s in record.stacks if s.tid == tid)
    return inside / seen if seen else 0.0


def _blockers(window: Window, tid: int, share: float) -> list[Culprit]:
    """The lines that make the blocking calls: samples inside callbacks, less those that were on a CPU."""
    if window.idle is None:
        return []
    weights: dict[Frame, float] = defaultdict(float)
    for record, sign in ((window.idle, 1.0), (window.wall, -1.0)):
        for stack in record.stacks if record else ():
            at = in_callback(stack.frames) if stack.tid == tid else None
            frame = deepest_own(stack.frames[at:]) if at is not None else None
            if frame is not None and record is not None:
                weights[frame] += sign * stack.weight / record.rounds
    ranked = sorted(((w, f) for f, w in weights.items() if w > 0), key=lambda pair: -pair[0])
    whole = sum(weight for weight, _ in ranked) or 1.0
    return [
        code(window.pid, frame, share * weight / whole, "blocks the event loop")
        for weight, frame in ranked[:3]
        if weight >= 0.1 * whole
    ]


def _brief(frame: Frame) -> str:
    return f"{frame.file.rsplit('/', 1)[-1]}:{frame.line}"


def _brief_place(culprit: Culprit) -> str:
    return f"{(culprit.file or '').rsplit('/', 1)[-1]}:{culprit.line}"


def _threads(top: Owner) -> str:
    line = f"line {top.frame.line} alone {top.line_share:.0%}"
    return f"{line}; thread {', '.join(top.threads[:3])}" if top.threads else line
