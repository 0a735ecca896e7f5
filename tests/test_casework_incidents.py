"""The judge at work with a desk: what fires opens an incident, and its diagnosis belongs to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from agent.app import Agent
from agent.casework import Casework
from agent.errors import AgentError
from agent.host.beside import beside
from agent.incidents import tables
from agent.incidents.desk import Desk
from agent.store.state import State
from tests.test_casework import Host, found, running

OWN = os.getpid()
"""A process that is there: whether one has ended meanwhile is asked of the host."""


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    """A calm host, judged since half a minute."""
    made = Host(pids=(7, OWN))
    async with running(made):
        await made.live(30)
        yield made


@pytest.fixture
async def desk(tmp_path: Path, host: Host) -> AsyncIterator[Desk]:
    """The same host, with a desk."""
    state = State(str(tmp_path / "state.db"), [tables.ROOM], host.agent.clock)
    await state.open()
    host.work._desk = made = Desk(state, host.agent.clock)
    await host.work.begin()
    async with beside(made.run(), "desk"):
        yield made
    await state.close()


async def test_a_symptom_opens_an_incident_and_its_diagnosis_belongs_to_it(host: Host, desk: Desk) -> None:
    """The answer carries the number; the process keeps its series while the incident is open."""
    host.threads[7] = 200.0
    await host.live(40)
    [incident] = desk.book.open
    assert (incident.phase, incident.root and incident.root["id"]) == ("diagnosed", "busy.threads")
    assert host.work.diagnoses[0]["incident"] == "1"
    assert host.agent.pinned == {"incidents": [7]}
    host.threads[7] = 10.0
    await host.live(40)
    assert not desk.book.open
    assert host.agent.pinned == {"incidents": []}
    assert host.agent.ring.latest("incidents_total")[()][1] == 1.0


async def test_nobody_waits_for_a_cause_that_is_not_looked_for(host: Host, desk: Desk) -> None:
    """A notice, and a symptom that could not be looked into, are ready to be told as they are."""
    host.agent.answer = AgentError("it is gone")
    host.load, host.threads[7] = 9.0, 200.0
    await host.live(40)
    assert [i.ready for i in desk.book.open] == [True, True]


async def test_a_suspicion_is_an_incident_once_a_look_has_proven_it(host: Host, desk: Desk) -> None:
    """It is told as if it had just fired, with its cause, and ends like any other."""
    host.threads[7] = 80.0
    await host.live(15)
    assert not desk.book.open
    await host.live(15)
    [incident] = desk.book.open
    assert (incident.phase, incident.ready, [c.tree for c in incident.complaints]) == ("diagnosed", True, ["busy_fast"])
    host.threads[7] = 10.0
    await host.live(20)
    assert not desk.book.open


async def test_a_suspicion_that_nothing_proves_is_nobodys_trouble(host: Host, desk: Desk) -> None:
    """It was looked into, once; there is no incident and no answer to show."""
    host.agent.answer = found(severity="notice")
    host.threads[7] = 80.0
    await host.live(120)
    assert len(host.agent.asked) == 1
    assert not desk.book.incidents
    assert not host.work.diagnoses


async def test_a_suspicion_does_not_starve_behind_symptoms(host: Host, desk: Desk) -> None:
    """It stands in the queue like a symptom; one at a time."""
    host.agent.takes = 30.0
    host.threads |= {7: 200.0, OWN: 80.0}
    await host.live(80)
    assert [request.pid for request, _ in host.agent.asked] == [7, OWN]


async def test_an_incident_ends_although_a_reload_made_a_suspicion_of_its_symptom(host: Host, desk: Desk) -> None:
    """And one that was only suspected is an incident when the new rules call it a symptom."""
    host.agent.answer = found(severity="notice")
    host.threads |= {7: 200.0, OWN: 80.0}
    await host.live(40)
    [incident] = desk.book.open
    assert [c.tree for c in incident.complaints] == ["busy"]
    busy, fast = host.agent.rules.trees["busy"], host.agent.rules.trees["busy_fast"]
    suspected = replace(busy, symptom=replace(busy.symptom, suspicion=("busy",)))
    plain = replace(fast, symptom=replace(fast.symptom, suspicion=()))
    host.agent.rules = replace(host.agent.rules, trees={**host.agent.rules.trees, "busy": suspected, "busy_fast": plain})
    host.threads[7] = 10.0
    await host.live(40)
    assert [c.tree for i in desk.book.open for c in i.active] == ["busy_fast"]


async def test_what_was_not_looked_into_before_a_restart_is_now(host: Host, desk: Desk) -> None:
    """A kill may come between a symptom and its diagnosis."""
    host.agent.takes = 1000.0
    host.threads[OWN] = 200.0
    await host.live(22)
    while desk._waiting:  # noqa: ASYNC110 -- the state's own thread is at work
        await asyncio.sleep(0.001)
    assert not desk.book.open[0].ready
    again = Host(pids=(7, OWN))
    again.agent.clock = host.agent.clock
    again.work = Casework(cast(Agent, again.agent), "ask", desk)
    await again.work.begin()
    async with running(again):
        await again.live(10)
    assert [request.pid for request, _ in again.agent.asked] == [OWN]
