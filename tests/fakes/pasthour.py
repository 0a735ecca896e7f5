"""An hour that is over, as the flight recorder would have written it: real files by the real recorder, under a clock of our own."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.model import Event, Sample, Series, labels
from agent.store.recorder import FLUSH_S, Recorder
from agent.store.ring import Ring
from tests.fakes.rules import process

MIB = float(1 << 20)


@dataclass(frozen=True)
class Leak:
    """A process whose anonymous memory grows by ``rate`` bytes a second from ``size``, restless by half a MiB, since ``began``."""

    pid: int
    began: float
    rate: float
    size: float = 300 * MIB
    start: float | None = None

    def at(self, moment: float, noise: random.Random) -> list[Sample]:
        """What the collectors would bring then."""
        grown = self.size + self.rate * (moment - self.began) + noise.uniform(0, MIB / 2)
        about = labels(pid=self.pid)
        return [
            Sample(Series(*process(self.pid)), 1.0),
            Sample(Series("process_start_time_seconds", about), self.began - 60 if self.start is None else self.start),
            Sample(Series("process_anonymous_bytes", about), grown),
            Sample(Series("process_resident_bytes", about), grown + 20 * MIB),
            Sample(Series("process_file_bytes", about), 20 * MIB),
            Sample(Series("process_threads", about), 3.0),
            Sample(Series("process_open_fds", about), 12.0),
            Sample(Series("host_memory_available_bytes"), 200e9 - self.rate * (moment - self.began)),
            Sample(Series("host_memory_total_bytes"), 256e9),
        ]


def record(folder: Path, leak: Leak, since: float, until: float, *, events: Iterable[Event] = (), ended: str = "") -> None:
    """One life of an agent that watched the leak. Without ``ended`` it was killed: its last file has no end."""
    ring = Ring()
    recorder = Recorder(str(folder), ring, {"host": "n1", "boot_id": "b"})
    waiting, noise, due = sorted(events, key=lambda e: e.time), random.Random(int(since)), since + FLUSH_S
    for tick in range(int(until - since)):
        moment = since + tick
        now = [e for e in waiting if e.time <= moment]
        waiting = waiting[len(now) :]
        ring.add(moment, [*now, *leak.at(moment, noise)])
        if moment >= due:
            recorder.write(recorder.gather(moment))
            due = moment + FLUSH_S
    recorder.write(recorder.gather(until))
    if ended:
        recorder.close(ended)
