"""The desk at work: rounds of the judge become incidents on disk, and a new agent goes on where the last one was killed."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.engine.evaluate import JudgeState, judge
from agent.engine.incident import Incident
from agent.engine.incidentbook import RELAPSE_S
from agent.engine.incidents import CALM_S, FLAPS
from agent.engine.rounds import RoundCache
from agent.engine.trees import RuleSet
from agent.errors import UsageError
from agent.host import procs
from agent.host.beside import beside
from agent.host.lane import Stalled
from agent.incidents import tables
from agent.incidents.desk import Desk
from agent.incidents.sight import Sight
from agent.model import ENTITY_ENDED, Event, Sample, Series, labels
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
ROOT = Path(__file__).resolve().parents[2]
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


async def test_a_symptom_becomes_an_incident_on_disk(tmp_path: Path) -> None:
    """With who suffers and since when, and whoever tells people is called."""
    async with host(tmp_path) as one:
        await one.live(60, 10)
        assert await one.events() == []
        await one.live(30, 200)
        found = await one.on_disk()
        assert (found.phase, found.impact.users, found.complaints[0].start) == ("open", ("ada",), one.start)
        assert "200" in found.complaints[0].text
        await one.live(60, 10)
        assert await one.events() == ["opened", "resolved"]
        assert len(one.calls) == 2


async def test_a_diagnosis_carries_the_number_of_its_incident(tmp_path: Path) -> None:
    """And is kept with it."""
    found: dict[str, Any] = {"causes": [], "possible": [], "ruled_out": [], "not_checked": [], "incident": None}
    async with host(tmp_path) as one:
        await one.live(60, 200)
        one.desk.diagnosed(RULES, found, KEY)
        await one.kept()
        assert found["incident"] == "1"
        assert await one.state.read(lambda at: tables.diagnoses(at, 1)) == [found]
        assert (await one.on_disk()).ready


async def test_a_new_agent_goes_on(tmp_path: Path) -> None:
    """The incident stays open until the judge knows better; numbers go on, and nothing is told twice."""
    clock = FakeClock()
    async with host(tmp_path, clock) as one:
        await one.live(60, 200)
    async with host(tmp_path, clock) as one:
        assert [c.key for c in one.desk.undiagnosed()] == [KEY]
        await one.live(600, data=False)
        assert (await one.on_disk()).firing
        await one.live(60, 200)
        assert await one.events() == ["opened"]
        await one.live(60, 10)
        assert await one.events() == ["opened", "resolved"]
        await one.live(RELAPSE_S + 60, 10)
        await one.live(30, 200)
        assert (await one.on_disk(2)).phase == "open"


async def test_a_process_that_ended_meanwhile_closes_its_incident(tmp_path: Path) -> None:
    """No one will ever see the end of it again: its start time is not that of whoever has the number now."""
    clock = FakeClock()
    async with host(tmp_path, clock) as one:
        one.start -= 1000.0
        await one.live(60, 200)
    async with host(tmp_path, clock) as one:
        await one.kept()
        assert await one.events() == ["opened", "gone"]
        assert one.judged.symptoms == {}


async def test_a_relapse_after_a_restart_is_a_relapse(tmp_path: Path) -> None:
    """What closed shortly before is still known."""
    clock = FakeClock()
    async with host(tmp_path, clock) as one:
        await one.live(60, 200)
        await one.live(60, 10)
    async with host(tmp_path, clock) as one:
        await one.live(60, 200)
        assert await one.events() == ["opened", "resolved", "reopened"]


async def test_one_closed_by_hand_stays_closed_over_a_restart(tmp_path: Path) -> None:
    """What fires on in it does not open another one."""
    clock = FakeClock()
    async with host(tmp_path, clock) as one:
        await one.live(60, 200)
        await one.desk.word(1, "close", "ada", "known")
    async with host(tmp_path, clock) as one:
        await one.live(2 * RELAPSE_S, 200)
        await one.live(60, 10)
        assert await one.events() == ["opened", "closed"]


async def test_flapping_ends_when_the_judge_knows_quiet(tmp_path: Path) -> None:
    """Without data it does not; the process is kept in sight meanwhile."""
    async with host(tmp_path) as one:
        for _ in range(FLAPS + 1):
            await one.live(60, 200)
            await one.live(60, 10)
        assert (await one.on_disk()).phase == "flapping"
        assert one.desk.pids() == [SELF]
        await one.live(2 * CALM_S, data=False)
        assert (await one.on_disk()).phase == "flapping"
        await one.live(CALM_S + 60, 10)
        assert (await one.events())[-2:] == ["flapping", "resolved"]
        assert one.desk.pids() == []


async def test_a_flapping_process_that_ends_is_gone_in_the_end(tmp_path: Path) -> None:
    """Its end is seen though it was quiet just then."""
    async with host(tmp_path) as one:
        for _ in range(FLAPS + 1):
            await one.live(60, 200)
            await one.live(60, 10)
        one.ring.add(one.clock.now(), [Event(one.clock.now(), ENTITY_ENDED, labels(pid=SELF))])
        await one.live(CALM_S + 60, data=False)
        assert (await one.events())[-1] == "gone"


async def test_a_tree_that_is_taken_away_closes_what_it_opened(tmp_path: Path) -> None:
    """Nothing judges its symptoms any more, as after a reload."""
    async with host(tmp_path) as one:
        await one.live(60, 200)
        one.rules, one.judged = RuleSet(), JudgeState(one.judged.at)
        await one.live(10)
        assert await one.events() == ["opened", "gone"]


async def test_a_word_is_kept_when_it_is_answered(tmp_path: Path) -> None:
    """Also to an incident of long ago; to none there is none."""
    async with host(tmp_path) as one:
        await one.live(60, 200)
        told = await one.desk.word(1, "ack", "ada")
        assert told.acknowledged == (await one.on_disk()).acknowledged == "ada"
        with pytest.raises(UsageError, match="no incident 99"):
            await one.desk.word(99, "comment", "ada", "hello")


async def test_what_cannot_be_kept_is_tried_again_and_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that is too slow, and may have done its work all the same, makes no second event."""
    async with host(tmp_path) as one:
        real, tries = one.state.write, []

        async def slow(change: Any, timeout: float = 10.0) -> Any:
            tries.append(1)
            done = await real(change)
            if len(tries) < 3:
                raise Stalled("too slow")
            return done

        monkeypatch.setattr(one.state, "write", slow)
        living = asyncio.ensure_future(one.live(60, 200))
        for _ in range(5):
            await asyncio.sleep(0.05)
            await one.clock.advance(1.0)
        await living
        assert len(tries) >= 3
        assert await one.events() == ["opened"]


