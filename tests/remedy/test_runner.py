"""The organ that acts, over its whole life, with a crash at every edge."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.errors import AgentError, UsageError
from agent.host.lane import Stalled
from agent.host.reach import WillNot
from agent.remedy import tables
from agent.remedy.approvers import Voice
from agent.remedy.carry import filled
from agent.remedy.model import OVER, Phase
from agent.remedy.playbook import Mode
from agent.store.state import State
from tests.fakes.remedylife import Start
from tests.fakes.remedyworld import CALM, DIAGNOSIS, KEY, RECYCLE, TARGET, World


class Crash(BaseException):
    """The agent is killed here."""


@asynccontextmanager
async def real_time() -> AsyncIterator[None]:
    """A hung test ends."""
    async with asyncio.timeout(60):
        yield


async def test_what_helped_is_verified_only_after_it_stayed_so(start: Start) -> None:
    """Ten seconds of calm with data, as the playbook asks."""
    agent = await start()
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    assert (await agent.phases(), agent.world.done) == (["verifying"], ["renice"])
    agent.world.good = True
    await agent.live(10)
    agent.world.good = None
    await agent.live(5)
    assert await agent.phases() == ["verifying"]
    agent.world.good = True
    await agent.live(20)
    assert await agent.phases() == ["verified"]
    assert agent.world.noted == [(5, True), (5, False)]


async def test_unknown_at_the_end_is_no_success(start: Start) -> None:
    """A person must look; no rung is climbed on a guess."""
    agent = await start()
    agent.world.good = None
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(120)
    assert await agent.phases() == ["escalated"]


async def test_what_did_not_help_climbs_one_rung_and_then_stops(start: Start) -> None:
    """Lower priority, restart, a person."""
    agent = await start()
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(300)
    assert [(r.playbook, str(r.phase), r.rung) for r in await agent.runs()] == [("calm", "failed", 0), ("recycle", "failed", 1)]
    assert agent.world.done == ["renice", "capture_evidence", "restart"]


async def test_a_dry_run_decides_the_same_and_touches_nothing(start: Start) -> None:
    """It says what it would have done."""
    agent = await start("dry-run")
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    (run,) = await agent.runs()
    assert (str(run.phase), run.reason, agent.world.done) == ("would", "would renice", [])


@pytest.mark.parametrize("ceiling", ["dry-run", "auto"])
async def test_what_the_guard_refuses_is_refused_in_every_mode(start: Start, ceiling: Mode) -> None:
    """With the same reason."""
    agent = await start(ceiling)
    agent.world.base = replace(agent.world.base, lo=0.2)
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    (run,) = await agent.runs()
    assert (str(run.phase), run.reason) == ("denied", "confidence 0.20 is below 0.70")


async def test_a_proposal_waits_for_a_person_and_dies_with_its_incident(start: Start) -> None:
    """Nobody can agree to what is over."""
    agent = await start("propose")
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    (run,) = await agent.runs()
    assert str(run.phase) == "proposed"
    agent.world.base = replace(agent.world.base, incident_open=False)
    await agent.live(5)
    assert await agent.phases() == ["cancelled"]
    with pytest.raises(UsageError, match="does not wait for anybody"):
        await agent.people.approve(run.id, Voice("alice"))


async def test_it_goes_when_enough_different_people_agree(start: Start) -> None:
    """One voice twice is one voice."""
    agent = await start("propose", CALM + "approval: {count: 2, expires: 10m}\n", RECYCLE)
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.people.approve(1, Voice("alice"))
    with pytest.raises(UsageError, match="alice has agreed to run 1 already"):
        await agent.people.approve(1, Voice("alice"))
    assert await agent.phases() == ["proposed"]
    await agent.people.approve(1, Voice("bob"))
    await agent.live(5)
    assert (await agent.phases(), agent.world.done) == (["verifying"], ["renice"])


async def test_nobody_decided_in_time(start: Start) -> None:
    """The proposal expires."""
    agent = await start("propose")
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(620)
    assert await agent.phases() == ["expired"]


async def test_agreement_is_asked_again_of_the_guard_in_the_tick_of_the_reservation(start: Start) -> None:
    """What was right ten minutes ago may be wrong now."""
    agent = await start("propose")
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.people.approve(1, Voice("alice"))
    agent.world.base = replace(agent.world.base, target_there=False)
    await agent.live(5)
    (run,) = await agent.runs()
    assert (str(run.phase), run.reserved_at, agent.world.done) == ("cancelled", None, [])


async def test_the_same_is_not_proposed_again_while_it_is_under_way_or_just_over(start: Start) -> None:
    """A diagnosis comes every few minutes."""
    agent = await start()
    for _ in range(5):
        await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
        await agent.live(20)
    assert len([r for r in await agent.runs() if r.playbook == "calm"]) == 1


async def test_a_step_that_refuses_touches_nothing_and_what_came_before_is_taken_back(start: Start) -> None:
    """Reversible steps are undone, the last first."""
    agent = await start("auto", CALM.replace("{do: renice}", "{do: renice}, {do: renice}"), RECYCLE)
    made = World.make

    def second(self: World, name: str, *rest: Any) -> Any:
        if len(self.done) == 1 and not self.undone:
            self.refuses = {"renice": WillNot("no more")}
        return made(self, name, *rest)

    agent.carrier._make = lambda name, *rest: second(agent.world, name, *rest)
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.remedy.tick()
    await agent.remedy.tick()
    failed = (await agent.runs())[0]
    assert (str(failed.phase), failed.reason) == ("failed", "renice: no more; renice was taken back")
    assert agent.world.undone == ["renice"]


async def test_a_run_that_is_over_can_be_taken_back_by_a_person(start: Start) -> None:
    """Where its steps can."""
    agent = await start()
    agent.world.good = True
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(30)
    _, said = await agent.people.undo(1, "alice")
    assert (said, agent.world.undone) == (("renice was taken back",), ["renice"])
    with pytest.raises(UsageError, match="nothing of run 9"):
        await agent.people.undo(9, "alice")


async def test_a_playbook_in_a_loop_opens_the_breaker_until_a_person_closes_it(start: Start) -> None:
    """Three actions in vain, whatever the incidents."""
    loop = CALM.replace("next: recycle\n", "limits: {cooldown: 1s, attempts_per_incident: 9, max: {count: 99, per: 1h}}\n")
    agent = await start("auto", loop)
    agent.carrier._house = lambda at, now: tables.house(at, now, ())
    for incident in range(10, 16):
        await agent.remedy.diagnosed(DIAGNOSIS, incident, KEY)
        await agent.live(80)
    assert agent.world.done == ["renice"] * 3
    assert (await agent.runs())[-1].reason.startswith("the breaker is open")
    await agent.people.switch("breaker", None, "alice")
    await agent.remedy.diagnosed(DIAGNOSIS, 99, KEY)
    await agent.live(10)
    assert agent.world.done == ["renice"] * 4


async def test_a_storm_of_proposals_stops_the_proposing(start: Start) -> None:
    """Ten troubles at once are one large one."""
    agent = await start("dry-run")
    for incident in range(30):
        await agent.remedy.diagnosed(DIAGNOSIS, incident, KEY)
    assert len(await agent.runs()) == 10


async def test_a_pause_holds_until_its_time_is_over(start: Start) -> None:
    """With its reason."""
    agent = await start()
    agent.carrier._house = lambda at, now: tables.house(at, now, ())
    until = agent.clock.now() + 100
    await agent.people.switch("pause", {"until": until, "why": "maintenance"}, "alice")
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(5)
    assert (await agent.runs())[0].reason == "paused: maintenance"
    await agent.clock.advance(700)
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    assert agent.world.done == ["renice"]


@pytest.mark.parametrize("book", [CALM, RECYCLE.replace("memory.oom-risk", "memory.python-leak")])
@pytest.mark.parametrize("edge", range(6))
@pytest.mark.parametrize("after", [False, True])
async def test_a_crash_at_any_edge_does_nothing_twice_and_leaves_nothing_under_way(
    start: Start, monkeypatch: pytest.MonkeyPatch, book: str, edge: int, after: bool
) -> None:
    """Before or after the edge is on disk; the attempt is spent as soon as it was reserved."""
    book = book.replace("next: recycle\n", "")
    agent, count = await start("auto", book), 0
    write = State.write

    async def cut(self: State, change: Any, timeout: float = 10.0) -> Any:
        nonlocal count
        count += 1
        if count == edge + 3 and not after:
            raise Crash
        result = await write(self, change, timeout)
        if count == edge + 3 and after:
            raise Crash
        return result

    async with real_time():
        with monkeypatch.context() as patched:
            patched.setattr(State, "write", cut)
            with pytest.raises(Crash):
                await agent.work(200)
        attempts = [r for r in await agent.runs() if r.reserved_at is not None]
        agent = await start("auto", book)
        await agent.live(200)
        runs = await agent.runs()
    assert all(r.phase in OVER for r in runs), [str(r.phase) for r in runs]
    assert [r.id for r in runs if r.reserved_at is not None][: len(attempts)] == [r.id for r in attempts]
    assert agent.world.done.count("restart") <= 1
    assert await agent.state.read(tables.broken_link) is None


def test_settings_are_filled_in_from_the_target_and_never_from_nothing() -> None:
    """A target without a unit restarts nothing."""
    assert filled({"unit": "${target.unit}", "all": ["${target.pid}"]}, TARGET) == {"unit": "svc@1.service", "all": ["7"]}
    with pytest.raises(WillNot, match="the target has no container"):
        filled({"name": "${target.container}"}, TARGET)


async def test_the_audit_chain_shows_what_was_changed_afterwards(start: Start) -> None:
    """A record altered or taken out breaks it there."""
    agent = await start()
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    assert await agent.state.read(tables.broken_link) is None
    await agent.state.write(lambda to: to.execute("UPDATE audit SET who = 'nobody' WHERE seq = 2"))
    assert await agent.state.read(tables.broken_link) == 2
    assert (await agent.state.read(tables.audit))[0]["what"] == f"run 1 {Phase.PROPOSED}"


async def test_an_error_nobody_foresaw_is_ambiguous_and_settled_by_looking(start: Start) -> None:
    """Whether it did something is not known."""
    agent = await start("auto", RECYCLE.replace("memory.oom-risk", "memory.python-leak"))
    agent.world.refuses = {"restart": RuntimeError("odd")}
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    assert (await agent.phases())[0] in ("ambiguous", "escalated")
    agent.world.refuses = {"restart": AgentError("plain")}
    await agent.live(100)
    assert await agent.phases() == ["escalated"]


@pytest.mark.real
def test_twenty_kills_at_random_and_as_many_at_edges_do_nothing_twice() -> None:
    """Over a real state file, with steps that leave a mark on the disk."""
    repository = Path(__file__).resolve().parents[2]
    words = [sys.executable, str(repository / "bench" / "playbooks.py"), "--kills", "20", "--edges", "20", "--json"]
    given = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, env=given)
    told = json.loads(done.stdout)
    assert not [
        told[name] for name in ("steps_done_twice", "runs_stuck", "attempts_not_counted", "died_by_themselves") if told[name]
    ]
    assert (done.returncode, told["finished"], told["audit_broken_at"]) == (0, True, None)
    assert told["steps_done"] > 0


async def test_with_nothing_open_and_nothing_changed_it_does_not_look(start: Start) -> None:
    """A diagnosis, a change by hand and a minute make it look again."""
    agent = await start()
    await agent.live(10)
    assert agent.remedy._nothing_new()
    await agent.state.write(lambda to: to.execute("SELECT 1").fetchone())
    assert not agent.remedy._nothing_new(), "something was changed"
    await agent.live(5)
    assert agent.remedy._nothing_new()
    await agent.clock.advance(60)
    assert not agent.remedy._nothing_new(), "a minute has gone"
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.remedy.tick()
    assert not agent.remedy._nothing_new(), "a run is open"


async def test_a_look_that_broke_off_is_made_again(start: Start) -> None:
    """The state did not answer just then: what waits must not wait for a minute more."""
    agent = await start()
    await agent.live(10)
    await agent.state.write(lambda to: to.execute("SELECT 1").fetchone())
    read, stalls = agent.state.read, [Stalled("not now")]

    async def slow(look: Any, timeout: float = 10.0) -> Any:
        if stalls:
            raise stalls.pop()
        return await read(look, timeout)

    agent.state.read = slow  # type: ignore[method-assign]
    with pytest.raises(Stalled):
        await agent.remedy.tick()
    assert not agent.remedy._nothing_new()
