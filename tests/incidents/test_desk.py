"""The desk at work: rounds of the judge become incidents on disk, and what is said is kept when it is answered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.engine.evaluate import JudgeState
from agent.engine.incidents import CALM_S, FLAPS
from agent.engine.trees import RuleSet
from agent.errors import UsageError
from agent.host.lane import Stalled
from agent.incidents import tables
from agent.incidents.desk import Desk
from agent.model import ENTITY_ENDED, Event, labels
from agent.store.state import State
from tests.fakes.desk import KEY, RULES, SELF, host


async def test_a_symptom_becomes_an_incident_on_disk(tmp_path: Path) -> None:
    """With who suffers and since when, and whoever tells people is called."""
    async with host(tmp_path) as one:
        await one.live(60, 10)
        assert await one.events() == []
        await one.live(30, 200)
        found = await one.on_disk()
        assert (found.phase, found.impact.users, found.complaints[0].start) == ("open", ("ada",), one.start)
        assert "200" in found.complaints[0].text
        await one.live(60, 10)
        assert await one.events() == ["opened", "resolved"]
        assert len(one.calls) == 2


async def test_a_diagnosis_carries_the_number_of_its_incident(tmp_path: Path) -> None:
    """And is kept with it."""
    found: dict[str, Any] = {"causes": [], "possible": [], "ruled_out": [], "not_checked": [], "incident": None}
    async with host(tmp_path) as one:
        await one.live(60, 200)
        one.desk.diagnosed(RULES, found, KEY)
        await one.kept()
        assert found["incident"] == "1"
        assert await one.state.read(lambda at: tables.diagnoses(at, 1)) == [found]
        assert (await one.on_disk()).ready


async def test_flapping_ends_when_the_judge_knows_quiet(tmp_path: Path) -> None:
    """Without data it does not; the process is kept in sight meanwhile."""
    async with host(tmp_path) as one:
        for _ in range(FLAPS + 1):
            await one.live(60, 200)
            await one.live(60, 10)
        assert (await one.on_disk()).phase == "flapping"
        assert one.desk.pids() == [SELF]
        await one.live(2 * CALM_S, data=False)
        assert (await one.on_disk()).phase == "flapping"
        await one.live(CALM_S + 60, 10)
        assert (await one.events())[-2:] == ["flapping", "resolved"]
        assert one.desk.pids() == []


async def test_a_flapping_process_that_ends_is_gone_in_the_end(tmp_path: Path) -> None:
    """Its end is seen though it was quiet just then."""
    async with host(tmp_path) as one:
        for _ in range(FLAPS + 1):
            await one.live(60, 200)
            await one.live(60, 10)
        one.ring.add(one.clock.now(), [Event(one.clock.now(), ENTITY_ENDED, labels(pid=SELF))])
        await one.live(CALM_S + 60, data=False)
        assert (await one.events())[-1] == "gone"


async def test_a_tree_that_is_taken_away_closes_what_it_opened(tmp_path: Path) -> None:
    """Nothing judges its symptoms any more, as after a reload."""
    async with host(tmp_path) as one:
        await one.live(60, 200)
        one.rules, one.judged = RuleSet(), JudgeState(one.judged.at)
        await one.live(10)
        assert await one.events() == ["opened", "gone"]


async def test_a_word_is_kept_when_it_is_answered(tmp_path: Path) -> None:
    """Also to an incident of long ago; to none there is none."""
    async with host(tmp_path) as one:
        await one.live(60, 200)
        told = await one.desk.word(1, "ack", "ada")
        assert told.acknowledged == (await one.on_disk()).acknowledged == "ada"
        with pytest.raises(UsageError, match="no incident 99"):
            await one.desk.word(99, "comment", "ada", "hello")


async def test_what_cannot_be_kept_is_tried_again_and_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that is too slow, and may have done its work all the same, makes no second event."""
    async with host(tmp_path) as one:
        real, tries = one.state.write, []

        async def slow(change: Any, timeout: float = 10.0) -> Any:
            tries.append(1)
            done = await real(change)
            if len(tries) < 3:
                raise Stalled("too slow")
            return done

        monkeypatch.setattr(one.state, "write", slow)
        living = asyncio.ensure_future(one.live(60, 200))
        for _ in range(5):
            await asyncio.sleep(0.05)
            await one.clock.advance(1.0)
        await living
        assert len(tries) >= 3
        assert await one.events() == ["opened"]


async def test_its_figures(tmp_path: Path) -> None:
    """What is open by severity, and how many there ever were."""
    async with host(tmp_path) as one:
        await one.live(60, 200)
        figures = {(s.series.name, *dict(s.series.labels).values()): s.value for s in one.desk.samples()}
        assert figures["incidents_open", "warning"] == figures["incidents_total",] == figures["agent_state_durable",] == 1.0
        assert figures["incidents_open", "critical"] == figures["incident_batches_waiting",] == 0.0
        declared = {m.name for m in (*Desk.metrics, *State.metrics)}
        assert {name for name, *_ in figures} == declared
