"""Playbooks put together with the rest of the agent."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent import acting, plugins
from agent.acting import Acting
from agent.config import Config
from agent.engine.evaluate import JudgeState
from agent.engine.incidentbook import Book
from agent.errors import Problems
from agent.host.lane import Stalled, aside
from agent.incidents import tables as incidents
from agent.incidents.desk import Desk
from agent.remedy import tables
from agent.remedy.playbook import CLASSES
from agent.store.ring import Ring
from agent.store.state import State
from tests.fakes.clock import FakeClock
from tests.fakes.incident import COMPLAINT, INCIDENT
from tests.fakes.remedyworld import KEY

SOP = {
    "latency": ("3.1 resource optimization", "3.1 cache implementation", "3.1 load balancing"),
    "memory": ("3.1 memory cleanup", "3.1 resource reallocation", "3.1 optimization implementation"),
    "throughput": ("3.1 scaling adjustment", "3.1 process optimization", "3.1 configuration tuning"),
    "accuracy": ("3.2 model retraining", "3.2 data cleaning", "3.2 parameter tuning"),
    "stability": ("3.2 configuration adjustment", "3.2 resource reallocation", "3.2 monitoring enhancement"),
    "immediate": ("6.1 service isolation", "6.1 impact assessment", "6.1 team notification"),
    "resolution": ("6.1 root cause analysis", "6.1 solution implementation", "6.1 documentation update"),
}
"""Section of the procedure and its item, by what it resolves."""
NAMED = """signal_process stop_process continue_process renice cpu_affinity cgroup_limit restart_unit reload_unit isolate_service
drop_caches clear_directory shm_cleanup collect_garbage gpu_clocks gpu_power_limit gpu_persistence gpu_reset kill_gpu_orphans
drain_slurm cordon_kubernetes scale webhook run_command capture_evidence notify"""
"""What an agent on a GPU node must be able to do; renice is ionice, too."""


def config(folder: Path, playbook: str = "") -> Config:
    """A configuration with one playbook of the site."""
    site = folder / "playbooks.d"
    site.mkdir()
    if playbook:
        (site / "own.yaml").write_text(playbook)
    return Config(path=str(folder / "config.yaml"), state_dir=str(folder))


def causes() -> list[str]:
    """Of the shipped rules."""
    return list(plugins.rules_or_raise(plugins.installed(), Config()).causes)


def test_the_shipped_playbooks_cover_the_procedure_and_allow_nothing() -> None:
    """Resolutions of section 3 and the immediate actions of 6.1; nothing disruptive has an allow list or runs by itself."""
    shelf = acting.read(Config(), causes())
    said = {line for one in shelf.playbooks.values() for line in one.sop}
    assert {item for items in SOP.values() for item in items} == said
    bold = [p for p in shelf.playbooks.values() if p.class_ != "observe"]
    assert not [p.id for p in bold if p.target.allow or p.mode == "auto"]
    assert {p.class_ for p in shelf.playbooks.values()} == set(CLASSES)


def test_there_is_an_action_for_all_that_the_procedure_asks_of_a_node() -> None:
    """And the page for operators has a line about each."""
    page = (Path(__file__).parents[1] / "docs" / "playbooks.md").read_text("utf-8")
    kinds = acting.read(Config(), causes()).kinds
    assert set(kinds) == set(NAMED.split())
    assert not [name for name in kinds if f"`{name}`" not in page]


def test_a_playbook_asks_no_more_certainty_than_its_causes_can_have() -> None:
    """Else it could never act, however clear the case."""
    rules = plugins.rules_or_raise(plugins.installed(), Config())
    for one in acting.read(Config(), rules.causes).playbooks.values():
        for cause in (rules.causes[name] for name in one.needs.causes):
            best = 1 - math.prod(1 - weight for weight in cause.support.values())
            assert best + 1e-9 >= one.needs.confidence, f"{one.id}: {cause.id} is {best:.2f} certain at best"


def test_every_playbook_that_a_rule_offers_exists() -> None:
    """Else the offer would be empty."""
    rules = plugins.rules_or_raise(plugins.installed(), Config())
    offered = {cause.playbook for cause in rules.causes.values() if cause.playbook}
    assert offered <= set(acting.read(Config(), rules.causes).playbooks)


def test_a_playbook_of_the_site_takes_the_place_of_its_namesake(tmp_path: Path) -> None:
    """With its own allow list."""
    text = """
playbook: let-go-on
title: Ours
class: reversible
target: {allow: [{unit: "x@*"}]}
needs: {causes: [latency.external-stop]}
steps: [{do: continue_process}]
"""
    one = acting.read(config(tmp_path, text), causes()).playbooks["let-go-on"]
    assert (one.title, one.target.allow[0].unit) == ("Ours", "x@*")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("{do: renice, with: {nise: 5}}", "unknown setting 'nise'"),
        ("{do: renice, with: {nice: low}}", "'low' is not a quantity"),
        ("{do: renice, with: {target: x}}", "'target' is filled in by the agent"),
    ],
)
def test_a_wrong_setting_of_a_step_has_its_place(tmp_path: Path, step: str, said: str) -> None:
    """Before anything could be done with it."""
    text = f"playbook: p\ntitle: t\nclass: reversible\nneeds: {{causes: [memory.oom-risk]}}\nsteps: [{step}]\n"
    with pytest.raises(Problems) as wrong:
        acting.read(config(tmp_path, text), causes())
    assert said in str(wrong.value)
    assert "own.yaml:5:" in str(wrong.value)


def test_what_is_filled_in_later_is_no_mistake(tmp_path: Path) -> None:
    """A unit is known only when it acts."""
    text = (
        "playbook: p\ntitle: t\nclass: disruptive\nneeds: {causes: [memory.oom-risk]}\n"
        "steps: [{do: restart_unit, with: {unit: '${target.unit}'}}]\n"
    )
    assert "p" in acting.read(config(tmp_path, text), causes()).playbooks


async def test_what_is_found_while_playbooks_are_still_read_is_proposed_all_the_same(tmp_path: Path) -> None:
    """A diagnosis right after the start, and one that comes while the state does not answer."""
    clock = FakeClock()
    state = State(str(tmp_path / "state.db"), [tables.ROOM, incidents.ROOM], clock)
    await state.open()
    rules: Any = SimpleNamespace(causes=await aside(causes), trees={})
    agent: Any = SimpleNamespace(clock=clock, rules=rules, collectors={}, ring=Ring(), judged=JudgeState())
    desk = Desk(state, clock)
    desk.book = Book(5, 0.0, {n: replace(INCIDENT, id=n, complaints=(replace(COMPLAINT, over=None),)) for n in (3, 4)})
    organ = Acting(Config(state_dir=str(tmp_path)), agent, desk, state)
    organ.diagnosed({}, 3, KEY)
    task = asyncio.create_task(organ.run())
    write, stalls = state.write, [Stalled("not now")]

    async def slow(change: Any, timeout: float = 10.0) -> Any:
        if stalls:
            raise stalls.pop()
        return await write(change, timeout)

    state.write = slow  # type: ignore[method-assign]
    async with asyncio.timeout(30):
        while {run.incident for run in await state.read(tables.runs)} != {3, 4}:
            if await state.read(tables.runs):
                organ.diagnosed({}, 4, KEY)
            await clock.advance(1.0)
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await state.close()
