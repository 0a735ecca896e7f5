"""The flight recorder at work in the daemon: a record every few seconds, closed files compacted, old ones gone, an end in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from agent.dataclass import dataclass
from agent.engine.report import when
from agent.errors import AgentError
from agent.host.clock import Clock
from agent.host.lane import Lane, Runner, Stalled
from agent.host.run import run
from agent.model import Event, JsonObject, Kind, Metric, Sample, Series
from agent.store import compact, recfile
from agent.store.frame import Frame
from agent.store.recorder import FLUSH_S, Recorder
from agent.store.recording import Recording, report
from agent.store.ring import Ring

log = logging.getLogger("anfl.recorder")

WRITE_S = 60.0
"""A disk that takes no 100 KiB within a minute is stuck; the ring goes on, and the next record waits for it."""
COMPACT_S = 120.0
COMPACT_MEMORY = 2 << 30
TIDY_EVERY_S = 320.0
END_S = 5.0
TURN_S, SLOW_S = 0.05, 5.0
"""How often it is looked whether the disk is done, and when that has taken so long that it is said."""
LIFE = "agent"
"""Event: something in the agent's own life. Field ``kind``: ``killed``, or ``host_died`` if the host went down with it; ``last``:
when the recording before this start ends."""


@dataclass(frozen=True)
class Ended:
    """How the recording ended before this start: ``reason`` is "" if the agent or the host died. Times in Unix seconds."""

    path: str
    last: float
    reason: str
    host_died: bool


class Flight:
    """One organ. Writes what the ring was given; a disk that refuses is said once and tried again with every record."""

    name = "recorder"
    metrics: tuple[Metric, ...] = (
        Metric("recorder_up", Kind.GAUGE, "", "1 if the last record went to disk, 0 if not."),
        Metric("recorder_samples_total", Kind.COUNTER, "", "Samples written to the recording."),
        Metric("recorder_written_bytes_total", Kind.COUNTER, "bytes", "Bytes written to the recording."),
        Metric("recorder_disk_bytes", Kind.GAUGE, "bytes", "Size of the whole recording."),
    )

    def __init__(
        self, folder: str, ring: Ring, clock: Clock, about: dict[str, str], *, keep: float, quota: float, lane: Runner | None = None
    ) -> None:
        self.folder = folder
        self._ring = ring
        self._clock = clock
        self._about = about
        self._keep, self._quota = keep, quota
        self._lane = lane or Lane("recorder")
        self._recorder = Recorder(folder, ring, about)
        self._own = tuple(Series(m.name) for m in self.metrics)
        self._outcome: tuple[Frame, AgentError | None] | None = None  # of the last write, until it is taken
        self._gathering: Iterator[Frame | None] | None = None
        self._frame: Frame | None = None  # gathered, and not yet given to the disk
        self._said = ""
        self._last = 0.0  # when a record was last brought to disk
        self._bytes = 0.0

    @property
    def trouble(self) -> str:
        """Why the last record is not on disk; "" if it is."""
        return self._said or self._recorder.written.trouble

    def status(self) -> JsonObject:
        """How it is doing, for ``anfl.status/1``."""
        last = when(self._last) if self._last else None
        return {"on": True, "path": self.folder, "trouble": self.trouble or None, "last": last, "bytes": self._bytes}

    def samples(self) -> Iterator[Sample]:
        """How the recorder itself is doing."""
        done = self._recorder.written
        yield from map(Sample, self._own, (float(not self.trouble), float(done.samples), float(done.bytes), self._bytes))

    # ------------------------------------------------------------------------------------------ before

    async def before(self) -> Ended | None:
        """How the last recording ended; None if there is none. To be asked before :meth:`run`."""
        with contextlib.suppress(AgentError):
            return await self._lane.run(self._last_end, WRITE_S)
        return None

    def _last_end(self) -> Ended | None:
        files = Recording(self.folder).files()
        if not files:
            return None
        last = report(files[-1])
        boot = last.about.get("boot_id", "")
        return Ended(last.path, last.last, last.ended, bool(boot) and boot != self._about.get("boot_id"))

    async def _explain(self) -> None:
        before = await self.before()
        if before is not None and not before.reason:
            who = "the host went down" if before.host_died else "the agent was killed or crashed"
            log.warning("the last recording ends unfinished at %s: %s", when(before.last), who)
            said = {"kind": "host_died" if before.host_died else "killed", "last": before.last}
            now = self._clock.now()
            self._ring.add(
                max(now, self._ring.now), [Event(now, LIFE, (), f"{who}; its last sign is of {when(before.last)}", said)]
            )

    # ------------------------------------------------------------------------------------------ work

    async def run(self) -> None:
        """Record until cancelled; the last record and the reason of the end are :meth:`end`'s."""
        await self._explain()
        async with asyncio.TaskGroup() as group:  # no record waits for a file that is being compacted
            group.create_task(self._records(), name="records")
            group.create_task(self._upkeep(), name="recording-upkeep")

    async def _records(self) -> None:
        while True:
            await self._clock.sleep(FLUSH_S)
            await self.record()
            self._ring.add(self._ring.now, self.samples(), FLUSH_S)

    async def record(self) -> None:
        """What the ring was given since the last record goes to disk."""
        interrupted = self._gathering is not None or self._frame is not None  # what came after it is a record of its own
        await self._record()
        if interrupted:
            await self._record()

    async def _record(self) -> None:
        await self._written()
        if self._frame is None:
            self._frame = await self._gathered() or None
        await self._turn()  # the loop has turned since: the folder may be being tidied
        if self._frame is None:
            return
        frame, self._frame = self._frame, None
        with contextlib.suppress(Stalled):
            await self._lane.run(lambda: self._write(frame), WRITE_S)
        await self._written()

    async def _gathered(self) -> Frame:
        """The next frame; the loop turns between its parts. One that was interrupted is gone on with."""
        if self._gathering is None:
            self._gathering = self._recorder.gathering(self._ring.now)
        for frame in self._gathering:
            if frame is not None:
                self._gathering = None
                return frame
            await asyncio.sleep(0)
        raise AssertionError("a gathering ends with a frame")

    def _write(self, frame: Frame) -> None:
        try:
            self._recorder.write(frame)
        except AgentError as error:
            self._outcome = (frame, error)
        else:
            self._outcome = (frame, None)

    async def _written(self) -> None:
        """Take the outcome of the last write, once it has one; a disk that hangs is said."""
        await self._turn()
        if self._outcome is None:
            return
        (frame, error), self._outcome = self._outcome, None
        if error is not None:
            self._recorder.give_back(frame)
        else:
            self._last = self._clock.now()
        self._say(error.message if error else "")

    async def _turn(self) -> None:
        """Wait until the disk is done with what it was asked before: a call that is made earlier would not even be begun."""
        waited = 0.0
        while self._lane.stalled:
            await self._clock.sleep(TURN_S)
            waited += TURN_S
            if waited >= SLOW_S:
                self._say("the disk does not answer")

    def _say(self, trouble: str) -> None:
        if trouble and not self._said:
            log.warning("nothing is recorded: %s; history goes on in memory", trouble)
        elif self._said and not trouble:
            log.info("recording again")
        self._said = trouble

    async def end(self, reason: str) -> None:
        """The last record, and that this end was meant."""
        with contextlib.suppress(TimeoutError, Stalled):
            async with asyncio.timeout(END_S):
                await self.record()
                await self._lane.run(lambda: self._recorder.close(reason), END_S)
        if isinstance(self._lane, Lane):
            self._lane.close()

    # ------------------------------------------------------------------------------------------ upkeep

    async def _upkeep(self) -> None:
        await self._clock.sleep(FLUSH_S)
        while True:
            await self._look_after()
            await self._clock.sleep(TIDY_EVERY_S)

    async def _look_after(self) -> None:
        await self._turn()
        with contextlib.suppress(AgentError):
            due = await self._lane.run(self._tidy, WRITE_S)
            for path in due:
                await run(
                    [sys.executable, "-m", compact.__name__, path],
                    timeout=COMPACT_S,
                    nice=15,
                    memory=COMPACT_MEMORY,
                    max_output=4096,
                )

    def _tidy(self) -> list[str]:
        """Old and surplus files go; one closed file that is not yet compacted."""
        files = Recording(self.folder).files()
        self._bytes = remove_old(files, self._clock.now(), self._keep, self._quota)
        return next(([path] for path in reversed(files[:-1]) if _wants_compacting(path)), [])


def remove_old(files: list[str], now: float, keep: float, quota: float) -> float:
    """Remove files older than ``keep`` seconds, and the oldest ones above ``quota`` bytes; never the newest. Bytes that stay."""
    used = 0.0
    for i, path in enumerate(reversed(files)):
        with contextlib.suppress(OSError, ValueError):
            size = os.path.getsize(path)
            if i and (used + size > quota or now - recfile.began(path) > keep):
                os.unlink(path)
                with contextlib.suppress(OSError):  # the day's folder, once it is empty
                    os.rmdir(os.path.dirname(path))
            else:
                used += size
    return used


def _wants_compacting(path: str) -> bool:
    """Ended on purpose, and not compacted yet. Reads no more than its two ends."""
    try:
        with open(path, "rb") as file:
            head = file.read(recfile.HEAD + 4096)
            file.seek(max(0, os.fstat(file.fileno()).st_size - recfile.LONGEST_END))
            return recfile.ended(file.read()) and compact.MARK not in head
    except OSError:
        return False
