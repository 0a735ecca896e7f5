"""The seam to simulated hardware: what a drill needs of it, whoever brings it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from agent.drill.patient import NotHeld, Patient
from agent.errors import AgentError, Unavailable


class Simulated(Protocol):
    """Hardware of one drill. ``environment`` is what the agent under test must be started with."""

    @property
    def environment(self) -> Mapping[str, str]: ...  # noqa: D102

    async def play(self, pids: Mapping[str, int]) -> None:
        """Let happen over time what the case says; ``pids`` are those of ``target`` and ``culprit``. Cancelled at the end."""


class Simulator(Protocol):
    """Makes it from a case's ``sim:`` in the drill's folder; AgentError for a mistake there, Unavailable without the tools."""

    async def start(self, said: Mapping[str, Any], place: Path) -> Simulated: ...  # noqa: D102


async def simulate(simulator: Simulator | None, said: Mapping[str, Any], place: Path) -> Simulated | None:
    """The hardware a case asks for, if it asks for any; a mistake in the case is no failure of the agent."""
    if not said or simulator is None:
        return None
    try:
        return await simulator.start(said, place)
    except Unavailable:
        raise
    except AgentError as wrong:
        raise NotHeld(str(wrong)) from wrong


@contextlib.asynccontextmanager
async def playing(simulated: Simulated | None, patient: Patient) -> AsyncIterator[None]:
    """What is to happen to the hardware happens meanwhile."""
    if simulated is None:
        yield
        return
    pids = {"target": patient.target or patient.running.pid}
    if patient.guilty:
        pids["culprit"] = min(patient.guilty)
    task = asyncio.ensure_future(simulated.play(pids))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled() and (wrong := task.exception()) is not None:
        raise NotHeld(f"the simulated hardware failed: {wrong}") from wrong
