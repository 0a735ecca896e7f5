"""The pace of the samplers: an eighth of a core for all of them, whatever the target is like."""

from __future__ import annotations

import pytest

from agent.host import pyspy, pyspy_pace
from agent.host.pyspy_pace import SHARE, START_S, Cost, Pace

# threads, frames, CPU seconds of a dump, of a round of a record, of a round for the lock's holder, as measured
MEASURED = [
    (1, 3, 0.0127, 0.0003, 0.0003),
    (4, 23, 0.0163, 0.0007, 0.0002),
    (16, 62, 0.019, 0.0019, 0.0003),
    (16, 362, 0.027, 0.0094, 0.0003),
    (301, 1203, 0.085, 0.037, 0.0011),
    (301, 7202, 0.32, 0.153, 0.0013),
]


def spent(pace: Pace, dump_s: float, round_s: float, holder_s: float, records: int) -> float:
    """CPU seconds the samplers really take at that pace."""
    gil = START_S + round_s + (pace.holder * pace.seconds + 3) * holder_s if pace.holder else 0.0
    if pace.stacks:
        return dump_s + gil + records * (START_S + (pace.stacks * pace.seconds + 3) * round_s)
    return dump_s * (1 + pace.dumps_s // dump_s) + gil


@pytest.mark.parametrize("records", [1, 2])
@pytest.mark.parametrize(("threads", "frames", "dump_s", "round_s", "holder_s"), MEASURED)
def test_the_samplers_stay_within_the_bar_at_measured_costs(
    threads: int, frames: int, dump_s: float, round_s: float, holder_s: float, records: int
) -> None:
    """15 % of a core, dump included, from one thread to 300 with deep stacks; never above the policy rate or twice the time."""
    policy = pyspy.rate(threads), pyspy.rate(threads, gil=True)
    pace = pyspy_pace.pace(
        pyspy_pace.cost(dump_s, threads, frames), seconds=4.0, stacks=policy[0], holder=policy[1], records=records
    )
    assert spent(pace, dump_s, round_s, holder_s, records) <= 0.15 * pace.seconds + START_S
    assert 4 <= pace.seconds <= 8
    assert pace.stacks <= policy[0]
    assert 5 <= pace.holder <= policy[1]


def test_a_small_program_is_looked_at_as_often_as_the_policy_allows() -> None:
    """One thread: 100 rounds a second cost 3 % of a core, and the look lasts as long as asked."""
    pace = pyspy_pace.pace(pyspy_pace.cost(0.0127, 1, 3), seconds=4.0, stacks=100, holder=100)
    assert (pace.seconds, pace.stacks) == (4, 100)


def test_hundreds_of_threads_are_seen_by_dumps_over_a_longer_time() -> None:
    """Six snapshots take more than four seconds' allowance; sleepers are in them, too, so a loop costs no second record."""
    price = pyspy_pace.cost(0.085, 301, 1203)
    pace = pyspy_pace.pace(price, seconds=4.0, stacks=7, holder=20)
    assert pace.stacks == 0
    assert 4 < pace.seconds <= 8
    assert 1 + pace.dumps_s // price.dump_s >= pyspy_pace.ENOUGH_DUMPS
    assert pyspy_pace.pace(price, seconds=4.0, stacks=7, holder=20, records=2) == pace


def test_a_look_too_dear_for_any_allowance_still_has_a_second_one() -> None:
    """Two thousand threads of twenty frames: the first snapshot and one more, after twice the time asked for."""
    price = pyspy_pace.cost(2.0, 2000, 48_000)
    pace = pyspy_pace.pace(price, seconds=2.0, stacks=5, holder=20)
    assert (pace.seconds, pace.stacks, pace.holder) == (4, 0, 5)
    assert pace.dumps_s == price.dump_s


def test_other_children_that_end_meanwhile_make_a_look_dearer_only_within_bounds() -> None:
    """Their CPU time lies in the same sum: a frame never costs more than 100 µs."""
    assert pyspy_pace.cost(5.0, 4, 20) == pyspy_pace.cost(1.0, 4, 20)
    assert pyspy_pace.cost(5.0, 4, 20).round_s == pytest.approx(0.002)
    assert pyspy_pace.cost(0.0, 4, 20).round_s == pytest.approx(0.0005)


def test_a_target_that_is_stopped_for_samples_stands_still_four_hundredths_of_the_time() -> None:
    """Sixteen deep threads take 2 samples a second, one shallow one 88."""
    assert pyspy_pace.stopping(Cost(0.03, 0.0094, 0.0003), 100) == 2
    assert pyspy_pace.stopping(Cost(0.013, 0.0003, 0.0003), 100) == 88


@pytest.mark.parametrize(("dump_s", "took_s"), [(0.02, 0.04), (0.085, 0.15), (0.32, 0.6), (2.0, 2.5)])
def test_a_row_of_snapshots_keeps_to_its_share_or_to_two(dump_s: float, took_s: float) -> None:
    """The gaps grow with what a snapshot costs, then the snapshots become fewer; six seconds between two at most."""
    count, gap = pyspy_pace.row(dump_s, took_s, 4, 0.5)
    whole = count * took_s + (count - 1) * gap
    assert 0.5 <= gap <= pyspy_pace.LONGEST_S
    assert count == 2 or count * dump_s <= SHARE * whole * 1.001
    assert (count == 4) is (dump_s < 0.18)
