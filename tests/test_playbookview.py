"""What playbooks see of the running agent: unknown is never well."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.engine.evaluate import JudgeState, SymptomState
from agent.engine.incidentbook import Book
from agent.host import procs
from agent.host.beside import beside
from agent.incidents import tables
from agent.incidents.desk import Desk
from agent.model import ENTITY_ENDED, Event, Sample, Series, Target, labels
from agent.playbookview import SEEN_S, View
from agent.remedy.model import Phase, Run
from agent.store.ring import Ring
from agent.store.state import State
from tests.fakes.clock import FakeClock
from tests.fakes.incident import COMPLAINT, INCIDENT
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


@pytest.mark.parametrize(
    ("ended", "at", "answer"),
    [({"uuid": "GPU-1", "pid": 7}, 5.0, True), ({"uuid": "GPU-1", "pid": 7}, -5.0, None), ({"pid": 7}, 5.0, None), ({}, 5.0, None)],
)
async def test_a_gpu_is_rid_of_a_dead_process_when_that_was_seen_to_leave_it(
    ended: dict[str, Any], at: float, answer: bool | None
) -> None:
    """Since the playbook began to act, and of that GPU: that the process is dead was the trouble."""
    clock = FakeClock()
    began = clock.now()
    agent = SimpleNamespace(clock=clock, judged=JudgeState(began + 10, {}), ring=Ring(), rules=SimpleNamespace(trees={}))
    agent.ring.add(began + 10, [Event(began + at, ENTITY_ENDED, labels(**ended))] if ended else [])
    key = ("gpu_process", labels(uuid="GPU-1", pid=7))
    run = Run(1, "p", "", "p", 1, "c", key, Target("gpu", "GPU 0", uuid="GPU-1"), "auto", Phase.VERIFYING, began, began, began)
    assert await View(agent, None).helped(replace(run, reserved_at=began)) is answer  # type: ignore[arg-type]


async def test_a_restarted_worker_is_not_well_before_it_is_watched() -> None:
    """Its unit must be seen again, and be known to be well."""
    gone = Target("process", "python", 2**22 + 5, 1.0, unit="svc@1.service")
    assert await helped(gone, clearing=True) is None


async def test_work_whose_end_was_not_kept_does_not_hold_an_incident_open(tmp_path: Path) -> None:
    """The state answered too late; that nothing is under way any more is known all the same."""
    clock = FakeClock()
    state = State(str(tmp_path / "state.db"), [tables.ROOM], clock)
    await state.open()
    desk = Desk(state, clock)
    desk.book = Book(6, 0.0, {n: replace(INCIDENT, id=n, remedies=2, complaints=(replace(COMPLAINT, over=None),)) for n in (3, 5)})
    async with beside(desk.run(), "desk"):
        await View(SimpleNamespace(), desk).rest({5})  # type: ignore[arg-type]
    assert [desk.book.incidents[n].remedies for n in (3, 5)] == [0, 2]
    await state.close()


def gpu_view(*people: tuple[str, dict[str, str]], silent: str = "", lost: str = "") -> View:
    """A host with GPUs a and b, and these processes on them."""
    clock = FakeClock()
    agent = SimpleNamespace(clock=clock, judged=JudgeState(clock.now(), {}), ring=Ring(), rules=SimpleNamespace(trees={}))
    samples = [Sample(Series("gpu_processes", labels(uuid=u)), 1.0) for u in ("a", "b") if u != silent]
    samples += [Sample(Series("gpu_process_info", labels(uuid=u, **known)), 1.0) for u, known in people]
    samples += [Sample(Series("gpu_lost", labels(uuid=u)), float(u == lost)) for u in ("a", "b")]
    agent.ring.add(clock.now(), samples)
    desk = SimpleNamespace(book=SimpleNamespace(incidents={}), survivor=lambda book, number: number)
    return View(agent, desk)  # type: ignore[arg-type]


async def test_who_works_on_a_gpu_is_told_with_all_the_gpus_they_have() -> None:
    """By job, container, unit, or session; a lost GPU is one that nobody can work on."""
    view = gpu_view(
        ("a", {"pid": "1", "job": "7", "unit": "x"}),
        ("b", {"pid": "2", "job": "7"}),
        ("b", {"pid": "3", "unit": "vllm.service"}),
        ("a", {"pid": str(os.getpid())}),
        ("a", {"pid": str(2**22 + 5)}),
        lost="b",
    )
    run = Run(1, "p", "", "p", 1, "c", KEY, Target("gpu", "a", uuid="a"), "auto", Phase.PROPOSED, 0.0, 0.0, 0.0)
    facts = await view.facts(run, 0.0)
    assert facts.gpu_users == {
        "job 7": frozenset("ab"),
        f"session {os.getsid(0)}": frozenset("a"),
        f"process {2**22 + 5}": frozenset("a"),
    }
    assert facts.gpus_lost == frozenset("b")


async def test_of_a_gpu_that_says_nothing_those_count_who_were_on_it() -> None:
    """One that never said anything may have anybody on it."""
    run = Run(1, "p", "", "p", 1, "c", KEY, Target("gpu", "a", uuid="a"), "auto", Phase.PROPOSED, 0.0, 0.0, 0.0)
    assert (await gpu_view(silent="a").facts(run, 0.0)).gpu_users is None
    assert (await gpu_view(("a", {"pid": "1", "job": "7"}), silent="a").facts(run, 0.0)).gpu_users == {"job 7": frozenset("a")}
    assert (await gpu_view().facts(run, 0.0)).gpu_users == {}
