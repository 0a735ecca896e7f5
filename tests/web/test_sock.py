"""The unix socket: its life on disk, who may ask what, and the answers line by line."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.errors import AgentError, Unavailable, UsageError
from agent.host import agentsock
from agent.host.lane import Lane
from agent.model import JsonObject, Sample, Series, View, labels
from agent.store.ring import Ring
from agent.web import peer
from agent.web.sock import AgentSocket


class FakeBackend:
    """An agent that answers at once, or waits until it is cancelled."""

    def __init__(self) -> None:
        self.ring = Ring()
        self.ring.add(100.0, [Sample(Series("m", labels(pid=1)), 1.5), Sample(Series("m", labels(pid=2)), float("nan"))])
        self.asked: list[JsonObject] = []
        self.answer: JsonObject | Exception | None = {"verdict": "ok"}
        self.cancelled = asyncio.Event()

    def status(self) -> JsonObject:
        return {"schema": "anfl.status/1", "state": "running", "diagnoses": ["of somebody"]}

    def view(self) -> View:
        return self.ring

    async def diagnose(self, asked: JsonObject, progress: Callable[[str], None]) -> JsonObject:
        self.asked.append(asked)
        progress("sampling")
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is None:
            try:
                await asyncio.sleep(60)
            finally:
                self.cancelled.set()
        assert self.answer is not None
        return self.answer


class Door:
    """A running socket and the client of the command line, on a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.backend = FakeBackend()
        self.socket = AgentSocket(self.path, self.backend)
        self._lane = Lane("client")

    async def ask(self, method: str, route: str, body: JsonObject | None = None) -> list[JsonObject]:
        """All lines of the answer."""
        return await self._lane.run(lambda: list(agentsock.ask(self.path, method, route, body, timeout=5)), 10)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """A socket in a folder of its own."""
    made = Door(tmp_path / "run" / "agent.sock")
    await made.socket.start()
    yield made
    await made.socket.stop()
    made._lane.close()


async def test_status_and_diagnosis_come_line_by_line(door: Door) -> None:
    """Progress first, then the result."""
    assert await door.ask("GET", "/v1/status") == [door.backend.status()]
    lines = await door.ask("POST", "/v1/diagnose", {"pid": os.getpid(), "for_s": 5.0, "unit": None})
    assert lines == [{"progress": "sampling"}, {"diagnosis": {"verdict": "ok"}}]
    assert door.backend.asked == [{"pid": os.getpid(), "for_s": 5.0}]


async def test_the_view_gives_columns_with_unreadable_numbers_as_null(door: Door) -> None:
    """NaN is no JSON."""
    head, *series = await door.ask("GET", "/v1/view?name=m&window=60")
    assert (head["schema"], head["series"]) == ("anfl.view/1", 2)
    assert [line["values"] for line in series] == [[1.5], [None]]
    assert (await door.ask("GET", "/v1/view?name=m&label=pid=1"))[1]["labels"] == {"pid": "1"}


@pytest.mark.parametrize(
    ("method", "route", "body", "words"),
    [
        ("GET", "/v1/view", None, "name is missing"),
        ("GET", "/v1/view?name=m&window=nan", None, "window must be"),
        ("POST", "/v1/diagnose", {"pids": [1]}, "unknown option 'pids'"),
        ("POST", "/v1/diagnose", {"pid": "1"}, "'pid' has the wrong type"),
        ("POST", "/v1/diagnose", {"pid": True}, "'pid' has the wrong type"),
        ("POST", "/v1/diagnose", {"trees": [1]}, "'trees' has the wrong type"),
        ("DELETE", "/v1/status", None, "answers GET only"),
        ("GET", "/v2/status", None, "nothing here"),
    ],
)
async def test_a_wrong_question_gets_a_clear_error(
    door: Door, method: str, route: str, body: JsonObject | None, words: str
) -> None:
    """Before anything is done for it."""
    with pytest.raises(AgentError, match=words):
        await door.ask(method, route, body)
    assert not door.backend.asked


