"""A ring that is filled from a recording is the ring that was recorded."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agent.model import ENTITY_ENDED, Event, Sample, Series, labels
from agent.past import feed
from agent.store.recorder import Recorder
from agent.store.recording import Recording
from agent.store.ring import Ring

START = 1_700_000_000.0
SECONDS = 700


def lived(folder: Path) -> Ring:
    """Host figures, slow ones, and processes that come, miss a tick, go and come again, over two files of the recording."""
    rng, ring = random.Random(3), Ring()
    recorder = Recorder(str(folder), ring, {})
    host = [Series(f"host_{i}") for i in range(12)]
    processes = {pid: [Series(f"process_{i}", labels(pid=pid)) for i in range(4)] for pid in range(9)}
    for t in range(SECONDS):
        now, pid = START + t, (t // 50) % 9
        if t % 50 == 20:
            ring.add(now, [Event(now, ENTITY_ENDED, labels(pid=pid))])
            processes[pid] = [Series(f"process_{i}", labels(pid=pid)) for i in range(4)]
        alive = [s for n, mine in processes.items() for s in mine if not (n == pid and 20 <= t % 50 < 33) and rng.random() > 0.01]
        rows = [Sample(s, float(rng.choice([1, 1, 1, t, 0.5]))) for s in (*host, *alive)]
        ring.add(now, [*rows, *([Sample(Series("slow"), float(t))] if t % 60 == 5 else [])])
        if t % 8 == 7:
            recorder.write(recorder.gather(now))
    recorder.write(recorder.gather(START + SECONDS))
    recorder.close("test")
    return ring


def content(ring: Ring, names: set[str], window: float) -> dict[object, object]:
    """Every reading of the window, by series."""
    found = {(name, known): c for name in names for known, c in ring.series(name, window).items()}
    return {key: (list(c.times), list(c.values)) for key, c in found.items()}


def test_a_relived_ring_holds_what_the_living_one_held(tmp_path: Path) -> None:
    """Every series that is current, to the bit; the same ones are live."""
    ring, again = lived(tmp_path), Ring()
    moments = list(feed(again, Recording(str(tmp_path)), START - 1, START + SECONDS))
    assert moments == [START + t for t in range(SECONDS)]
    names = set(ring.names())
    assert set(again.names()) == names
    assert content(again, names, 4000.0) == content(ring, names, 4000.0)
    assert {n: sorted(again.labels(n)) for n in names} == {n: sorted(ring.labels(n)) for n in names}


def test_a_stretch_of_it_begins_and_ends_where_it_is_asked_to(tmp_path: Path) -> None:
    """In the middle of records, with the values of then."""
    ring, again, span = lived(tmp_path), Ring(), 333
    moments = list(feed(again, Recording(str(tmp_path)), START + 203, START + 203 + span))
    assert moments == [START + 204 + i for i in range(span)]
    view, names = ring.at(START + 203 + span), {f"host_{i}" for i in range(12)}
    found = {(name, known): c for name in names for known, c in view.series(name, float(span)).items()}
    assert content(again, names, 4000.0) == {key: (list(c.times), list(c.values)) for key, c in found.items()}


@pytest.mark.parametrize("seed", range(2))
def test_by_lots_or_moment_by_moment_is_the_same(tmp_path: Path, seed: int) -> None:
    """Wherever somebody halts: the same moments are seen, with the same series live and the same readings."""
    draw, folder, lots, single = random.Random(seed), Recording(str(tmp_path)), Ring(keep=500.0), Ring(keep=500.0)
    lived(tmp_path)
    span = (START + draw.randint(-1, 300), START + SECONDS)
    wanted = {START + t for t in range(SECONDS) if draw.random() < draw.choice((0.02, 0.3))}
    moments = feed(single, folder, *span)
    for stop in feed(lots, folder, *span, lambda moment: moment in wanted):
        for moment in moments:
            assert moment not in wanted or moment == stop
            if moment == stop:
                break
        names = set(single.names())
        assert (lots.now, lots.ticks, lots.dropped) == (single.now, single.ticks, single.dropped)
        assert {n: sorted(lots.labels(n)) for n in names} == {n: sorted(single.labels(n)) for n in names}
        assert {n: lots.latest(n) for n in names} == {n: single.latest(n) for n in names}
        window = draw.choice((5.0, 60.0, 500.0))
        if draw.random() < 0.1 or stop == span[1] - 1:
            assert content(lots, names, window) == content(single, names, window)
    assert set(lots.names()) == set(single.names())
    assert next(moments, None) is None
