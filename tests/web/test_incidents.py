"""Incidents on the socket: what they tell whom, and who may say what."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.engine.incident import Impact
from agent.errors import AgentError, Refused
from agent.host import agentsock, procs
from agent.host.beside import beside
from agent.host.lane import Lane, aside
from agent.incidents import tables
from agent.incidents.desk import Desk
from agent.incidents.tables import Batch
from agent.model import JsonObject
from agent.store.state import State
from agent.web import peer
from agent.web.incidents import IncidentsApi
from agent.web.sock import AgentSocket
from tests.fakes.clock import FakeClock
from tests.fakes.incident import INCIDENT
from tests.web.test_sock import FakeBackend

STRANGER = peer.Peer(1, 54321, 54321)
OTHERS = replace(INCIDENT, id=4, impact=Impact(users=("ada", "54321")))
OWN = replace(INCIDENT, id=5, impact=Impact(users=("54321",)))
OVER = replace(INCIDENT, id=6, phase="closed", closed=140.0, ending="resolved")


class Door:
    """A socket that answers for incidents only, and the command line's client."""

    def __init__(self, path: Path, desk: Desk, state: State) -> None:
        self.path = str(path)
        self.socket = AgentSocket(self.path, FakeBackend(), more=IncidentsApi(desk, state).routes())
        self.lane = Lane("client")

    async def ask(self, method: str, route: str, body: JsonObject | None = None) -> JsonObject:
        """The answer."""
        return next(iter(await self.lane.run(lambda: list(agentsock.ask(self.path, method, route, body, timeout=5)), 10)))

    async def ids(self, query: str = "") -> list[int]:
        """Numbers of the incidents one may see."""
        return [i["id"] for i in (await self.ask("GET", f"/v1/incidents{query}"))["incidents"]]


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """A desk with four incidents of before."""
    clock = FakeClock()
    state = State(str(tmp_path / "state.db"), [tables.ROOM], clock)
    await state.open()
    await state.write(lambda to: tables.save(to, Batch(1, (INCIDENT, OTHERS, OWN, OVER))))
    desk = Desk(state, clock)
    await desk.open()
    made = Door(tmp_path / "agent.sock", desk, state)
    await made.socket.start()
    async with beside(desk.run(), "desk"):
        yield made
    await made.socket.stop()
    made.lane.close()
    await state.close()


async def test_open_ones_are_listed_newest_first(door: Door) -> None:
    """Closed ones on request."""
    assert await door.ids() == [5, 4, 3]
    assert await door.ids("?closed_after=100") == [6, 5, 4, 3]
    assert await door.ids("?closed_after=150") == [5, 4, 3]


async def test_one_is_told_whole(door: Door) -> None:
    """With cause, complaints, impact and timeline."""
    one = await door.ask("GET", "/v1/incident?id=3")
    assert (one["schema"], one["id"], one["cause"]) == ("anfl.incident/1", 3, "memory.python-leak")
    assert one["complaints"][0]["labels"] == {"pid": "7"}
    assert one["impact"]["processes"][0]["user"] == "ada"
    assert one["opened"] == "1970-01-01T00:01:40.000Z"


async def test_a_word_is_answered_when_it_is_kept(door: Door) -> None:
    """In the name of whom the kernel says is there, cleaned."""
    told = await door.ask("POST", "/v1/incident", {"id": 3, "verb": "ack", "text": "on it\x1b[2J"})
    who = await aside(lambda: peer.person(peer.Peer(os.getpid(), os.geteuid(), 0)))
    assert (told["schema"], told["verb"], told["acknowledged"]) == ("anfl.incident-word/1", "ack", who)
    [line] = (await door.ask("GET", "/v1/incident?id=3"))["timeline"]
    assert (line["what"], line["who"], line["text"]) == ("acknowledged", who, "on it\ufffd[2J")


async def test_a_stranger_sees_and_handles_own_incidents_only(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that concerns others too is not theirs alone."""
    monkeypatch.setattr(peer, "of", lambda _: STRANGER)
    assert await door.ids() == [5]
    with pytest.raises(AgentError, match="there is no incident 4"):
        await door.ask("GET", "/v1/incident?id=4")
    with pytest.raises(Refused, match="not about your processes"):
        await door.ask("POST", "/v1/incident", {"id": 4, "verb": "ack"})
    assert (await door.ask("POST", "/v1/incident", {"id": 5, "verb": "close"}))["ending"] == "closed"


@pytest.mark.parametrize(
    ("method", "route", "body", "words"),
    [
        ("GET", "/v1/incident", None, "must be the number"),
        ("GET", "/v1/incident?id=-1", None, "must be the number"),
        ("GET", "/v1/incident?id=99", None, "there is no incident 99"),
        ("GET", "/v1/incidents?closed_after=inf", None, "closed_after"),
        ("POST", "/v1/incident", {"id": 3}, "verb must be one of"),
        ("POST", "/v1/incident", {"id": True, "verb": "ack"}, "must be a number"),
        ("POST", "/v1/incident", {"id": 3, "verb": "ack", "as": "root"}, "an object with id, verb and text"),
        ("POST", "/v1/incident", {"id": 99, "verb": "ack"}, "there is no incident 99"),
        ("POST", "/v1/incident", {"id": 10**20, "verb": "ack"}, "there is no incident 100000000000000000000"),
        ("POST", "/v1/incident", {"id": 6, "verb": "ack"}, "is closed"),
        ("POST", "/v1/incident", {"id": 3, "verb": "comment", "text": "x" * 3000}, "at most"),
    ],
)
async def test_a_wrong_question_gets_a_clear_error(
    door: Door, method: str, route: str, body: JsonObject | None, words: str
) -> None:
    """And changes nothing."""
    with pytest.raises(AgentError, match=words):
        await door.ask(method, route, body)
    assert (await door.ask("GET", "/v1/incident?id=3"))["timeline"] == []


def test_behind_root_stands_who_logged_in(tmp_path: Path) -> None:
    """The kernel keeps it through sudo; a service and a container have no login."""
    for pid, login in ((1, "1000"), (2, "4294967295"), (3, "0"), (4, "")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "loginuid").write_text(login)
    root, ada = procs.user_name(0), procs.user_name(1000)
    told = [peer.person(peer.Peer(pid, 0, 0), str(tmp_path)) for pid in range(1, 6)]
    assert told == [f"{ada} as {root}", root, root, root, root]
    assert peer.person(peer.Peer(1, 54321, 0), str(tmp_path)) == "54321"
