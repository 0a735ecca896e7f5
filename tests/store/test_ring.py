"""The ring answers as the View says, over raw, held and packed runs alike."""

from __future__ import annotations

import itertools
import random
from array import array

import pytest

from agent.model import ENTITY_ENDED, Event, Sample, Series, View, labels
from agent.store.ring import Ring
from agent.store.series import HOLD_S, SEGMENT_S

T0 = 1_700_000_000.0
CPU = Series("process_cpu_seconds_total", labels(pid=7))


def fill(ring: Ring, series: Series, seconds: int, start: float = T0, every: int = 1) -> list[tuple[float, float]]:
    """Add one sample each ``every`` seconds; returns times and values."""
    rng, truth = random.Random(5), []
    for t in range(0, seconds, every):
        value = t * 3 + rng.randint(0, 2) / 100
        ring.add(start + t, [Sample(series, value)])
        truth.append((start + t, value))
    return truth


def test_the_ring_is_a_view() -> None:
    """Type and behaviour of the View protocol."""
    view: View = Ring()
    assert (view.now, view.column("x", (), 60.0), list(view.labels("x")), list(view.events("x", 60.0))) == (0.0, None, [], [])


@pytest.mark.parametrize("window", [1.0, 10.0, 299.0, 300.0, 301.0, 1000.0, 3600.0])
@pytest.mark.parametrize("every", [1, 10])
def test_a_window_holds_exactly_its_samples(window: float, every: int) -> None:
    """Open at the old end, closed at now, however many runs it spans and whether they are packed."""
    ring = Ring()
    truth = fill(ring, CPU, 4000, every=every)
    column = ring.column(CPU.name, CPU.labels, window)
    wanted = [(t, v) for t, v in truth if ring.now - window < t]
    assert column is not None
    assert list(zip(column.times, column.values, strict=True)) == wanted
    assert isinstance(column.times, array)
    assert column.times.typecode == column.values.typecode == "d"


def test_a_fixed_moment_does_not_see_what_comes_later() -> None:
    """A diagnosis judges the moment it began, also when its samples were packed since."""
    ring = Ring()
    fill(ring, CPU, 500)
    view = ring.at(ring.now)
    before = view.column(CPU.name, CPU.labels, 400.0)
    fill(ring, CPU, 700, start=T0 + 500)
    assert view.column(CPU.name, CPU.labels, 400.0) == before
    assert view.now == T0 + 499


def test_missed_ticks_leave_gaps_and_companions_whole() -> None:
    """Series sampled together share their times until one misses a tick."""
    ring, other = Ring(), Series("other", labels(pid=7))
    for t in range(700):
        items = [Sample(CPU, float(t))] if t % 7 else [Sample(CPU, float(t)), Sample(other, -float(t))]
        ring.add(T0 + t, items)
    whole, sparse = ring.column(CPU.name, CPU.labels, 3600.0), ring.column("other", other.labels, 3600.0)
    assert whole is not None
    assert sparse is not None
    assert list(whole.times) == [T0 + t for t in range(700)]
    assert list(zip(sparse.times, sparse.values, strict=True)) == [(T0 + t, -float(t)) for t in range(0, 700, 7)]


def test_equal_handles_mean_one_series() -> None:
    """A collector that makes its handles anew each time still writes one series."""
    ring = Ring()
    for t in range(5):
        ring.add(T0 + t, [Sample(Series("load", labels(host="a")), float(t))])
    column = ring.column("load", labels(host="a"), 60.0)
    assert column is not None
    assert list(column.values) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(ring) == 1


def test_an_ended_series_is_not_live_but_readable_and_never_joined() -> None:
    """A new process with an old pid begins with an empty past."""
    ring = Ring()
    fill(ring, CPU, 20)
    before = ring.at(ring.now)
    ring.add(T0 + 20, [Event(T0 + 20, ENTITY_ENDED, labels(pid=7))])
    assert not ring.labels(CPU.name)
    ended = ring.column(CPU.name, CPU.labels, 60.0)
    assert ended is not None
    assert len(ended.values) == 20
    ring.add(T0 + 21, [Sample(CPU, 0.5)])
    successor = ring.column(CPU.name, CPU.labels, 60.0)
    assert successor is not None
    assert list(successor.values) == [0.5]
    assert list(ring.labels(CPU.name)) == [CPU.labels]
    assert list(before.labels(CPU.name)) == [CPU.labels]


def test_ending_takes_all_series_with_these_labels_and_no_others() -> None:
    """An entity is named by any of its labels, in any number."""
    ring = Ring()
    a, b = Series("gpu_util", labels(uuid="A", slot=1)), Series("gpu_util", labels(uuid="B", slot=1))
    ring.add(T0, [Sample(a, 1.0), Sample(b, 2.0), Sample(CPU, 3.0)])
    ring.end(labels(slot=1, uuid="B"))
    assert list(ring.labels("gpu_util")) == [a.labels]
    ring.end(labels(slot=1))
    assert not ring.labels("gpu_util")
    assert list(ring.labels(CPU.name)) == [CPU.labels]


