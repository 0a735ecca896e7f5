"""How often a sampler may look, from what its first look cost: all of them together take an eighth of a core at most. Pure.

Measured with py-spy 0.4 on 1 to 300 threads of 3 to 24 frames, CPU time of one core (bench/pyspy.py has the bars):

* a round of a record reads every frame of every thread, idle ones too: 20 to 31 µs each; a dump takes 1.4 to 2 times that;
* a record takes three rounds to start, and throws its last away; a dump starts in 14 ms, and counts in full;
* a round that looks for the holder of the interpreter lock reads the heads of the threads alone: 4 µs each.

So where a round is cheap a record is, and where few rounds can be afforded single dumps are; they see sleepers, too.
"""

from __future__ import annotations

from agent.dataclass import dataclass

SHARE = 0.12
"""Of one core, for all samplers of one look together; the bar is 0.15."""
HOLDER_SHARE, SLOWEST = 0.025, 5
"""Of it for the lock's holder, and looks a second for it at least."""
PAUSE = 0.04
"""Of the time, that a target may stand still where it is stopped for each sample; the bar is 0.05."""
STOPPING = 1.5
"""A round that stops the target holds it for so many rounds of plain reading."""
START_S = 0.014
ROUND_OF_DUMP = 0.6
FRAME_S = (25e-6, 100e-6)
"""CPU seconds a frame can cost: a first look beside other children that ended meanwhile seems dearer than it was."""
HEAD = 1 / 8
STARTING, DROPPED = 3, 1
"""Rounds a record takes before it counts, and rounds at its end that it does not count."""
ENOUGH_DUMPS, ENOUGH_ROUNDS = 6, 12
"""Below the first the look lasts longer; below the second a record is not worth its start."""
LONGER = 2
"""Times as long as was asked for, at most."""
LONGEST_S = 6.0
"""A row of snapshots lasts no longer; rather there are fewer."""


@dataclass(frozen=True)
class Cost:
    """CPU seconds of the sampler: a dump, a round of all stacks, a round that looks for the lock's holder."""

    dump_s: float
    round_s: float
    holder_s: float


@dataclass(frozen=True)
class Pace:
    """Whole ``seconds``; rounds a second of stacks (0: by dumps, for ``dumps_s`` CPU seconds) and of the lock's holder."""

    seconds: int
    stacks: int
    dumps_s: float
    holder: int


def cost(dump_s: float, threads: int, frames: int) -> Cost:
    """What looking costs, from the CPU time of a first dump and how much there was to read."""
    frames = max(1, frames)
    each = min(FRAME_S[1], max(FRAME_S[0], (dump_s - START_S) * ROUND_OF_DUMP / frames))
    return Cost(START_S + each * frames / ROUND_OF_DUMP, each * frames, 0.0002 + each * HEAD * threads)


def pace(price: Cost, *, seconds: float, stacks: int, holder: int, records: int = 1) -> Pace:
    """The fastest pace within :data:`SHARE`, the first dump counted in; ``stacks`` and ``holder``: policy rates, 0 = not wanted.

    ``records`` is how many records of stacks are wanted at once (a loop's sleepers take a second one; dumps show both).
    """
    least = max(1, round(seconds))
    holder = min(holder, max(SLOWEST, int(HOLDER_SHARE / price.holder_s)))
    for whole in range(least, LONGER * least + 1):
        left = SHARE * whole - price.dump_s
        if holder:
            left -= START_S + price.round_s + (holder * whole + STARTING) * price.holder_s
        if not stacks:
            return Pace(whole, 0, 0.0, holder)
        rounds = (left / records - START_S) / price.round_s - STARTING
        fits = min(stacks, int(rounds // whole))
        if fits >= 1 and fits * whole - DROPPED >= ENOUGH_ROUNDS:
            return Pace(whole, fits, 0.0, holder)
        if 1 + left // price.dump_s >= ENOUGH_DUMPS:
            break
    return Pace(whole, 0, max(left, price.dump_s), holder)  # a second look at least: one alone is chance


def stopping(price: Cost, policy: int) -> int:
    """Samples a second of a record that stops the target each time."""
    return max(1, min(policy, int(PAUSE / (STOPPING * price.round_s))))


def row(dump_s: float, took_s: float, snapshots: int, gap: float) -> tuple[int, float]:
    """How many snapshots, two at least, and seconds between them, so that the row stays within :data:`SHARE`."""
    count = max(2, min(snapshots, int(SHARE * LONGEST_S / max(dump_s, 0.001))))
    return count, min(LONGEST_S, max(gap, count * (dump_s / SHARE - took_s) / (count - 1)))
