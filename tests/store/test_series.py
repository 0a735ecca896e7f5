"""What the ring tells at a glance is what its columns say, to the bit."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest

from agent.collectors._board import Board
from agent.engine.rounds import Round
from agent.engine.windows import AT_A_GLANCE, judge
from agent.model import ENTITY_ENDED, Event, Labels, Sample, Series, Still, labels
from agent.store.ring import Moment, Ring

T0 = 1_700_000_000.0
NAMES = ("busy_total", "seldom_bytes", "zero", "odd")
ALL = [(name, labels(pid=pid)) for pid in range(3) for name in NAMES] + [("alone", ()), ("nothing", ())]
WINDOWS = (1.0, 8.0, 20.0, 30.0, 60.0, 120.0, 299.0, 600.0, 3600.0)


class Unglanced(Moment):
    """The same moment, of which nothing is seen at a glance."""

    __slots__ = ()

    def newest(self, name: str, labels: Labels, window: float) -> tuple[float, float] | None:
        column = self.column(name, labels, window)
        return None if column is None else (column.times[-1], column.values[-1])

    def still(self, name: str, labels: Labels, window: float) -> Still | None:
        return None


def lives(seed: int) -> Iterator[Ring]:
    """Processes that stand still for long, move, miss ticks, pause, end and come back; now and then the ring as it is."""
    draw, ring, time = random.Random(seed), Ring(keep=2000.0), T0
    boards: dict[int, Board] = {}
    alone = Series("alone")
    for _ in range(1600):
        time += draw.choice((1.0, 1.0, 1.0, 1.0, 2.5, 90.0 if draw.random() < 0.01 else 1.0))
        items: list[Board | Event | Sample] = [Sample(alone, float(int(time) // 700))] if draw.random() < 0.95 else []
        for pid in range(3):
            if draw.random() < 0.003 and boards.pop(pid, None) is not None:
                items.append(Event(time, ENTITY_ENDED, labels(pid=pid)))
            board = boards.setdefault(pid, Board(labels(pid=pid)))
            board.put({"busy_total": draw.random(), "zero": draw.choice((0.0, -0.0))})
            if not board.samples()[2:] or draw.random() < 0.01:
                board.put({"seldom_bytes": float(draw.randint(0, 9)), "odd": draw.choice((math.nan, math.inf, 1.0))})
            if draw.random() < 0.97:
                items.append(board)
        ring.add(time, items, 1.0)
        if draw.random() < 0.08:
            yield ring


@pytest.mark.parametrize("seed", range(3))
def test_a_glance_tells_what_the_column_says(seed: int) -> None:
    """At the newest tick and at earlier moments; and the judge makes the same of it."""
    draw, seen = random.Random(seed), 0
    for ring in lives(seed):
        now = draw.choice((ring.now, ring.now, ring.now - draw.randint(1, 500)))
        view, plain, window = ring.at(now), Unglanced(ring, now), draw.choice(WINDOWS)
        for name, known in ALL:
            column, newest, still = (
                view.column(name, known, window),
                view.newest(name, known, window),
                view.still(name, known, window),
            )
            assert repr(newest) == repr(plain.newest(name, known, window))
            if still is not None:
                assert column is not None
                assert (still.count, still.first, still.last) == (len(column.times), column.times[0], column.times[-1])
                assert len(set(column.values)) == 1
                assert column.values.tobytes() == column.values[:1].tobytes() * still.count
                seen += 1
            one, other = Round(view), Round(plain)
            assert repr(one.last(name, known)) == repr(other.last(name, known))
            for function in sorted(AT_A_GLANCE):
                value = one.window(function, name, known, window)
                assert repr(value) == repr(judge(function, column, window, now)), (function, name, window)
    assert seen > 100


def test_reading_writes_nothing() -> None:
    """What stands still takes no memory, however often it is asked for; the answers stay the same."""
    ring, handle = Ring(), Series("level")
    for t in range(500):
        ring.add(T0 + t, [Sample(handle, 1.0 + (t > 420))])
    view = ring.at(ring.now)
    size, before = ring.bytes, view.column("level", (), 400.0)
    for window in WINDOWS:
        view.column("level", (), window)
    assert ring.bytes == size
    assert view.column("level", (), 400.0) == before
