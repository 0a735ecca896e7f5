"""A desk over a host with one process, on a fake clock and a real state file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent.engine.evaluate import JudgeState, judge
from agent.engine.incident import Incident
from agent.engine.rounds import RoundCache
from agent.engine.trees import RuleSet
from agent.host import procs
from agent.host.beside import beside
from agent.incidents import tables
from agent.incidents.desk import Desk
from agent.incidents.sight import Sight
from agent.model import Sample, Series, labels
from agent.store.ring import Ring
from agent.store.state import State
from tests.fakes.clock import FakeClock
from tests.fakes.rules import rule_set

RULES = rule_set(
    """
tree: busy
each: [pid]
symptom: {when: "process_threads > 100", for: 10s, keep_for: 20s}
checks: [{id: many, expr: "process_threads > 100"}]
causes:
  busy.threads: {title: Many threads, require: [many], support: {many: 0.8}}
"""
)
SELF = os.getpid()
EVERY_S = 5
KEY = ("busy", labels(pid=SELF))


class Host:
    """One process (this one, so that it is there when the agent starts anew), sampled and judged on a fake clock."""

    def __init__(self, state: State, clock: FakeClock, rules: RuleSet = RULES) -> None:
        self.state, self.clock, self.rules = state, clock, rules
        self.desk = Desk(state, clock)
        self.ring, self.cache, self.judged = Ring(), RoundCache(), JudgeState()
        self.pid, self.threads, self.start = SELF, 10.0, 0.0
        self.calls: list[int] = []
        self.desk.listen(lambda: self.calls.append(1))

    async def open(self) -> None:
        """The desk reads its book."""
        self.judged = await self.desk.open()
        self.start = await asyncio.get_running_loop().run_in_executor(None, procs.start_time, SELF)

    async def live(self, seconds: float, threads: float | None = None, *, data: bool = True) -> None:
        """Rounds with a process that has so many threads, or without data of it."""
        self.threads = self.threads if threads is None else threads
        known = labels(pid=self.pid, subject=self.pid, comm="trainer", user="ada", unit="", cgroup="/", container="", job="")
        for _ in range(int(seconds / EVERY_S)):
            self.clock._now += EVERY_S
            values = [("process_info", known, 1.0), ("process_threads", labels(pid=self.pid), self.threads)]
            values += [("process_start_time_seconds", labels(pid=self.pid), self.start)]
            samples = [Sample(Series(n, ls), v) for n, ls, v in values] if data else []
            self.ring.add(self.clock.now(), [*samples, Sample(Series("host_load1"), 0.0)])
            self.judge()
        await self.kept()

    def judge(self) -> None:
        """One round."""
        view = self.ring.at(self.ring.now)
        self.judged, changes = judge(self.rules, view, self.judged, cache=self.cache)
        self.desk.judged(self.rules, Sight(view, self.cache), changes, self.judged)

    async def kept(self) -> None:
        """Wait until the desk has nothing more to keep."""
        for _ in range(5000):
            if not self.desk._waiting:
                return
            await asyncio.sleep(0.001)
        raise AssertionError("the desk keeps nothing")

    async def events(self) -> list[str]:
        """Kinds of all events on the disk."""
        return [e.kind for e in await self.state.read(lambda at: tables.events_after(at, 0))]

    async def on_disk(self, number: int = 1) -> Incident:
        """An incident as the file has it."""
        found = await self.state.read(lambda at: tables.current(at, number))
        assert found is not None
        return found


@asynccontextmanager
async def host(folder: Path, clock: FakeClock | None = None, rules: RuleSet = RULES) -> AsyncIterator[Host]:
    """An agent's desk over that folder; at the end it goes without a goodbye, as when killed."""
    clock = clock or FakeClock()
    state = State(str(folder / "state.db"), [tables.ROOM], clock)
    await state.open()
    made = Host(state, clock, rules)
    await made.open()
    async with beside(made.desk.run(), "desk"):
        yield made
    await state.close()
