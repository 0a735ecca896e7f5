"""What follows from an end: settled by looking, the next rung, or people."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.host.lane import Stalled
from agent.remedy import tables
from agent.remedy.carry import Carrier
from agent.remedy.model import Phase
from agent.store.state import State
from tests.fakes.remedylife import Start
from tests.fakes.remedyworld import CALM, DIAGNOSIS, KEY, RECYCLE

ONCE = RECYCLE.replace("memory.oom-risk", "memory.python-leak")
ALONE = CALM.replace("next: recycle\n", "")


async def test_a_wrong_fix_climbs_then_stops_and_people_are_called_once(start: Start) -> None:
    """Not before the last rung."""
    agent = await start()
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(80)
    assert agent.world.called == []
    await agent.live(300)
    assert agent.world.called == [(5, "given_up", "playbook recycle ended failed (it did not help); a person must look")]


async def test_a_rung_that_may_not_be_climbed_calls_people(start: Start) -> None:
    """Nobody would hear otherwise."""
    agent = await start("auto", CALM, RECYCLE.replace('allow: [{unit: "svc@*"}], ', ""))
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(100)
    ((incident, kind, text),) = agent.world.called
    assert (incident, kind) == (5, "given_up")
    assert "the allow list is empty" in text


async def test_a_crash_between_the_end_and_the_call_swallows_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next life calls."""
    agent = await start("auto", ALONE)

    async def stalls(*rest: Any) -> None:
        raise Stalled("the desk does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(agent.world, "call", stalls)
        await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
        for _ in range(20):
            try:
                await agent.remedy.tick()
            except Stalled:
                break
            await agent.clock.advance(5)
    assert (await agent.phases(), agent.world.called) == (["failed"], [])
    agent = await start("auto", ALONE)
    await agent.live(10)
    assert [kind for _, kind, _ in agent.world.called] == ["given_up"]


async def test_unknown_at_the_end_calls_people(start: Start) -> None:
    """And climbs nowhere."""
    agent = await start()
    agent.world.good = None
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(120)
    assert (await agent.phases(), [kind for _, kind, _ in agent.world.called]) == (["escalated"], ["given_up"])


async def test_what_gets_well_just_before_the_deadline_is_given_time_to_settle(start: Start) -> None:
    """It is known to be well: that is neither a failure nor unknown."""
    agent = await start("auto", ALONE)
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(60)
    agent.world.good = True
    await agent.live(20)
    assert await agent.phases() == ["verified"]


async def test_a_clock_that_is_set_forward_settles_nothing(start: Start) -> None:
    """Being well is counted in seconds that went by."""
    agent = await start("auto", ALONE)
    agent.world.good = True
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(15)
    agent.clock.step(30)
    await agent.remedy.tick()
    assert await agent.phases() == ["verifying"]
    await agent.live(15)
    assert await agent.phases() == ["verified"]


@pytest.mark.parametrize("book", [ALONE, ONCE])
async def test_a_state_that_stalls_after_the_act_leaves_nothing_under_way(
    start: Start, monkeypatch: pytest.MonkeyPatch, book: str
) -> None:
    """No restart of the agent is needed, and what does harm twice is not done twice."""
    agent = await start("auto", book)
    move = Carrier.move

    async def stalls(self: Carrier, run: Any, phase: Phase, *rest: Any, **changes: Any) -> Any:
        if phase is Phase.RESULT:
            raise Stalled("the state was not written within 10 s")
        return await move(self, run, phase, *rest, **changes)

    with monkeypatch.context() as patched:
        patched.setattr(Carrier, "move", stalls)
        await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
        await agent.remedy.tick()
        with pytest.raises(Stalled):
            await agent.remedy.tick()
    assert await agent.phases() == ["intent"]
    await agent.live(200)
    assert (await agent.runs())[0].phase in (Phase.FAILED, Phase.ESCALATED)
    assert agent.world.done.count("restart") <= 1
    assert agent.world.done.count("renice") <= 2


async def test_what_was_begun_is_looked_at_for_as_long_as_the_playbook_says(start: Start) -> None:
    """A restart that a crash cut off may have worked: it takes its time to show."""
    agent = await start("auto", ONCE)
    agent.world.refuses = {"restart": RuntimeError("odd")}
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(30)
    assert await agent.phases() == ["ambiguous"]
    agent.world.good = True
    await agent.live(20)
    assert await agent.phases() == ["verified"]


async def test_what_is_repeated_is_repeated_once_and_only_while_it_is_wanted(start: Start) -> None:
    """Neither in a pause nor for ever."""
    agent = await start("auto", ALONE)
    agent.world.refuses = {"renice": RuntimeError("odd")}
    tries = []
    make = agent.carrier._make

    def counted(name: str, *rest: Any) -> Any:
        action = make(name, *rest)
        act = action.act

        async def tried() -> Any:
            tries.append(name)
            return await act()

        action.act = tried  # type: ignore[method-assign]
        return action

    agent.carrier._make = counted
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(50)
    assert tries == ["renice", "renice"]
    agent.world.base = replace(agent.world.base, lo=None)
    await agent.live(100)
    assert (await agent.phases(), len(tries)) == (["escalated"], 2)


async def test_looking_on_needs_no_cure_and_trips_no_breaker(start: Start) -> None:
    """Keeping evidence heals nobody, and is no failure for that."""
    book = """
playbook: keep
title: Keep evidence
class: observe
mode: auto
needs: {causes: [memory.python-leak]}
limits: {cooldown: 1s, attempts_per_incident: 9, max: {count: 99, per: 1h}}
steps: [{do: capture_evidence}]
verify: {settle: 5s, within: 60s}
"""
    agent = await start("auto", book)
    for incident in range(8):
        await agent.remedy.diagnosed(DIAGNOSIS, incident, KEY)
        await agent.live(20)
    assert set(await agent.phases()) == {"verified"}
    assert (await agent.state.read(tables.switches), agent.world.called) == ({}, [])


async def test_where_only_the_effect_counts_the_symptom_may_last(start: Start) -> None:
    """A node that is drained has done its part."""
    agent = await start("auto", ALONE.replace("verify: {", "verify: {of: effect, "))
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(30)
    assert await agent.phases() == ["verified"]


async def test_while_state_is_in_memory_only_nothing_is_done(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill would forget that it was."""
    agent = await start("auto", ALONE)
    agent.carrier._house = lambda at, now: tables.house(at, now, (), "no space left on device")
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    (run,) = await agent.runs()
    assert (str(run.phase), run.reason) == (
        "denied",
        "what is done cannot be kept (no space left on device): observing only until it can",
    )
    monkeypatch.setattr(State, "health", property(lambda self: replace(self._writer.health, mode="memory")))
    agent.carrier._house = agent.world.house
    await agent.clock.advance(700)
    monkeypatch.setattr(State, "read", State.write)
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    assert ((await agent.runs())[-1].reason, agent.world.done) == ("what is done cannot be kept now (no disk): nothing is done", [])


async def test_each_look_says_on_which_incidents_there_is_work(start: Start) -> None:
    """An end that could not be noted is made good by it: an incident under work is never closed."""
    agent = await start()
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    assert agent.world.at_work == {5}
    agent.world.good = True
    await agent.live(30)
    assert (await agent.phases(), agent.world.at_work) == (["verified"], set())
