"""Simulated hardware in a drill, with a stand-in at the seam."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.drill.case import Case
from agent.drill.read import read_cases
from agent.drill.runner import run_drills
from agent.drill.simulated import Simulated
from agent.errors import AgentError, Unavailable

NOTHING: dict[str, Any] = {"schema": "anfl.diagnosis/1", "causes": []}


@dataclass
class Hardware:
    """Notes what it is asked for; ``fails`` at the start or while it plays."""

    fails: Exception | None = None
    plays: Exception | None = None
    said: list[Any] = field(default_factory=list)

    @property
    def environment(self) -> Mapping[str, str]:
        return {"SIMULATED": "yes"}

    async def start(self, said: Mapping[str, Any], place: Path) -> Simulated:
        if self.fails:
            raise self.fails
        self.said.append(dict(said))
        return self

    async def play(self, pids: Mapping[str, int]) -> None:
        self.said.append(dict(pids))
        if self.plays:
            raise self.plays
        await asyncio.Event().wait()


@pytest.fixture
def case(case_folder: Path) -> Case:
    """A healthy case that wants simulated hardware."""
    return replace(read_cases(case_folder)[0], sim={"gpus": 2}, needs=("gpu-sim",), expect=None, control=True)


async def held(case: Case, hardware: Hardware) -> tuple[Any, list[Mapping[str, str]]]:
    """The result of one drill, and the environments the diagnoses ran in."""
    environments: list[Mapping[str, str]] = []

    async def diagnose(args: list[str], env: Mapping[str, str]) -> dict[str, Any]:
        environments.append(env)
        await asyncio.sleep(0.05)
        return NOTHING

    report = await run_drills([case], diagnose=diagnose, progress=lambda _: None, simulator=hardware)
    return report.results[0], environments


@pytest.mark.real
async def test_the_agent_under_test_sees_the_hardware_and_things_happen_to_it_meanwhile(case: Case) -> None:
    """The baseline of the host does not; the play knows the target's pid and ends with the drill."""
    hardware = Hardware()
    result, environments = await held(case, hardware)
    assert result.status == "passed"
    assert environments == [{}, {"SIMULATED": "yes"}]
    assert hardware.said[0] == {"gpus": 2}
    assert list(hardware.said[1]) == ["target"]


@pytest.mark.real
@pytest.mark.parametrize(
    ("hardware", "status", "why"),
    [
        (Hardware(fails=AgentError("no board 'x'")), "broken", "no board 'x'"),
        (Hardware(fails=Unavailable("there is no gcc")), "skipped", "there is no gcc"),
        (Hardware(plays=AgentError("the disk is full")), "broken", "the disk is full"),
    ],
)
async def test_hardware_that_fails_says_nothing_about_the_agent(case: Case, hardware: Hardware, status: str, why: str) -> None:
    """A mistake in the case, a missing tool or trouble on the way is never a failed drill."""
    result, _ = await held(case, hardware)
    assert result.status == status
    assert why in result.why
