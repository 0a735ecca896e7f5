"""What playbooks see of the running agent: unknown is never well."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from agent.engine.evaluate import JudgeState, SymptomState
from agent.host import procs
from agent.model import Target
from agent.playbookview import SEEN_S, View
from agent.remedy.model import Phase, Run
from agent.store.ring import Ring
from tests.fakes.clock import FakeClock
from tests.fakes.remedyworld import KEY, TARGET

HERE = Target("process", "python", os.getpid(), procs.start_time(os.getpid()))
GONE = Target("process", "python", 2**22 + 5, 1.0)


def helped(target: Target, age: float = 0.0, **symptom: Any) -> Any:
    """The view's answer with one symptom as given (none for nothing)."""
    clock = FakeClock()
    symptoms = {KEY: SymptomState("firing", 0.0, 0.0, **symptom)} if symptom or target is TARGET else {}
    agent = SimpleNamespace(
        clock=clock, judged=JudgeState(clock.now() - age, symptoms), ring=Ring(), rules=SimpleNamespace(trees={})
    )
    agent.ring.add(clock.now(), [])
    run = Run(1, "p", "", "p", 1, "c", KEY, target, "auto", Phase.VERIFYING, 0.0, 0.0, 0.0)
    return View(agent, None).helped(run)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "more", "answer"),
    [
        (TARGET, {}, False),
        (GONE, {"missing": True}, None),
        (GONE, {"clearing": True}, True),
        (GONE, {}, True),
        (HERE, {"clearing": True}, None),
        (GONE, {"clearing": True, "age": SEEN_S + 1}, None),
    ],
)
async def test_what_is_known_to_clear_is_over_and_what_nobody_can_judge_is_not(
    target: Target, more: dict[str, Any], answer: bool | None
) -> None:
    """The judge keeps a symptom for minutes after it began to clear; a process without data is not well for that."""
    assert await helped(target, **more) is answer


async def test_a_restarted_worker_is_not_well_before_it_is_watched() -> None:
    """Its unit must be seen again, and be known to be well."""
    gone = Target("process", "python", 2**22 + 5, 1.0, unit="svc@1.service")
    assert await helped(gone, clearing=True) is None
