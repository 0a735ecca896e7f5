"""Sampling rounds: health, absence, stalls, schedule."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from agent.errors import Unavailable
from agent.host.clock import SystemClock
from agent.host.lane import InlineLane, Lane
from agent.model import Event, Item, Metric, Sample, Series
from agent.sources import Reading
from agent.store.ring import Ring
from agent.watch import Watch
from tests.fakes.clock import FakeClock


@dataclass
class Source:
    """A collector that does as it is told."""

    does: Callable[[], Iterable[Sample | Event]]
    interval: float = 1.0
    timeout: float = 1.0
    metrics: ClassVar[tuple[Metric, ...]] = ()
    may_block: ClassVar[bool] = False
    calls: int = field(default=0, init=False)

    def collect(self) -> Iterable[Sample | Event]:
        self.calls += 1
        return self.does()


class Blocking(Source):
    may_block: ClassVar[bool] = True


class Kept:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, str, str, float]] = []
        self.events: list[str] = []

    def __call__(self, time: float, items: Iterable[Item]) -> None:
        for item in items:
            if isinstance(item, Event):
                self.events.append(item.text)
            if isinstance(item, Sample):
                own = dict(item.series.labels).get("collector", "")
                self.samples.append((time, item.series.name, own, item.value))

    def ups(self, collector: str) -> list[float]:
        """Whether its readings worked, one after the other."""
        return [v for _, n, c, v in self.samples if (n, c) == ("agent_collector_up", collector)]

    def last(self, name: str, collector: str = "") -> float:
        return next(v for _, n, c, v in reversed(self.samples) if (n, c) == (name, collector))


LOAD = Series("host_load1")
START = 1_700_000_000.0


def one() -> list[Sample | Event]:
    """One good sample."""
    return [Sample(LOAD, 0.5)]


def broken() -> list[Sample | Event]:
    """A reading that fails."""
    raise ValueError("garbled line")


def absent() -> list[Sample | Event]:
    """A source this host lacks."""
    raise Unavailable("no such source here")


async def test_a_round_stores_what_collectors_bring_with_the_time_of_the_tick() -> None:
    """Samples of one round carry one time, and health samples ride along."""
    clock, kept = FakeClock(1000.0), Kept()
    await Watch({"load": Source(one)}, kept, clock, lambda name: InlineLane()).round()
    assert (1000.0, "host_load1", "", 0.5) in kept.samples
    assert kept.last("agent_collector_up", "load") == 1.0


async def test_what_comes_from_a_lane_of_its_own_carries_the_time_of_its_tick_too() -> None:
    """However long it took: a time of its own would be one more tick to the store."""
    clock, kept = FakeClock(1000.0), Kept()

    def slow() -> list[Sample | Event]:
        clock._now += 0.4
        return one()

    watch = Watch({"load": Blocking(slow)}, kept, clock, lambda name: InlineLane())
    await watch.round()
    await watch.settle(1.0)
    assert {time for time, *_ in kept.samples} == {1000.0}


async def test_one_broken_collector_does_not_hide_the_others() -> None:
    """A collector that raises is down with its reason; its neighbour's samples arrive."""
    clock, kept = FakeClock(), Kept()
    watch = Watch({"bad": Source(broken), "load": Source(one)}, kept, clock, lambda name: InlineLane())
    await watch.round()
    assert kept.last("agent_collector_up", "bad") == 0.0
    assert kept.last("host_load1") == 0.5
    assert [(s.state, s.why) for s in watch.states()] == [("down", "ValueError: garbled line"), ("up", "")]


async def test_a_source_this_host_lacks_is_absent_and_asked_again_later() -> None:
    """Unavailable is no failure: no health sample, state absent, next try a minute on."""
    clock, kept = FakeClock(), Kept()
    source = Source(absent)
    watch = Watch({"psi": source}, kept, clock, lambda name: InlineLane())
    for _ in range(30):
        await watch.round()
        await clock.advance(1.0)
    assert source.calls == 1
    assert watch.states()[0].state == "absent"
    await clock.advance(60.0)
    await watch.round()
    assert source.calls == 2


async def test_slow_collectors_run_at_their_own_interval() -> None:
    """A collector with a 10 s interval is read twice in twenty one-second rounds."""
    clock, kept = FakeClock(), Kept()
    fast, slow = Source(one), Source(one, interval=10.0)
    watch = Watch({"fast": fast, "slow": slow}, kept, clock, lambda name: InlineLane())
    for _ in range(20):
        await watch.round()
        await clock.advance(1.0)
    assert (fast.calls, slow.calls) == (20, 2)


