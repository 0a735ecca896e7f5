"""What tests of this room share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.host.lane import aside
from agent.remedy import tables
from agent.remedy.playbook import Mode
from agent.store.state import State
from tests.fakes.clock import FakeClock
from tests.fakes.remedylife import Agent, Start
from tests.fakes.remedyworld import CALM, RECYCLE, World, playbooks


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts the agent on the same state file, again and again."""
    clock, world, opened = FakeClock(), World(), list[State]()

    async def begin(ceiling: Mode = "auto", *texts: str) -> Agent:
        for before in opened:
            await before.close()
        state = State(str(tmp_path / "state.db"), [tables.ROOM], clock)
        await state.open()
        opened.append(state)
        books = await aside(lambda: playbooks(*(texts or (CALM, RECYCLE))))
        agent = Agent(state, world, clock, ceiling, books)
        await agent.remedy.open()
        return agent

    yield begin
    for state in opened:
        await state.close()
