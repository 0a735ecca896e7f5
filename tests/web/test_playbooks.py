"""Playbooks on the unix socket."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyotp
import pytest

from agent.errors import AgentError
from agent.host import agentsock, procs
from agent.host.keyfile import Keyring
from agent.host.lane import Lane, aside
from agent.incidents.desk import Desk
from agent.model import JsonObject
from agent.permission import Approver
from agent.remedy import tables
from agent.remedy.approvers import Approvers, Voice
from agent.remedy.carry import Carrier
from agent.remedy.ledger import Ledger
from agent.remedy.model import ITSELF
from agent.remedy.runner import Remedy
from agent.store.state import State
from agent.web.playbooks import PlaybooksApi
from agent.web.sock import AgentSocket
from agent.web.voices import Voices
from agent.yamlfile import Text
from tests.fakes.clock import FakeClock
from tests.fakes.remedyworld import CALM, DIAGNOSIS, KEY, RECYCLE, World, playbooks
from tests.web.test_sock import FakeBackend


class Door:
    """A socket with playbooks behind it."""

    def __init__(self, folder: Path, state: State, clock: FakeClock, books: Any, approvers: Any = (), own: int = -1) -> None:
        self.path, self.state, self.world = str(folder / "agent.sock"), state, World()
        keys = Keyring(str(folder / "playbooks.key"))
        ledger = Ledger(state, str(folder), keys, clock)
        carrier = Carrier(ledger, self.world, clock, self.world.make, lambda told: None, self.world.house)  # type: ignore[arg-type,return-value]
        self.runner = Remedy(ledger, books, "propose", self.world, clock, carrier)
        self.clock = clock
        voices = Voices(Approvers(approvers), own=own)
        api = PlaybooksApi(self, Desk(state, clock), state, clock, voices)  # type: ignore[arg-type]
        self.socket = AgentSocket(self.path, FakeBackend(), more=api.routes())
        self.lane = Lane("client")

    def remedy(self) -> Remedy:
        """As the organ gives it."""
        return self.runner

    async def ask(self, method: str, route: str, body: JsonObject | None = None) -> JsonObject:
        """The answer."""
        return next(iter(await self.lane.run(lambda: list(agentsock.ask(self.path, method, route, body, timeout=5)), 10)))

    async def say(self, **body: Any) -> JsonObject:
        """One word."""
        return await self.ask("POST", "/v1/playbook", body)


async def opened(folder: Path, *texts: str, approvers: Any = (), own: int = -1) -> Door:
    """One proposal waits."""
    clock = FakeClock()
    state = State(str(folder / "state.db"), [tables.ROOM], clock)
    await state.open()
    made = Door(folder, state, clock, await aside(lambda: playbooks(*(texts or (CALM,)), RECYCLE)), approvers, own)
    await made.socket.start()
    await made.runner.diagnosed(DIAGNOSIS, 5, KEY)
    return made


async def closed(door: Door) -> None:
    """No more."""
    await door.socket.stop()
    door.lane.close()
    await door.state.close()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """As installed."""
    made = await opened(tmp_path)
    yield made
    await closed(made)


async def test_what_waits_is_listed_and_agreed_to_by_name(door: Door) -> None:
    """The audit knows who."""
    told = await door.ask("GET", "/v1/playbooks")
    assert (told["ceiling"], [r["phase"] for r in told["runs"]], told["playbooks"][0]["in_force"]) == (
        "propose",
        ["proposed"],
        "propose",
    )
    said = await door.say(verb="approve", id=1)
    assert said["run"]["phase"] == "approved"
    audit = await door.ask("GET", "/v1/audit")
    assert (audit["broken_at"], audit["head"]["seq"], audit["records"][-1]["what"]) == (None, 2, "run 1 approved")
    found = await door.ask("GET", "/v1/audit/check?head=" + audit["head"]["text"])
    assert (found["wrong"], found["records"], found["head"]) == (None, 2, audit["head"])
    assert "is not there" in (await door.ask("GET", "/v1/audit/check?head=9:123456789012"))["wrong"]
    with pytest.raises(AgentError, match="is no head"):
        await door.ask("GET", "/v1/audit/check?head=x")
    assert audit["records"][-1]["who"] == said["run"]["approvals"][0]


async def test_a_no_has_its_reason(door: Door) -> None:
    """And cannot be taken twice."""
    assert (await door.say(verb="deny", id=1, reason="not tonight"))["run"]["reason"] == "not tonight"
    with pytest.raises(AgentError, match="does not wait for anybody"):
        await door.say(verb="approve", id=1)


async def test_a_pause_and_a_reset_need_reasons(door: Door) -> None:
    """They stand in the list until they end."""
    with pytest.raises(AgentError, match="a pause needs a reason"):
        await door.say(verb="pause", for_s=60)
    await door.say(verb="pause", for_s=60, reason="night shift")
    assert "night shift" in (await door.ask("GET", "/v1/playbooks"))["switches"]["pause"]["why"]
    await door.say(verb="resume")
    assert (await door.ask("GET", "/v1/playbooks"))["switches"] == {}
    with pytest.raises(AgentError, match="needs a reason"):
        await door.say(verb="reset")
    with pytest.raises(AgentError, match="needs a reason"):
        await door.say(verb="fresh")


@pytest.mark.parametrize(
    "body",
    [
        {"verb": "dance"},
        {"verb": "approve"},
        {"verb": "approve", "id": "1"},
        {"verb": "approve", "id": True},
        {"verb": "approve", "id": 10**20},
        {"verb": "undo", "id": 10**20},
        {"verb": "pause", "for_s": -1, "reason": "x"},
        {"verb": "pause", "for_s": float("nan"), "reason": "x"},
        {"verb": "pause", "for_s": 1e9, "reason": "x"},
        {"verb": "deny", "id": 1, "reason": 5},
        {"verb": "weigh", "playbook": "none", "incident": 1},
        {"verb": "weigh", "playbook": "calm", "incident": 99},
        {"verb": "approve", "id": 1, "more": 1},
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(door: Door, body: JsonObject) -> None:
    """With a word on what would."""
    with pytest.raises(AgentError) as refused:
        await door.ask("POST", "/v1/playbook", body)
    assert refused.value.exit_code == 2  # not "the agent failed to answer"
    assert [r["phase"] for r in (await door.ask("GET", "/v1/playbooks"))["runs"]] == ["proposed"]


async def test_the_agent_itself_cannot_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It proposed it."""
    door = await opened(tmp_path)
    monkeypatch.setattr(Voices, "of", lambda self, who: Voice(ITSELF))
    with pytest.raises(AgentError, match="whoever proposes cannot agree"):
        await door.say(verb="approve", id=1)
    assert [r["phase"] for r in (await door.ask("GET", "/v1/playbooks"))["runs"]] == ["proposed"]
    await closed(door)