async def test_a_collector_that_hangs_stalls_only_its_own_lane() -> None:
    """While one lane hangs no second call piles up, the shared lane goes on, and the hung one reads down."""
    release = threading.Event()

    def hang() -> list[Sample | Event]:
        release.wait(10)
        return []

    kept = Kept()
    hung = Blocking(hang, timeout=0.05)
    watch = Watch({"nfs": hung, "load": Source(one)}, kept, FakeClock(), Lane)
    try:
        await watch.round()
        await asyncio.sleep(0.15)
        assert kept.last("agent_collector_up", "nfs") == 0.0
        assert kept.last("host_load1") == 0.5
        assert hung.calls == 1
    finally:
        release.set()
        watch.close()


async def test_a_collector_is_closed_on_its_own_lane_after_its_reading() -> None:
    """Giving kept files back never races with a reading that is still under way."""
    release, order = threading.Event(), list[str]()

    def slow() -> list[Sample | Event]:
        release.wait(10)
        order.append("read")
        return []

    source = Source(slow, timeout=0.05)
    source.close = lambda: order.append("closed")  # type: ignore[attr-defined]
    watch = Watch({"slow": source}, Kept(), FakeClock(), Lane)
    await watch.round()
    watch.close()
    release.set()
    for _ in range(500):
        if len(order) == 2:
            break
        await asyncio.sleep(0.01)
    assert order == ["read", "closed"]


async def test_running_keeps_one_phase_and_counts_skipped_ticks() -> None:
    """Rounds come once a second; rounds that a slow one swallowed are counted, not made up."""
    clock, kept = FakeClock(), Kept()
    pauses = iter([0.0, 3.5])

    def after() -> None:
        clock._now += next(pauses, 0.0)  # the round itself took this long

    source = Source(one)
    watch = Watch({"load": source}, kept, clock, lambda name: InlineLane())
    task = asyncio.ensure_future(watch.run(after))
    await clock.advance(8.0)
    task.cancel()
    assert kept.last("agent_ticks_skipped_total") == 2.0
    assert 5 <= source.calls <= 8


def test_of_a_reading_that_came_too_late_only_what_happened_counts() -> None:
    """Its samples are of a moment that is long past."""
    event = Event(START, "kernel", (), "a GPU fell off the bus")
    reading = Reading(lambda: [event, *one()])
    assert (reading.back, reading.events()) == (False, [])
    assert len(reading()) == 2
    assert (reading.back, reading.events()) == (True, [event])


async def seen(what: Callable[[], bool]) -> None:
    """Wait until it is so."""
    for _ in range(1000):
        if what():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