async def test_its_figures(tmp_path: Path) -> None:
    """What is open by severity, and how many there ever were."""
    async with host(tmp_path) as one:
        await one.live(60, 200)
        figures = {(s.series.name, *dict(s.series.labels).values()): s.value for s in one.desk.samples()}
        assert figures["incidents_open", "warning"] == figures["incidents_total",] == figures["agent_state_durable",] == 1.0
        assert figures["incidents_open", "critical"] == figures["incident_batches_waiting",] == 0.0
        declared = {m.name for m in (*Desk.metrics, *State.metrics)}
        assert {name for name, *_ in figures} == declared


# ---------------------------------------------------------------------------------------------- kill -9

WORKER = """
import asyncio, sys
from agent.engine.incident import Complaint
from agent.engine.graph import Place
from agent.host.clock import SystemClock
from agent.incidents import tables
from agent.incidents.desk import Desk
from agent.store.state import State
from agent.model import labels
from tests.fakes.life import process
from agent.engine.evaluate import Transition
from agent.engine.incidentbook import Seen
from agent.engine.incidents import judged
from agent.model import Severity
async def main():
    clock = SystemClock()
    state = State(sys.argv[1], [tables.ROOM], clock)
    await state.open()
    desk = Desk(state, clock)
    await desk.open()
    async with asyncio.TaskGroup() as group:
        group.create_task(desk.run())
        n = 0
        while True:
            n += 1
            place, at = process(10_000_000 + n % 20), desk.book.at + 2000
            key = ("memory", place.key)
            to = "resolved" if desk.book.holder(key) else "firing"
            change = Transition(at, *key, to, at, Severity.WARNING)
            desk._take(judged(desk.book, at, [Seen(change, Complaint(*key, Severity.WARNING, at, at, "", place))], {}))
            print(n, flush=True)
            await asyncio.sleep(0)
asyncio.run(main())
"""


async def kept_whole(folder: Path) -> int:
    """How many incidents there are; each must have all its events, and each event its incident."""
    state = State(str(folder / "state.db"), [tables.ROOM], FakeClock())
    await state.open()
    events = await state.read(lambda at: tables.events_after(at, 0, most=1_000_000))
    found = await state.read(lambda at: tables.incidents(at, closed_after=0.0, most=1_000_000))
    await state.close()
    assert len({e.id for e in events}) == len(events)
    assert [i.id for i in reversed(found)] == [*range(1, len(found) + 1)]
    numbers = {i.id: [e.n for e in events if e.incident == i.id] for i in found}
    assert sum(map(len, numbers.values())) == len(events)
    assert all(numbers[i.id] == [*range(1, i.version + 1)] for i in found)
    return len(found)


@pytest.mark.real
def test_a_kill_parts_no_incident_from_its_events(tmp_path: Path) -> None:
    """At random moments: each incident on disk has all its events, each event its incident, and the next agent goes on."""
    chance, before = random.Random(3), 0
    for _ in range(4):
        command = [sys.executable, "-c", WORKER, str(tmp_path / "state.db")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as worker:
            assert worker.stdout is not None
            for _ in range(chance.randrange(30, 120)):
                worker.stdout.readline()
            worker.kill()
            worker.stdout.read()
        after = asyncio.run(kept_whole(tmp_path))
        assert after >= before
        before = after
    assert before > 20
