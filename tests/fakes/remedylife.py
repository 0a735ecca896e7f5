"""The organ that acts, through one life after another over a state file that outlives them."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

from agent.host.keyfile import Keyring
from agent.remedy import tables
from agent.remedy.carry import Carrier
from agent.remedy.ledger import Ledger
from agent.remedy.model import Run
from agent.remedy.people import People
from agent.remedy.playbook import Mode, Playbook
from agent.remedy.runner import Remedy
from agent.store.state import State
from tests.fakes.clock import FakeClock
from tests.fakes.remedyworld import DIAGNOSIS, KEY, World


class Agent:
    """One life of the agent over a state file that outlives it."""

    def __init__(self, state: State, world: World, clock: FakeClock, ceiling: Mode, books: dict[str, Playbook]) -> None:
        self.state, self.world, self.clock = state, world, clock
        folder = os.path.dirname(state.path)
        self.ledger = Ledger(state, folder, Keyring(f"{folder}/playbooks.key"), clock)
        self.carrier = Carrier(self.ledger, world, clock, world.make, lambda told: None, world.house, world.permits)  # type: ignore[arg-type,return-value]
        self.remedy = Remedy(self.ledger, books, ceiling, world, clock, self.carrier)
        self.people = People(self.remedy, clock)

    async def runs(self) -> list[Run]:
        """All there are."""
        return await self.state.read(tables.runs)

    async def phases(self) -> list[str]:
        """Where they stand."""
        return [str(r.phase) for r in await self.runs()]

    async def live(self, seconds: float) -> None:
        """Ticks until then."""
        for _ in range(int(seconds / 5)):
            await self.remedy.tick()
            await self.clock.advance(5)

    async def work(self, seconds: float) -> None:
        """A diagnosis, and what comes of it."""
        await self.remedy.diagnosed(DIAGNOSIS, 5, KEY)
        await self.live(seconds)


Start = Callable[..., Awaitable[Agent]]