async def test_who_is_not_configured_cannot_decide(tmp_path: Path) -> None:
    """Not even root, nor the agent's own user."""
    door = await opened(tmp_path, approvers=(Approver(user=Text("somebody-else")),))
    for verb in ("approve", "deny"):
        with pytest.raises(AgentError, match="you may not decide") as refused:
            await door.say(verb=verb, id=1)
        assert refused.value.exit_code == 3  # as everywhere who may not ask
    assert (await door.state.read(tables.runs))[0].phase == "proposed"
    await closed(door)


async def test_a_second_factor_is_asked_for_at_the_socket_too(tmp_path: Path) -> None:
    """Where the playbook says so."""
    (tmp_path / "secret").write_text("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n")
    me = Approver(user=Text(procs.user_name(os.getuid())), totp_file=str(tmp_path / "secret"))
    door = await opened(tmp_path, CALM + "approval: {totp: true}\n", approvers=(me,))
    with pytest.raises(AgentError, match="asks for a code"):
        await door.say(verb="approve", id=1)
    with pytest.raises(AgentError, match="is not right"):
        await door.say(verb="approve", id=1, code="000000")
    right = pyotp.TOTP("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").at(int(door.clock.now()))
    assert (await door.say(verb="approve", id=1, code=right))["run"]["phase"] == "approved"
    await closed(door)