async def test_the_shared_lane_keeps_the_phase_by_itself() -> None:
    """With real threads: each round has the time at which it began on the lane, never before its moment."""
    kept, source = Kept(), Source(one, interval=0.1)
    clock = SystemClock()
    watch, began = Watch({"load": source}, kept, clock, Lane, period=0.1), clock.now()
    task = asyncio.ensure_future(watch.run())
    await seen(lambda: source.calls >= 4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    watch.close()
    times = [time for time, name, *_ in kept.samples if name == "host_load1"]
    assert all(time >= began + 0.1 * number - 0.01 for number, time in enumerate(times))
    assert kept.last("agent_tick_lateness_seconds") >= 0.0


async def test_a_shared_lane_that_hangs_is_said_in_every_round_and_the_others_go_on() -> None:
    """The loop keeps the phase itself meanwhile; once the reading is back the lane does again."""
    release, hang = threading.Event(), threading.Event()

    def slow() -> list[Sample | Event]:
        if hang.is_set():
            release.wait(10)
        return one()

    kept, own = Kept(), Blocking(one, interval=0.05)
    watch = Watch({"slow": Source(slow, interval=0.05, timeout=0.05), "own": own}, kept, SystemClock(), Lane, period=0.05)
    task = asyncio.ensure_future(watch.run())
    try:
        await seen(lambda: kept.ups("slow")[-1:] == [1.0])
        hang.set()
        await seen(lambda: kept.ups("slow")[-3:] == [0.0, 0.0, 0.0])
        calls = own.calls
        await seen(lambda: own.calls >= calls + 2)
        hang.clear()
        release.set()
        await seen(lambda: kept.ups("slow")[-1] == 1.0)
    finally:
        release.set()
        task.cancel()
        watch.close()


async def test_a_source_can_be_hastened() -> None:
    """Somebody diagnoses: the next round reads it, whenever it was due by itself."""
    clock, kept = FakeClock(), Kept()
    slow, other = Source(one, interval=60.0), Source(one, interval=60.0)
    watch = Watch({"slow": slow, "other": other}, kept, clock, lambda name: InlineLane())
    for _ in range(2):
        await watch.round()
        await clock.advance(1.0)
        watch.hasten("slow")
    await watch.round()
    assert (slow.calls, other.calls) == (3, 1)


async def test_settling_waits_for_readings_that_are_out_and_not_for_ever() -> None:
    """The doctor wants the state of every source, also of those on a lane of their own."""
    release = threading.Event()

    def slow() -> list[Sample | Event]:
        release.wait(10)
        return one()

    watch = Watch({"slow": Blocking(slow, timeout=20.0)}, Kept(), FakeClock(), Lane)
    try:
        await watch.settle(0.0)
        await watch.round()
        await watch.settle(0.05)
        release.set()
        await watch.settle(10.0)
        assert [(s.name, s.state) for s in watch.states()] == [("slow", "up")]
    finally:
        release.set()
        watch.close()


@pytest.mark.parametrize("kind", [Source, Blocking])
async def test_what_happened_is_not_lost_when_a_reading_comes_back_too_late(kind: type[Source]) -> None:
    """A log is read only once; the samples of a moment that is long past are of no use."""
    release, lanes = threading.Event(), list[Lane]()

    def slow() -> list[Sample | Event]:
        release.wait(10)
        return [Event(START, "kernel", (), "a GPU fell off the bus"), *one()]

    def lane(name: str) -> Lane:
        lanes.append(Lane(name))
        return lanes[-1]

    clock, kept = FakeClock(), Kept()
    watch = Watch({"log": kind(slow, timeout=0.05)}, kept, clock, lane)
    try:
        await watch.round()
        await watch.settle(5.0)
        assert kept.last("agent_collector_up", "log") == 0.0
        release.set()
        while any(each.stalled for each in lanes):
            pass
        await clock.advance(0.5)
        await watch.round()
        assert kept.events == ["a GPU fell off the bus"]
        assert not [s for s in kept.samples if s[1] == "host_load1"]
        await watch.round()
        assert len(kept.events) == 1
    finally:
        watch.close()


@pytest.mark.parametrize("kind", [Source, Blocking])
async def test_history_is_not_begun_anew_when_the_whole_agent_stood_still(kind: type[Source]) -> None:
    """A machine that was paused: what was out then is put down now, not at a time that others have left behind."""
    clock, ring, release = FakeClock(), Ring(), threading.Event()

    def slow() -> list[Sample | Event]:
        release.wait(10)
        return one()

    watch = Watch({"slow": kind(slow, timeout=20.0)}, ring.add, clock, Lane)
    ring.add(clock.now() - 100.0, [Sample(Series("known"), 1.0)])
    reading = asyncio.ensure_future(watch.round())
    await asyncio.sleep(0.05)
    await clock.advance(300.0)
    ring.add(clock.now(), [Sample(Series("known"), 2.0)])
    release.set()
    await reading
    await watch.settle(5.0)
    watch.close()
    assert ring.restarts == 0
    assert len(ring.series("known", 3600.0)[()].values) == 2


async def test_a_source_that_is_out_is_hastened_once_it_is_back() -> None:
    """It is neither down because somebody wants it sooner, nor forgotten."""
    release = threading.Event()

    def slow() -> list[Sample | Event]:
        release.wait(10)
        return one()

    clock, kept, source = FakeClock(), Kept(), Blocking(slow, interval=60.0, timeout=20.0)
    watch = Watch({"slow": source}, kept, clock, Lane)
    try:
        await watch.round()
        watch.hasten("slow")
        await clock.advance(1.0)
        await watch.round()
        assert not [s for s in kept.samples if s[1] == "agent_collector_up"]
        release.set()
        await watch.settle(5.0)
        await clock.advance(1.0)
        await watch.round()
        await watch.settle(5.0)
        assert source.calls == 2
    finally:
        release.set()
        watch.close()


async def test_a_store_that_fails_under_a_reading_of_its_own_lane_ends_the_watch() -> None:
    """It does under the others, and an agent that keeps nothing must not look alive."""

    def sink(time: float, items: Iterable[Item]) -> None:
        if LOAD in [item.series for item in items if isinstance(item, Sample)]:
            raise MemoryError

    watch = Watch({"own": Blocking(one)}, sink, FakeClock(), lambda name: InlineLane())
    await watch.round()
    await watch.settle(5.0)
    with pytest.raises(MemoryError):
        await watch.round()
