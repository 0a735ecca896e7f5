"""What the recorder fetches from the ring, and what it fetches again."""

from __future__ import annotations

from array import array

from agent.model import Sample, Series
from agent.store.frame import Frame
from agent.store.gather import Gatherer
from agent.store.ring import Ring


def times(frame: Frame) -> list[float]:
    """Every moment in it."""
    return sorted({t for batch in frame.batches for t in array("d", batch.times)})


def test_nothing_is_fetched_twice_and_nothing_is_left_out() -> None:
    """However the calls fall between the ticks."""
    ring = Ring()
    gatherer = Gatherer(ring)
    gatherer.begin_file()
    series, seen = Series("up"), []
    for i in range(700):
        ring.add(float(i), [Sample(series, float(i % 3))])
        if i % 7 == 0:
            seen += times(gatherer.frame(-1.0))
    assert seen == [float(i) for i in range(694)]


def test_what_was_given_back_comes_again_with_what_came_since() -> None:
    """A disk that refused must not make a hole."""
    ring = Ring()
    gatherer = Gatherer(ring)
    gatherer.begin_file()
    series = Series("up")
    ring.add(1.0, [Sample(series, 1.0)])
    gatherer.frame(0.0)
    ring.add(2.0, [Sample(series, 2.0)])
    gatherer.give_back(gatherer.frame(0.0))
    ring.add(3.0, [Sample(series, 2.0)])
    gatherer.begin_file()
    frame = gatherer.frame(0.0)
    assert times(frame) == [2.0, 3.0]
    assert [name for _, name, _ in frame.series] == ["up"]
