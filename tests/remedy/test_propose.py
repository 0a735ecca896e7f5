"""What is proposed, for whom, and how often."""

from __future__ import annotations

from dataclasses import replace

from agent.model import Target
from agent.remedy.approvers import Voice
from tests.fakes.remedylife import Start
from tests.fakes.remedyworld import CALM, CAUSE, DIAGNOSIS, KEY, RECYCLE, TARGET

NEIGHBOUR = Target("process", "noisy", 99, 200.0, unit="svc@2.service", user="ml")
BOTH = RECYCLE.replace("memory.oom-risk", "memory.python-leak")


async def test_a_playbook_for_who_is_to_blame_never_touches_who_suffers(start: Start) -> None:
    """Nor anybody, while nobody is known to be to blame."""
    book = CALM.replace("target: {", "target: {who: culprit, ").replace("next: recycle\n", "")
    agent = await start("dry-run", book)
    assert await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY) == []
    plan, decision = await agent.remedy.weigh("calm", CAUSE, 5, KEY)
    assert (plan, decision.reasons) == ("nothing", ("nobody is known to be to blame for memory.python-leak, or not any more",))
    agent.world.blamed = NEIGHBOUR
    (run,) = await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    assert (run.target, run.sufferer) == (NEIGHBOUR, TARGET)
    assert (await agent.runs())[0].sufferer == TARGET


async def test_a_higher_rung_waits_for_the_lower_one(start: Start) -> None:
    """A restart is not done beside the gentler thing that may help."""
    agent = await start("auto", CALM, BOTH)
    assert [r.playbook for r in await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)] == ["calm"]
    await agent.live(100)
    assert [r.playbook for r in await agent.runs()] == ["calm", "recycle"]


async def test_where_the_lower_rung_is_not_allowed_one_begins_higher(start: Start) -> None:
    """It would never be climbed otherwise; the history says why the lower one was not done."""
    agent = await start("auto", CALM.replace('allow: [{unit: "svc@*"}]', ""), BOTH)
    assert [r.playbook for r in await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)] == ["calm", "recycle"]


async def test_what_a_person_refused_is_not_proposed_again_for_that_incident(start: Start) -> None:
    """A no is a no, also ten minutes later."""
    agent = await start("propose")
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    await agent.people.deny(1, Voice("alice"), "not now")
    await agent.clock.advance(1000)
    assert await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY) == []
    assert [r.playbook for r in await agent.remedy.diagnosed(DIAGNOSIS, 6, KEY)] == ["calm"]


async def test_people_are_asked_once_however_often_it_is_proposed_anew(start: Start) -> None:
    """With the command to type first."""
    agent = await start("propose")
    for _ in range(3):
        await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
        await agent.live(620)
    assert await agent.phases() == ["expired"] * 3
    ((incident, kind, text),) = agent.world.called
    assert (incident, kind) == (5, "asked")
    assert text.startswith("anfl-agent approve 1 (Lower its priority: would renice), until ")


async def test_nobody_is_asked_about_what_the_guard_refuses(start: Start) -> None:
    """As installed nothing is allowed, and nobody is called for it."""
    agent = await start("propose")
    agent.world.base = replace(agent.world.base, target_there=False)
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(20)
    assert (await agent.phases(), agent.world.called) == (["denied"], [])


async def test_each_of_several_who_are_to_blame_gets_a_proposal_and_they_share_the_limits(start: Start) -> None:
    """One after the other; the attempts of the incident hold for all of them."""
    book = CALM.replace("target: {", "target: {who: culprit, ").replace("next: recycle\n", "limits: {attempts_per_incident: 2}\n")
    agent = await start("auto", book.replace('unit: "svc@*"', 'unit: "*"'))
    agent.world.blamed = NEIGHBOUR
    agent.world.blamed_too = [replace(NEIGHBOUR, pid=100 + n, unit=f"n{n}.service") for n in range(2)]
    agent.world.good = True
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(60)
    runs = await agent.runs()
    assert [(r.target.pid, str(r.phase)) for r in runs] == [(99, "verified"), (100, "verified"), (101, "cancelled")]
    assert "2 attempts in incident 5" in runs[-1].reason
