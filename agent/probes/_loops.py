"""Event loops: is one there, does it run a callback now, what keeps it from turning. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from agent.host.pyspy import Recording
from agent.host.threads import Look, WaitKind
from agent.model import Culprit
from agent.probes._found import WAKES_PER_S, Found, Window, code
from agent.stacks import Frame, deepest_own, place

_RUNNERS = ("asyncio/runners.py", "uvloop/__init__.py")


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


def loops(window: Window, found: Found) -> None:
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
    """The lines that make the blocking calls: samples inside callbacks, less those that were on a CPU.

    py-spy calls sleepers active at times (always on 3.10 and older), so what it saw active counts no more than the CPU time says.
    """
    if window.idle is None:
        return []
    weights = _inside(window.idle, tid)
    active = _inside(window.wall, tid) if window.wall is not None else {}
    on_cpu = window.cpu.get(tid, 0.0) / window.seconds
    factor = min(1.0, on_cpu / (sum(active.values()) or 1.0))
    for frame, weight in active.items():
        weights[frame] = weights.get(frame, 0.0) - weight * factor
    ranked = sorted(((w, f) for f, w in weights.items() if w > 0), key=lambda pair: -pair[0])
    whole = sum(weight for weight, _ in ranked) or 1.0
    return [
        code(window.pid, frame, share * weight / whole, "blocks the event loop")
        for weight, frame in ranked[:3]
        if weight >= 0.1 * whole
    ]


def _inside(record: Recording, tid: int) -> dict[Frame, float]:
    """Share of the rounds at which a loop's thread was seen inside a callback, by the deepest own frame there."""
    weights: dict[Frame, float] = defaultdict(float)
    for stack in record.stacks:
        at = in_callback(stack.frames) if stack.tid == tid else None
        frame = deepest_own(stack.frames[at:]) if at is not None else None
        if frame is not None:
            weights[frame] += stack.weight / record.rounds
    return weights


def _brief_place(culprit: Culprit) -> str:
    return f"{(culprit.file or '').rsplit('/', 1)[-1]}:{culprit.line}"