@pytest.mark.parametrize(("interval", "live_for"), [(1, 15), (10, 30), (60, 180)])
def test_a_series_is_stale_after_three_of_its_own_intervals(interval: int, live_for: int) -> None:
    """But never before 15 s; what stopped leaves the live label sets at once and stays readable."""
    ring = Ring()
    fill(ring, CPU, 10 * interval, every=interval)
    last = ring.now
    assert list(ring.at(last + live_for).labels(CPU.name)) == [CPU.labels]
    assert not ring.at(last + live_for + 1).labels(CPU.name)
    assert ring.at(last + live_for + 1).column(CPU.name, CPU.labels, 3600.0) is not None


def test_old_samples_and_series_leave_the_memory() -> None:
    """After the hour a vanished series is gone, and the memory of a living one stops growing."""
    ring = Ring()
    fill(ring, Series("gone"), 10)
    fill(ring, CPU, 3700, start=T0 + 10)
    full = ring.bytes
    fill(ring, CPU, 3600, start=T0 + 3710)
    assert set(ring.names()) == {CPU.name}
    assert ring.bytes < full * 1.1
    column = ring.at(ring.now).column(CPU.name, CPU.labels, 1e9)
    assert column is not None
    assert 3600 <= len(column.times) <= 3600 + 2 * SEGMENT_S


def test_what_cannot_be_kept_is_dropped_and_counted() -> None:
    """Samples not newer than the last, values that are no number, series over the limit."""
    ring = Ring(max_series=1)
    ring.add(T0, [Sample(CPU, 1.0), Sample(CPU, 2.0), Sample(Series("too_many"), 1.0)])
    ring.add(T0 + 1, [Sample(CPU, None)])  # type: ignore[arg-type]
    ring.add(T0 - 1, [Sample(CPU, 1.0)])
    assert ring.dropped == 4
    assert ring.latest(CPU.name) == {CPU.labels: (T0, 1.0)}


def test_a_clock_set_back_far_starts_history_anew() -> None:
    """Samples from the future would hide what is measured now."""
    ring = Ring()
    fill(ring, CPU, 10)
    fill(ring, CPU, 10, start=T0 - 7200)
    column = ring.column(CPU.name, CPU.labels, 3600.0)
    assert column is not None
    assert list(column.times) == [T0 - 7200 + t for t in range(10)]
    assert ring.restarts == 1


def test_events_are_kept_by_kind_within_their_window_and_bounded() -> None:
    """The oldest give way, and it is counted."""
    ring = Ring(max_events=3)
    for t in range(5):
        ring.add(T0 + t, [Event(T0 + t, "xid", text=str(t)), Event(T0 + t, "oom")])
    assert [e.text for e in ring.events("xid", 60.0)] == ["2", "3", "4"]
    assert [e.text for e in ring.events("xid", 1.0)] == ["4"]
    assert ring.events_dropped == 4


def test_a_storm_of_short_processes_does_not_fill_the_memory() -> None:
    """Ended series beyond a bound are forgotten, the oldest first."""
    ring = Ring()
    for t in range(6000):
        pid = labels(pid=t)
        ring.add(T0 + t / 10, [Sample(Series("process_threads", pid), 1.0)])
        ring.add(T0 + t / 10, [Event(T0 + t / 10, ENTITY_ENDED, pid)])
    assert len(ring) == 0
    assert len(ring.series("process_threads", 3600.0)) <= 4000
    assert ring.bytes < 4 << 20


def test_what_a_storm_left_is_given_back_within_a_minute() -> None:
    """Forgotten series stand in the round of looking-over no longer than it takes, however few live ones there are."""
    ring = Ring()
    for t in range(30):
        pids = [labels(pid=f"{t}.{i}") for i in range(400)]
        ring.add(T0 + t, [Sample(Series("process_threads", pid), 1.0) for pid in pids])
        ring.add(T0 + t, [Event(T0 + t, ENTITY_ENDED, pid) for pid in pids])
    for t in range(30, 100):
        ring.add(T0 + t, [Sample(CPU, float(t))])
    assert ring.bytes < 3 << 20


def test_packing_is_spread_over_the_ticks() -> None:
    """However many series end their run at once, one tick packs only a few."""
    ring = Ring()
    many = [Series("m", labels(pid=i)) for i in range(600)]
    waiting = []
    for t in range(int(2 * SEGMENT_S + HOLD_S)):
        ring.add(T0 + t, [Sample(s, float(t * i % 17)) for i, s in enumerate(many)])
        waiting.append(len(ring._intake._pending))
    assert max(before - after for before, after in itertools.pairwise(waiting)) <= 4 + 600 // 300
    assert max(waiting) <= 600
