"""Runs collectors on their lanes, all on one phase, and puts what they bring into the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from functools import partial
from typing import ClassVar

from agent.dataclass import dataclass
from agent.errors import Unavailable
from agent.host.clock import Clock
from agent.host.lane import Lane, Runner, Stalled
from agent.model import Collector, Event, Item, Kind, Metric, Sample, Series, labels

log = logging.getLogger("anfl.watch")

RETRY_UNAVAILABLE_S = 60.0
LATE_S = 30.0
"""What a reading brings is put down at its beginning, or, if that is so long ago, at its end: a time far behind what others have
put down since (the whole agent may have stood still) would read as a clock set back."""
SHARED_LANE = "sampling"
Batch = list[Item]
Sink = Callable[[float, Iterable[Item]], None]


@dataclass
class _Source:
    """One collector with its schedule and health."""

    name: str
    collector: Collector
    lane: Runner
    due: float = 0.0
    trouble: str = ""
    absent: str = ""
    samples: tuple[Series, Series] = field(init=False)

    def __post_init__(self) -> None:
        own = labels(collector=self.name)
        self.samples = (Series("agent_collector_up", own), Series("agent_collector_duration_seconds", own))


class _Reading:
    """One call on a lane. If it comes back when nobody waits any more, its samples are of no use, but a log is read only once."""

    def __init__(self, read: Callable[[], Batch]) -> None:
        self._read = read
        self._brought: Batch | None = None

    def __call__(self) -> Batch:
        self._brought = self._read()
        return self._brought

    @property
    def back(self) -> bool:
        """Whether it has come back."""
        return self._brought is not None

    def events(self) -> Batch:
        """What must not be lost of it."""
        return [item for item in self._brought or () if isinstance(item, Event)]


@dataclass(frozen=True)
class SourceState:
    """How one collector is doing: ``up``, ``absent`` (this host has none) or ``down``, with the reason."""

    name: str
    state: str
    why: str = ""
    seconds: float = 0.0


class Watch:
    """Wakes once a period, runs what is due, and hands samples to the sink with the time of the tick.

    Collectors that cannot block share one lane; one with ``may_block`` has its own. A call past its timeout leaves the lane
    stalled: ``agent_collector_up`` goes to 0 and no second call piles up; the others go on.
    """

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("agent_collector_up", Kind.GAUGE, "", "1 if the collector's last reading worked, 0 if not.", ("collector",)),
        Metric(
            "agent_collector_duration_seconds", Kind.GAUGE, "seconds", "How long the collector's last reading took.", ("collector",)
        ),
        Metric("agent_tick_lateness_seconds", Kind.GAUGE, "seconds", "How late the last sampling round began."),
        Metric("agent_ticks_skipped_total", Kind.COUNTER, "", "Sampling rounds left out because the one before took too long."),
    )

    def __init__(
        self,
        collectors: Mapping[str, Collector],
        sink: Sink,
        clock: Clock,
        lane: Callable[[str], Runner] = Lane,
        period: float = 1.0,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._period = period
        shared = lane(SHARED_LANE)
        self._sources = [
            _Source(name, collector, lane(name) if collector.may_block else shared) for name, collector in collectors.items()
        ]
        self._shared = shared
        self._late = Series("agent_tick_lateness_seconds")
        self._skipped_series = Series("agent_ticks_skipped_total")
        self._skipped = 0
        self._seconds: dict[str, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._overdue: list[_Reading] = []
        self._broken: BaseException | None = None

    def hasten(self, name: str) -> None:
        """Read this source in the next round, whenever it is due by itself; one that is out, once it is back."""
        for source in self._sources:
            if source.name == name:
                source.due = 0.0

    def states(self) -> list[SourceState]:
        """Health of every collector, by name."""
        return [
            SourceState(
                s.name,
                "absent" if s.absent else "down" if s.trouble else "up",
                s.absent or s.trouble,
                self._seconds.get(s.name, 0.0),
            )
            for s in self._sources
        ]

    async def round(self, lateness: float = 0.0) -> None:
        """One sampling round. Shared collectors are awaited; blocking ones are started and report when they are done."""
        if self._broken is not None:
            raise self._broken
        now = self._clock.now()
        mono = self._clock.monotonic()
        self._take_overdue(now)
        due = [s for s in self._sources if s.due <= mono + 0.05 and (s.due or s.name not in self._running)]
        for source in due:
            source.due = max(source.due + source.collector.interval, mono) if source.due else mono + source.collector.interval
        cheap = [s for s in due if s.lane is self._shared]
        own: Batch = [Sample(self._late, lateness), Sample(self._skipped_series, float(self._skipped))]
        if cheap:
            await self._collect_shared(cheap, now, own)
        else:
            self._sink(now, own)
        for source in due:
            if source.lane is not self._shared and source.name not in self._running:
                self._start(source, now)
            elif source.lane is not self._shared:
                self._sink(now, self._health(source, 0.0, "the last reading has not come back"))

    async def settle(self, seconds: float) -> None:
        """Wait for the readings that are out, at most so long."""
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=seconds)

    def _start(self, source: _Source, now: float) -> None:
        # A lane's reading outlives the round; the set keeps the task alive and stop() waits for none of them.
        task = asyncio.get_running_loop().create_task(self._collect_alone(source, now), name=f"collect-{source.name}")
        self._running[source.name] = task
        task.add_done_callback(partial(self._over, source.name))

    def _over(self, name: str, task: asyncio.Task[None]) -> None:
        """A collector may fail, the store may not: that ends the watch, as it does in a round."""
        self._running.pop(name, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = error

    async def _on_lane(self, lane: Runner, read: Callable[[], Batch], timeout: float) -> Batch:
        """What a reading brings. Stalled past its time; what happened until it comes back is taken then."""
        begun, reading = not lane.stalled, _Reading(read)
        try:
            return await lane.run(reading, timeout)
        except Stalled:
            if begun:
                self._overdue.append(reading)
            raise

    def _take_overdue(self, now: float) -> None:
        for reading in [r for r in self._overdue if r.back]:
            self._overdue.remove(reading)
            self._sink(now, reading.events())

    async def _collect_shared(self, sources: list[_Source], began: float, batch: Batch) -> None:
        timeout = sum(s.collector.timeout for s in sources)
        try:
            batch += await self._on_lane(self._shared, partial(self._read_all, sources), timeout)
        except Stalled as stall:
            for source in sources:
                batch += self._health(source, 0.0, str(stall))
        self._put_down(began, batch)

    def _put_down(self, began: float, batch: Batch) -> None:
        now = self._clock.now()
        self._sink(began if abs(now - began) < LATE_S else now, batch)

    def _read_all(self, sources: list[_Source]) -> Batch:
        batch: Batch = []
        for source in sources:
            batch += self._read(source)
        return batch

    def _read(self, source: _Source) -> Batch:
        """On the lane: read one source; a plug-in may fail in any way and the others still run."""
        began = self._clock.monotonic()
        try:
            items = list(source.collector.collect())
        except Unavailable as none:
            source.due = began + RETRY_UNAVAILABLE_S
            if not source.absent:
                log.info("collector %s: not on this host: %s", source.name, none)
            source.absent = str(none)
            return []
        except Exception as error:
            return self._health(source, self._clock.monotonic() - began, f"{type(error).__name__}: {error}")
        source.absent = ""
        items += self._health(source, self._clock.monotonic() - began, "")
        return items

    async def _collect_alone(self, source: _Source, began: float) -> None:
        """``began`` is the time of the tick: a time of its own would be one more tick to the store and the page."""
        try:
            batch = await self._on_lane(source.lane, partial(self._read, source), source.collector.timeout)
        except Stalled as stall:
            batch = self._health(source, source.collector.timeout, str(stall))
        self._put_down(began, batch)

    def _health(self, source: _Source, seconds: float, trouble: str) -> Batch:
        """Health samples; transitions are logged once, not every round."""
        if trouble and not source.trouble:
            log.warning("collector %s: %s", source.name, trouble)
        elif source.trouble and not trouble:
            log.info("collector %s: works again", source.name)
        source.trouble = trouble
        self._seconds[source.name] = seconds
        up, took = source.samples
        return [Sample(up, 0.0 if trouble else 1.0), Sample(took, seconds)]

    async def run(self, after: Callable[[], None] | None = None) -> None:
        """Tick for ever on one phase; ``after`` is called at the end of each round (the page is rendered there)."""
        next_tick = self._clock.monotonic()
        while True:
            await self.round(max(0.0, self._clock.monotonic() - next_tick))
            if after is not None:
                after()
            next_tick += self._period
            behind = self._clock.monotonic() - next_tick
            if behind > self._period:
                missed = int(behind / self._period)
                self._skipped += missed
                next_tick += missed * self._period
            await self._clock.sleep(next_tick - self._clock.monotonic())

    def close(self) -> None:
        """Let lanes end, each after its current reading; collectors give back what they keep there. None is waited for."""
        for task in list(self._running.values()):
            task.cancel()
        for lane in {id(s.lane): s.lane for s in self._sources}.values():
            closers = [
                close for s in self._sources if s.lane is lane and (close := getattr(s.collector, "close", None)) is not None
            ]
            if isinstance(lane, Lane):
                lane.close(partial(_call_all, closers))
            else:
                _call_all(closers)


def _call_all(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()
