"""A new agent goes on where the last one was stopped or killed."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from agent.engine.incidentbook import RELAPSE_S
from agent.incidents import tables
from agent.store.state import State
from tests.fakes.clock import FakeClock
from tests.fakes.desk import KEY, host

ROOT = Path(__file__).resolve().parents[2]


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


async def test_a_playbook_that_a_kill_cut_off_holds_nothing_open(tmp_path: Path) -> None:
    """Nothing may stay running for ever: the incident ends when it is over."""
    clock = FakeClock()
    async with host(tmp_path, clock) as one:
        await one.live(60, 200)
        await one.desk.remedy(1, "recycle-worker", begins=True)
        await one.live(10)
        assert (await one.on_disk()).phase == "remediating"
    async with host(tmp_path, clock) as one:
        await one.live(60, 200)
        assert one.desk.book.open[0].phase == "open"
        await one.live(60, 10)
        assert await one.events() == ["opened", "resolved"]


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
    assert before > 0  # how many a killed writer had kept is the disk's affair
