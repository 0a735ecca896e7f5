"""State and audit file together, over kills, lost files and full disks."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.host.keyfile import Keyring
from agent.host.lane import aside
from agent.remedy import tables
from agent.remedy.ledger import AUDIT, Ledger
from agent.store import audit
from agent.store.audit import AuditFile
from agent.store.state import State
from tests.fakes.clock import FakeClock
from tests.fakes.remedylife import Start
from tests.fakes.remedyworld import DIAGNOSIS, KEY


class Crash(BaseException):
    """The agent is killed here."""


@asynccontextmanager
async def ledger(folder: Path, db: str = "state.db") -> AsyncIterator[Ledger]:
    """One life."""
    clock = FakeClock()
    state = State(str(folder / db), [tables.ROOM], clock)
    await state.open()
    made = Ledger(state, str(folder), Keyring(str(folder / "playbooks.key")), clock)
    await made.open()
    yield made
    await state.close()


def says(what: str) -> Callable[[Any], None]:
    """A change with one record."""
    return lambda to: tables.record(to, 1.0, "ada", what, {})


async def told(of: Ledger) -> list[str]:
    """What the state's records say."""
    return [r["what"] for r in await of.read(tables.audit)]


async def test_a_record_is_in_the_file_when_the_edge_is_known(tmp_path: Path) -> None:
    """With the same head, which the next life goes on from."""
    async with ledger(tmp_path) as one:
        await one.write(says("first"))
        assert (await one.check()).hash == (await one.read(tables.head))[1] == one.head[1]
    async with ledger(tmp_path) as two:
        assert two.head_text == one.head_text
        await two.write(says("second"))
        assert ((await two.check(one.head_text)).seq, await told(two)) == (2, ["first", "second"])


@pytest.mark.parametrize("half", [False, True])
async def test_a_kill_between_state_and_file_is_made_good_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: bool
) -> None:
    """Whether the line was not there at all, or half of it."""
    write = audit._write

    def killed(fd: int, raw: bytes) -> None:
        if half:
            write(fd, raw[:20])
        raise Crash

    async with ledger(tmp_path) as one:
        await one.write(says("first"))
        with monkeypatch.context() as patched:
            patched.setattr(audit, "_write", killed)
            with pytest.raises(Crash):
                await one.write(says("second"))
    async with ledger(tmp_path) as two:
        found = await two.check()
        assert (found.seq, found.line, await told(two), two.volatile) == (2, 0, ["first", "second"], "")


async def test_a_file_that_was_cut_or_taken_away_is_written_again_and_that_is_recorded(tmp_path: Path) -> None:
    """Between two lives, or under a running agent."""
    path = tmp_path / AUDIT
    async with ledger(tmp_path) as one:
        for n in range(4):
            await one.write(says(f"n{n}"))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    async with ledger(tmp_path) as two:
        assert (await told(two))[-1] == "audit mended"
        assert ((await two.check()).seq, two.volatile) == (5, "")
        path.unlink()
        await two.write(says("after"))
        assert ((await two.check()).line, (await told(two))[-2:]) == (0, ["after", "audit mended"])
        assert (await two.check()).seq == 7


async def test_a_state_that_was_lost_or_put_back_holds_everything_up(tmp_path: Path) -> None:
    """Until a person says that this is known; the chain goes on from the file's own end."""
    async with ledger(tmp_path) as one:
        await one.write(says("first"))
        await one.write(says("second"))
    async with ledger(tmp_path, "other.db") as two:
        house = await two.read(lambda at: tables.house(at, 1.0, ()))
        assert "was lost, or put back" in house.lost_state
        await two.write(lambda to: tables.switch(to, "fresh", {"since": 2e9, "why": "known"}, 2e9, "ada"))
        assert (await two.read(lambda at: tables.house(at, 2e9, ()))).lost_state == ""
        found = await two.check()
        assert (found.line, found.seq, await two.read(tables.broken_link)) == (0, 5, None)


async def test_without_its_key_or_with_another_nothing_is_recorded(tmp_path: Path) -> None:
    """And no new key is made for an old file."""
    async with ledger(tmp_path) as one:
        await one.write(says("first"))
    key = tmp_path / "playbooks.key"
    kept = key.read_bytes()
    key.unlink()
    async with ledger(tmp_path) as two:
        assert ("cannot read the key" in two.volatile, key.exists()) == (True, False)
    key.touch(0o600)
    key.write_text("y" * 64)
    async with ledger(tmp_path) as three:
        assert "does not bear" in three.volatile
    key.write_bytes(kept)
    async with ledger(tmp_path) as four:
        assert four.volatile == ""


async def test_a_record_that_cannot_be_written_keeps_the_action_from_being_done(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt counts, nothing was touched; once the disk is back the records follow."""
    agent = await start()
    append = AuditFile.append

    def full(self: AuditFile, entries: Any) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    monkeypatch.setattr(AuditFile, "append", full)
    await agent.live(10)
    run = (await agent.runs())[0]
    assert (str(run.phase), agent.world.done) == ("failed", [])
    assert "the audit cannot be written: no space left" in run.reason
    assert {s.series.name: s.value for s in agent.remedy.samples()}["remedy_audit_up"] == 0.0
    monkeypatch.setattr(AuditFile, "append", append)
    await agent.live(10)
    found = await agent.ledger.check()
    assert (agent.ledger.volatile, found.seq) == ("", (await agent.state.read(tables.head))[0])


async def test_a_caller_who_hangs_up_leaves_no_record_counted_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The append goes on to its end without them."""
    append = AuditFile.append
    async with ledger(tmp_path) as one:
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def slow(self: AuditFile, entries: Any) -> None:
            loop.call_soon_threadsafe(begun.set)
            append(self, entries)

        monkeypatch.setattr(AuditFile, "append", slow)
        task = asyncio.ensure_future(one.write(says("first")))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await one.write(says("second"))
        assert ((await one.check()).seq, (await one.check()).line) == (2, 0)


async def test_what_an_older_agent_recorded_goes_into_the_file_first(tmp_path: Path) -> None:
    """It had none."""
    state = State(str(tmp_path / "state.db"), [tables.ROOM], FakeClock())
    await state.open()
    await state.write(says("old"))
    await state.close()
    async with ledger(tmp_path) as one:
        assert ((await one.check()).seq, await told(one)) == (1, ["old"])
    assert b"old" in await aside((tmp_path / AUDIT).read_bytes)
