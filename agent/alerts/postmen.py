"""The postmen: one task for each address that sends what waits for it, and tries again. They come and go with the receivers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.alerts.model import Address, Outcome, Row
from agent.alerts.tables import Writes
from agent.alerts.trouble import say
from agent.host.clock import until

if TYPE_CHECKING:
    from agent.alerts.courier import Courier

LOOK_MOST_S = 30.0


class Postmen:
    """At work for the courier's addresses, whatever these are at the time."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._bells: dict[str, asyncio.Event] = {}
        self._called = asyncio.Event()

    def called(self, names: Iterable[str] | None = None) -> None:
        """There is something new to send at these addresses; without any: look at everything again, addresses too."""
        for name in self._bells if names is None else names:
            if name in self._bells:
                self._bells[name].set()
        if names is None:
            self._called.set()

    async def run(self) -> None:
        """Until cancelled: somebody at each address. Who serves one that is gone leaves when the attempt that is out has ended."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._called.clear()
                for name in self._courier.addresses.keys() - self._bells.keys():
                    self._bells[name] = asyncio.Event()
                    group.create_task(self._serve(name), name=f"alerts-{name}")
                await self._called.wait()

    async def _serve(self, name: str) -> None:
        courier, bell = self._courier, self._bells[name]
        while name in courier.addresses:
            bell.clear()
            row, due = await self._lease(name)
            if row is None:
                await until(bell, LOOK_MOST_S if due is None else due - courier.clock.now(), courier.clock)
                continue
            address = courier.addresses[name]
            await self._settle(row, address, await courier.send(address, row.payload))
        del self._bells[name]
        self._called.set()  # it may be back by now

    async def _lease(self, name: str) -> tuple[Row | None, float | None]:
        courier = self._courier
        async with courier.lock:
            if name not in courier.addresses:
                return None, 0.0
            row, due = courier.outbox.next(name, courier.clock.now())
            if row is None:
                return None, due
            writes = Writes()
            leased = courier.outbox.lease(row, writes)
            await courier.commit(writes)
            return leased, None

    async def _settle(self, row: Row, address: Address, outcome: Outcome) -> None:
        courier, name = self._courier, row.address
        key = (name, outcome.ending)
        courier.sent[key] = courier.sent.get(key, 0) + 1
        async with courier.lock:
            if courier.outbox.ledger.rows.get((row.group, name)) is not row:  # its receiver went meanwhile, and it too
                return
            if courier.addresses[name] != address and outcome.ending == "hopeless":  # there, but not where it is now
                outcome = replace(outcome, ending="retry")
            before, writes = courier.outbox.health[name], Writes()
            courier.outbox.settle(row, outcome, courier.clock.now(), writes)
            courier.tried(name, writes)
            await courier.commit(writes)
            after = courier.outbox.health[name]
        say(name, before.word, after)
