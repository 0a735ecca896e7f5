"""Runs collectors on their lanes, all on one phase, and puts what they bring into the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import ClassVar

from agent.dataclass import dataclass
from agent.errors import Unavailable
from agent.host.clock import Clock
from agent.host.lane import Lane, Runner, Stalled
from agent.model import Collector, Item, Kind, Metric, Sample, Series
from agent.sources import Batch, Reading, Source, Turn

log = logging.getLogger("anfl.watch")

RETRY_UNAVAILABLE_S = 60.0
EARLY_S = 0.05
"""A source due so soon after a round's beginning is read in it."""
ASIDE_S = 0.05
"""Blocking sources are read when the loop is done with the round's own samples: both at once would only wait for each other."""
LATE_S = 30.0
"""What a reading brings is put down at its beginning, or, if that is so long ago, at its end: a time far behind what others have
put down since (the whole agent may have stood still) would read as a clock set back."""
SHARED_LANE = "sampling"
Sink = Callable[[float, Iterable[Item]], None]


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
            Source(name, collector, lane(name) if collector.may_block else shared) for name, collector in collectors.items()
        ]
        self._shared = shared
        self._late = Series("agent_tick_lateness_seconds")
        self._skipped_series = Series("agent_ticks_skipped_total")
        self._skipped = 0
        self._seconds: dict[str, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._hastened: set[str] = set()
        self._overdue: list[Reading] = []
        self._broken: BaseException | None = None

    def hasten(self, name: str) -> None:
        """Read this source in the next round, whenever it is due by itself; one that is out, once it is back."""
        self._hastened.add(name)

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

    async def round(self, tick: float | None = None) -> None:
        """One sampling round, at that moment of the monotonic clock if it is still to come.

        Shared collectors are awaited; blocking ones are started and report when they are done. The shared lane waits for the
        moment by itself, so that the loop wakes once a round, for what the lane brings.
        """
        if self._broken is not None:
            raise self._broken
        mono = self._clock.monotonic()
        turn = Turn(mono if tick is None else tick)
        wait = turn.planned - mono
        likely = [s for s in self._sources if s.lane is self._shared and self._is_due(s, turn.planned)]
        if likely and wait > 0 and isinstance(self._shared, Lane) and not self._shared.stalled:
            await self._collect_shared(turn, likely, wait)
        else:
            if tick is not None:
                await self._clock.sleep(wait)
            self._begin(turn)
            await self._collect_shared(turn, turn.cheap(self._shared))
        for source in turn.due:
            if source.lane is not self._shared and source.name not in self._running:
                self._start(source, turn)
            elif source.lane is not self._shared:
                self._sink(turn.now, self._health(source, 0.0, "the last reading has not come back"))

    def _is_due(self, source: Source, mono: float) -> bool:
        return source.due <= mono + EARLY_S or (source.name in self._hastened and source.name not in self._running)

    def _begin(self, turn: Turn) -> None:
        """The moment of the round has come: on the shared lane as a rule."""
        mono, turn.now, turn.begun = self._clock.monotonic(), self._clock.now(), True
        turn.late = max(0.0, mono - turn.planned)
        turn.due = [s for s in self._sources if self._is_due(s, mono)]
        for source in turn.due:
            regular, following = source.due + source.collector.interval, mono + source.collector.interval
            hastened = source.name in self._hastened and source.name not in self._running
            if hastened:
                self._hastened.discard(source.name)
            source.due = max(regular, mono) if source.due and not hastened else following

    async def settle(self, seconds: float) -> None:
        """Wait for the readings that are out, at most so long."""
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=seconds)

    def _start(self, source: Source, turn: Turn) -> None:
        # A lane's reading outlives the round; the set keeps the task alive and stop() waits for none of them.
        task = asyncio.get_running_loop().create_task(self._collect_alone(source, turn), name=f"collect-{source.name}")
        self._running[source.name] = task
        task.add_done_callback(partial(self._over, source.name))

    def _over(self, name: str, task: asyncio.Task[None]) -> None:
        """A collector may fail, the store may not: that ends the watch, as it does in a round."""
        self._running.pop(name, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = error

    async def _on_lane(self, lane: Runner, read: Callable[[], Batch], timeout: float, wait: float, every: float) -> Batch:
        """What a reading brings. Stalled past its time; what happened until it comes back is taken then.

        ``wait``: a lane with a thread makes it so much later, and looks for the one after it in ``every`` seconds.
        """
        begun, reading = not lane.stalled, Reading(read)
        try:
            if wait and isinstance(lane, Lane):
                return await lane.run_later(reading, timeout, wait, every)
            return await lane.run(reading, timeout)
        except Stalled:
            if begun:
                self._overdue.append(reading)
            raise

    def _take_overdue(self, began: float) -> None:
        for reading in [r for r in self._overdue if r.back]:
            self._overdue.remove(reading)
            self._put_down(began, reading.events())

    async def _collect_shared(self, turn: Turn, sources: list[Source], wait: float = 0.0) -> None:
        """``sources``: who is due; where the lane waits for the round, who will be."""
        read = partial(self._begin_and_read, turn) if wait else partial(self._read_all, sources)
        batch: Batch = []
        if sources:
            try:
                batch = await self._on_lane(self._shared, read, sum(s.collector.timeout for s in sources), wait, self._period)
            except Stalled as stall:
                if not turn.begun:
                    self._begin(turn)
                for source in turn.cheap(self._shared):
                    batch += self._health(source, 0.0, str(stall))
        self._take_overdue(turn.now)
        own: Batch = [Sample(self._late, turn.late), Sample(self._skipped_series, float(self._skipped))]
        self._put_down(turn.now, own + batch)

    def _begin_and_read(self, turn: Turn) -> Batch:
        if turn.begun:  # nobody waits any more
            return []
        self._begin(turn)
        return self._read_all(turn.cheap(self._shared))

    def _put_down(self, began: float, batch: Batch) -> None:
        now = self._clock.now()
        self._sink(began if abs(now - began) < LATE_S else now, batch)

    def _read_all(self, sources: list[Source]) -> Batch:
        batch: Batch = []
        for source in sources:
            batch += self._read(source)
        return batch

    def _read(self, source: Source) -> Batch:
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

    async def _collect_alone(self, source: Source, turn: Turn) -> None:
        """What it brings has the time of the tick: a time of its own would be one more tick to the store and the page."""
        read, every = partial(self._read, source), source.collector.interval
        wait = max(0.0, turn.planned + ASIDE_S - self._clock.monotonic())
        try:
            batch = await self._on_lane(source.lane, read, source.collector.timeout, wait, every)
        except Stalled as stall:
            batch = self._health(source, source.collector.timeout, str(stall))
        self._put_down(turn.now, batch)

    def _health(self, source: Source, seconds: float, trouble: str) -> Batch:
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
            await self.round(next_tick)
            if after is not None:
                after()
            next_tick += self._period
            behind = self._clock.monotonic() - next_tick
            if behind > self._period:
                missed = int(behind / self._period)
                self._skipped += missed
                next_tick += missed * self._period

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
