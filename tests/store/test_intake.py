"""What comes together is kept as if every sample had come by itself."""

from __future__ import annotations

import random

import pytest

from agent.collectors._board import Board
from agent.model import ENTITY_ENDED, Event, Item, Sample, Series, labels
from agent.store.ring import Ring

T0 = 1_700_000_000.0
NAMES = ("a_total", "b_bytes", "c", "d_info")


def same(one: Ring, other: Ring, window: float) -> None:
    """Both rings answer alike."""
    assert sorted(one.names()) == sorted(other.names())
    for name in one.names():
        assert one.series(name, window) == other.series(name, window)
        assert one.latest(name) == other.latest(name)


@pytest.mark.parametrize("seed", range(4))
def test_together_or_one_by_one_is_the_same(seed: int) -> None:
    """Figures that move or not, are missing for a while, get or change a series, end and come back; over many runs."""
    draw, together, single = random.Random(seed), Ring(), Ring()
    boards: dict[int, Board] = {}
    time = T0
    for _ in range(1500):
        time += draw.choice((1.0, 1.0, 1.0, 1.0, 2.5, 20.0 if draw.random() < 0.02 else 1.0))
        items: list[Item] = []
        loose: list[Item] = []
        for pid in range(4):
            if draw.random() < 0.01 and pid in boards:
                end = Event(time, ENTITY_ENDED, labels(pid=pid))
                items.append(end)
                loose.append(end)
                if draw.random() < 0.7:
                    del boards[pid]
            board = boards.setdefault(pid, Board(labels(pid=pid)))
            board.put({name: float(draw.randint(0, 2)) for name in NAMES[:3] if name == "c" or draw.random() < 0.2})
            if draw.random() < 0.01:
                board.add(Sample(Series("d_info", labels(pid=pid, comm=draw.choice("xyz"))), 1.0))
            if draw.random() < 0.9:
                items.append(board)
                loose += board.samples()
        together.add(time, items, 1.0)
        single.add(time, loose, 1.0)
        if draw.random() < 0.02:
            same(together, single, draw.choice((1.0, 30.0, 400.0, 3600.0)))
    same(together, single, 3600.0)
    assert together.dropped == single.dropped == 0


def test_what_has_not_moved_takes_no_memory() -> None:
    """Hundreds of readings of a value that stands still are one number and a count."""
    ring, board = Ring(), Board(labels(pid=1))
    board.put({f"m{i}": 1.0 for i in range(20)})
    for t in range(200):
        board.put({"m0": float(t)})
        ring.add(T0 + t, [board])
    assert sorted(len(kept.values) > 1 for kept in ring.current()) == [False] * 19 + [True]
    column = ring.column("m7", labels(pid=1), 60.0)
    assert column is not None
    assert list(column.values) == [1.0] * 60


def test_the_page_is_told_what_moved_and_what_is_back() -> None:
    """Nothing else: a value that stands still is no news, unless nobody saw it for longer than a page shows it."""
    ring, board = Ring(), Board(labels(pid=1))
    board.put({"a": 1.0, "b": 2.0})
    ring.add(T0, [board])
    ring.news()
    board.put({"a": 1.0, "b": 3.0})
    ring.add(T0 + 1, [board])
    assert [kept.handle.name for kept in ring.news()[0]] == ["b"]
    ring.add(T0 + 2, [board])
    assert ring.news() == (set(), set())
    ring.add(T0 + 60, [board])
    assert {kept.handle.name for kept in ring.news()[0]} == {"a", "b"}


def test_figures_over_the_limit_wait_until_there_is_room() -> None:
    """Those that fit are kept, the others counted as dropped, and taken in once others have ended."""
    ring, board = Ring(max_series=3), Board(labels(pid=1))
    board.put({"a": 1.0, "b": 2.0})
    ring.add(T0, [Sample(Series("other", labels(pid=2)), 1.0), Sample(Series("more", labels(pid=2)), 1.0), board])
    ring.add(T0 + 1, [board])
    assert (len(ring), ring.dropped) == (3, 2)
    ring.end(labels(pid=2))
    for t in (2, 3):
        ring.add(T0 + t, [board])
    assert (len(ring), ring.dropped) == (2, 2)
    assert ring.latest("b") == {labels(pid=1): (T0 + 3, 2.0)}


def test_figures_that_come_twice_in_a_tick_count_once() -> None:
    """And what moved meanwhile is there with the next tick."""
    ring, board = Ring(), Board(labels(pid=1))
    board.put({"a": 1.0})
    ring.add(T0, [board])
    board.put({"a": 2.0})
    ring.add(T0, [board])
    assert ring.dropped == 1
    ring.add(T0 + 1, [board])
    assert ring.latest("a") == {labels(pid=1): (T0 + 1, 2.0)}


def test_a_clock_set_back_begins_anew_for_figures_too() -> None:
    """Nothing of the time before is written on."""
    ring, board = Ring(), Board(labels(pid=1))
    board.put({"a": 1.0})
    ring.add(T0, [board])
    ring.add(T0 - 7200, [board])
    ring.add(T0 - 7199, [board])
    column = ring.column("a", labels(pid=1), 3600.0)
    assert column is not None
    assert list(column.times) == [T0 - 7200, T0 - 7199]
