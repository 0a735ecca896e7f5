"""From samples and CPU times to answers: who burns the CPU, who holds the interpreter lock, how much is collecting. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from agent.host.pyspy import Recording
from agent.model import Culprit
from agent.probes._found import WAKES_PER_S, Found, Window, code
from agent.probes._loops import loops
from agent.stacks import Frame, Owner, Stack, by_thread, deepest_own, owner, reweigh, total

IDLE_CORES = 0.05
"""A process that burns less than this is idle; its samples say nothing about a hotspot (py-spy calls sleepers active at times)."""
VICTIM_SHARE = 0.15
"""A thread with less of the lock's held time than this, while it keeps asking, waits for others."""
FEW_ROUNDS = 20
"""Rounds below which a share of samples is off by ten points or more, and the words say how few there were."""
HOLDS = 0.9
"""A thread whose lock time is at least this part of its CPU time computes in Python alone."""


# ---------------------------------------------------------------------------------------------- judging


def judge(window: Window) -> Found:
    """All answers one window supports."""
    found = Found()
    found.put("python_threads", float(window.python_threads))
    _hot(window, found)
    _gil(window, found)
    loops(window, found)
    _collector(window, found)
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
    words = f"{top.frame.short} in {_brief(top.frame)} owns {top.share:.0%} of {window.cores:.2f} cores burnt" + _few(window.wall)
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


def _collector(window: Window, found: Found) -> None:
    """Collections run at the line that allocates: that is where the CPU time shows."""
    if window.collecting is None:
        found.put("gc_share", None, "this interpreter does not show when it collects garbage")
        return
    top = owner(on_cpu(window)) if window.collecting > 0 else None
    culprits = [code(window.pid, top.frame, window.collecting, "allocates while garbage is collected")] if top else []
    found.put("gc_share", window.collecting, f"garbage is collected {window.collecting:.0%} of the time", culprits)


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


def _few(record: Recording) -> str:
    return f" (all threads were seen {record.rounds} times only)" if record.rounds < FEW_ROUNDS else ""


def _brief(frame: Frame) -> str:
    return f"{frame.file.rsplit('/', 1)[-1]}:{frame.line}"


def _threads(top: Owner) -> str:
    line = f"line {top.frame.line} alone {top.line_share:.0%}"
    return f"{line}; thread {', '.join(top.threads[:3])}" if top.threads else line
