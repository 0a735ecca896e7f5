"""One approved run, carried out: what may happen between two edges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.errors import UsageError
from agent.remedy import tables
from agent.remedy.playbook import Mode
from tests.fakes.remedylife import Agent, Start
from tests.fakes.remedyworld import CALM, DIAGNOSIS, KEY, RECYCLE, Counted

ALONE = CALM.replace("next: recycle\n", "")
ONCE = RECYCLE.replace("memory.oom-risk", "memory.python-leak")


@pytest.mark.parametrize("ceiling", ["dry-run", "propose", "auto"])
async def test_a_step_that_names_what_the_target_lacks_is_refused_in_every_mode(start: Start, ceiling: Mode) -> None:
    """Before anything, and without a word to people."""
    agent = await start(ceiling, ALONE.replace("{do: renice}", '{do: renice, with: {unit: "${target.container}"}}'))
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    (run,) = await agent.runs()
    assert (str(run.phase), run.reason, agent.world.called) == ("denied", "the target has no container", [])


async def test_a_person_who_decides_while_it_is_weighed_does_no_harm(start: Start) -> None:
    """Their word stands, and the organ goes on."""
    agent = await start("auto", ALONE)
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    facts = agent.world.facts

    async def meanwhile(*rest: Any, **more: Any) -> Any:
        (run,) = await agent.runs()
        if str(run.phase) == "proposed":
            await agent.state.write(lambda to: tables.move(to, run, tables.Phase.DENIED, agent.clock.now(), "alice", reason="no"))
        return await facts(*rest, **more)

    agent.world.facts = meanwhile  # type: ignore[method-assign]
    await agent.live(20)
    assert (await agent.phases(), agent.world.done) == (["denied"], [])


async def test_a_ceiling_that_was_lowered_holds_for_what_was_agreed_before(start: Start) -> None:
    """An administrator who switches acting off means it."""
    agent = await start("auto", ALONE)
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.remedy.tick()
    assert await agent.phases() == ["approved"]
    agent = await start("dry-run", ALONE)
    await agent.live(10)
    assert ((await agent.runs())[0].reason, agent.world.done) == ("the mode in force is dry-run now", [])


@pytest.mark.parametrize(
    ("change", "why"),
    [({"target_there": False}, "the target is gone, or another has its number"), ({"incident_open": False}, "incident 5 is over")],
)
async def test_what_changed_while_evidence_was_kept_stops_it(start: Start, change: dict[str, Any], why: str) -> None:
    """Twenty seconds are long enough for somebody else to have mended it."""
    agent = await start("auto", ONCE)
    make = agent.carrier._make

    def mended(name: str, *rest: Any) -> Any:
        if name == "capture_evidence":
            agent.world.base = replace(agent.world.base, **change)
        return make(name, *rest)

    agent.carrier._make = mended
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.remedy.tick()
    await agent.remedy.tick()
    (run,) = await agent.runs()
    assert (str(run.phase), run.reason, agent.world.done) == ("expired", why, ["capture_evidence"])


async def done_well(agent: Agent) -> None:
    """A run that helped."""
    agent.world.good = True
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(30)
    assert await agent.phases() == ["verified"]


async def test_what_was_taken_back_is_not_taken_back_twice(start: Start) -> None:
    """Somebody may have changed it since."""
    agent = await start("auto", ALONE)
    await done_well(agent)
    await agent.people.undo(1, "alice")
    with pytest.raises(UsageError, match="nothing of run 1"):
        await agent.people.undo(1, "bob")
    assert agent.world.undone == ["renice"]


async def test_an_undo_that_fails_in_an_unforeseen_way_is_said_and_can_be_tried_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The organ lives on."""
    agent = await start("auto", ALONE)
    await done_well(agent)

    async def breaks(self: Counted, done: Any) -> None:
        raise OSError("no such cgroup")

    with monkeypatch.context() as patched:
        patched.setattr(Counted, "undo", breaks)
        assert (await agent.people.undo(1, "alice"))[1] == ("renice could not be taken back: no such cgroup",)
    assert (await agent.people.undo(1, "alice"))[1] == ("renice was taken back",)


async def test_evidence_that_cannot_be_kept_in_any_way_stops_nothing(start: Start) -> None:
    """The trouble goes on meanwhile."""
    agent = await start("auto", ONCE)
    agent.world.refuses = {"capture_evidence": ValueError("odd")}
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    assert agent.world.done == ["restart"]