async def test_a_body_nested_without_end_is_a_wrong_question(door: Door) -> None:
    """Not a failure of the agent, and no traceback in its log."""
    text = "[" * 5000
    head = f"POST /v1/diagnose HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    reader, writer = await asyncio.open_unix_connection(str(door.path))
    writer.write((head + text).encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"the body is not JSON" in answer


@pytest.mark.parametrize(
    ("error", "words", "code"), [(UsageError("no tree 'x'", help="try y"), "no tree 'x'", 2), (ValueError("secret"), "failed", 3)]
)
async def test_an_error_while_diagnosing_is_the_last_line(
    door: Door, caplog: pytest.LogCaptureFixture, error: Exception, words: str, code: int
) -> None:
    """In the shape of every error; what broke inside stays inside."""
    door.backend.answer = error
    last = (await door.ask("POST", "/v1/diagnose", {}))[-1]["error"]
    assert words in last["message"]
    assert last["exit_code"] == code
    assert "secret" not in str(last)


async def test_a_caller_who_hangs_up_ends_the_diagnosis(door: Door) -> None:
    """Nobody is profiled for an answer nobody waits for."""
    door.backend.answer = None
    reader, writer = await asyncio.open_unix_connection(door.path)
    writer.write(b"POST /v1/diagnose HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
    await reader.readuntil(b"sampling")
    writer.close()
    await asyncio.wait_for(door.backend.cancelled.wait(), 5)


async def test_a_live_socket_is_refused_and_a_stale_one_replaced(door: Door, tmp_path: Path) -> None:
    """Two agents must not share a name; a crash must not need a cleaner."""
    with pytest.raises(AgentError, match="another agent answers"):
        await Door(Path(door.path)).socket.start()
    stale = tmp_path / "stale.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(stale))
    left.close()
    again = Door(stale)
    await again.socket.start()
    assert await again.ask("GET", "/v1/status")
    await again.socket.stop()
    assert not stale.exists()


async def test_a_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    """Only sockets are replaced."""
    path = tmp_path / "agent.sock"
    path.write_text("precious")
    with pytest.raises(AgentError, match="no socket"):
        await Door(path).socket.start()
    assert path.read_text() == "precious"


async def test_a_successors_socket_is_left_alone(door: Door) -> None:
    """Stopping removes only what this agent made."""
    os.unlink(door.path)
    successor = Door(Path(door.path))
    await successor.socket.start()
    await door.socket.stop()
    assert await successor.ask("GET", "/v1/status")
    await successor.socket.stop()


@pytest.mark.parametrize(("everyone", "mode", "folder"), [(False, 0o660, 0o750), (True, 0o666, 0o755)])
async def test_modes_say_who_may_connect(tmp_path: Path, everyone: bool, mode: int, folder: int) -> None:
    """The agent of the host lets everybody ask about their own; others only their user and group."""
    path = tmp_path / "new" / "agent.sock"
    made = AgentSocket(str(path), FakeBackend(), everyone=everyone)
    await made.start()
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert stat.S_IMODE(path.parent.stat().st_mode) == folder
    await made.stop()


def test_people_may_ask_about_their_own_and_the_group_about_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Own processes: anybody; others' and the host: root, the agent's user, the group."""
    monkeypatch.setattr(peer, "group_id", lambda: 500)
    monkeypatch.setattr(os, "geteuid", lambda: 77)
    someone = peer.Peer(pid=1, uid=1000, gid=1000)
    assert someone.may(1000)
    assert not someone.may(1001)
    assert not someone.may(None)
    for allowed in (
        peer.Peer(1, 0, 0),
        peer.Peer(1, 77, 77),
        peer.Peer(1, 1000, 500),
        peer.Peer(1, 1000, 1000, frozenset({500})),
    ):
        assert allowed.may(None)


async def test_a_stranger_is_refused_the_host(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the kernel says of the peer, not by what it says of itself."""
    monkeypatch.setattr(peer, "of", lambda connection: peer.Peer(pid=1, uid=54321, gid=54321))
    with pytest.raises(AgentError, match="not allowed: the host is everybody's"):
        await door.ask("POST", "/v1/diagnose", {})
    with pytest.raises(AgentError, match="belongs to somebody else"):
        await door.ask("POST", "/v1/diagnose", {"pid": os.getpid()})
    assert not door.backend.asked
    assert (await door.ask("GET", "/v1/status"))[0]["diagnoses"] == []


def test_the_kernel_names_the_peer() -> None:
    """Process, user and groups of the other end."""
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        found = peer.of(here)
    assert (found.pid, found.uid, found.gid) == (os.getpid(), os.geteuid(), os.getegid())
    assert found.groups == frozenset(os.getgroups())


def test_a_missing_or_stale_agent_is_said_with_its_mend(tmp_path: Path) -> None:
    """The command line then samples by itself or tells how to start one."""
    path = tmp_path / "agent.sock"
    with pytest.raises(Unavailable, match="no agent runs here"):
        agentsock.get(str(path), "/v1/status")
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    with pytest.raises(Unavailable, match="left its socket behind"):
        agentsock.get(str(path), "/v1/status")
    assert not agentsock.answers(str(path))


async def test_who_asks_too_early_waits_until_it_is_answered(tmp_path: Path) -> None:
    """What is asked before the parts have read what was kept would be lost; a second agent is refused all the same."""
    door = Door(tmp_path / "agent.sock")
    await door.socket.claim()
    asked = asyncio.ensure_future(door.ask("GET", "/v1/status"))
    with pytest.raises(AgentError, match="another agent answers"):
        await AgentSocket(door.path, FakeBackend()).claim()
    await asyncio.sleep(0.1)
    assert not asked.done()
    await door.socket.start()
    assert await asked == [door.backend.status()]
    await door.socket.stop()
    door._lane.close()


async def test_a_socket_that_was_only_claimed_goes_too(tmp_path: Path) -> None:
    """The start failed between."""
    door = AgentSocket(str(tmp_path / "agent.sock"), FakeBackend())
    await door.claim()
    await door.stop()
    assert not (tmp_path / "agent.sock").exists()
