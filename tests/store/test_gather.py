"""What the recorder fetches from the ring, and what it fetches again."""

from __future__ import annotations

from array import array

from agent.model import Sample, Series, labels
from agent.store.frame import Frame
from agent.store.gather import STEP, Gatherer
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


def test_a_ring_that_is_fed_between_the_steps_loses_and_doubles_nothing() -> None:
    """A frame is cut at the moment it was begun, whichever series' turn it is; new, ended and stalled ones among them."""
    ring = Ring()
    gatherer = Gatherer(ring)
    gatherer.begin_file()
    series = [Series("up", labels(n=i)) for i in range(2 * STEP + 9)]
    fed: set[tuple[str, float]] = set()
    seen: list[tuple[str, float]] = []
    now = 0.0

    def tick() -> None:
        nonlocal now
        now += 1.0
        if now % 50 == 0:
            ring.end(series.pop(0).labels)
            series.append(Series("up", labels(n=f"new{now}")))
        items = [Sample(s, now if i % 3 == 0 else 0.0) for i, s in enumerate(series) if (now + i) % 31]
        ring.add(now, items)
        fed.update((s.labels[0][1], now) for s, _ in items)

    names: dict[int, str] = {}
    for _ in range(70):
        tick()
        tick()
        begun = ring.now
        for step in gatherer.gathering(-1.0):
            if step is None:
                tick()
                continue
            names |= {number: known[0][1] for number, _, known in step.series}
            found = times(step)
            assert not found or found[-1] <= begun
            seen += [(names[t.id], m) for b in step.batches for m in array("d", b.times) for t in b.tracks]
    for step in (gatherer.frame(-1.0),):
        names |= {number: known[0][1] for number, _, known in step.series}
        seen += [(names[t.id], m) for b in step.batches for m in array("d", b.times) for t in b.tracks]
    assert len(seen) == len(set(seen))
    assert set(seen) == fed
