"""The state: changes are durable when they are answered, one at a time or together, on a disk that works or fails."""

from __future__ import annotations

import asyncio
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from agent.errors import Unavailable
from agent.host.lane import Stalled, aside
from agent.store import statefile, writer
from agent.store.state import Room, State, looked
from agent.store.writer import TRY_AGAIN_S
from tests.fakes.clock import FakeClock

ROOM = Room("notes", (("CREATE TABLE notes (number INTEGER PRIMARY KEY, text TEXT NOT NULL)",),))
ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def opened(folder: Path, clock: FakeClock | None = None) -> AsyncIterator[State]:
    """The state of that folder, open."""
    state = State(str(folder / "state.db"), [ROOM], clock or FakeClock())
    await state.open()
    try:
        yield state
    finally:
        await state.close()


async def note(state: State, text: str) -> int:
    """Keep a note; its number."""
    return await state.write(lambda to: int(to.execute("INSERT INTO notes (text) VALUES (?)", (text,)).lastrowid or 0))


async def notes(state: State) -> list[str]:
    """All notes."""
    rows = await state.read(lambda at: at.execute("SELECT text FROM notes ORDER BY number").fetchall())
    return [text for (text,) in rows]


async def test_a_change_is_there_after_the_next_start(tmp_path: Path) -> None:
    """What was written is read at once, and again by the next agent."""
    async with opened(tmp_path) as state:
        assert await note(state, "one") == 1
        assert await notes(state) == ["one"]
    async with opened(tmp_path) as state:
        assert await notes(state) == ["one"]


async def test_changes_that_wait_together_share_a_commit(tmp_path: Path) -> None:
    """A hundred callers at once cost a few commits, and each gets its own answer."""
    async with opened(tmp_path) as state:
        numbers = await asyncio.gather(*(note(state, str(i)) for i in range(100)))
        assert numbers == list(range(1, 101))
        assert state.health.changes == 100
        assert state.health.commits < 20


async def test_a_change_that_raises_is_undone_alone(tmp_path: Path) -> None:
    """Its caller gets the exception; those committed with it are not harmed."""

    def half(to: sqlite3.Connection) -> None:
        to.execute("INSERT INTO notes (text) VALUES ('half')")
        raise KeyError("a mistake")

    async with opened(tmp_path) as state:
        results = await asyncio.gather(note(state, "a"), state.write(half), note(state, "b"), return_exceptions=True)
        assert isinstance(results[1], KeyError)
        assert await notes(state) == ["a", "b"]
        assert state.health.failed == 1


async def test_readers_cannot_write(tmp_path: Path) -> None:
    """A reader's connection is for reading."""
    async with opened(tmp_path) as state:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await state.read(lambda at: at.execute("INSERT INTO notes (text) VALUES ('x')"))


async def test_what_is_queued_is_committed_before_the_end(tmp_path: Path) -> None:
    """Closing loses nothing that was asked for; asking later is refused."""
    async with opened(tmp_path) as state:
        waiting = [asyncio.ensure_future(note(state, str(i))) for i in range(50)]
        await asyncio.sleep(0)
        await state.close()
        assert len(await asyncio.gather(*waiting)) == 50
        with pytest.raises(Stalled):
            await note(state, "late")
    async with opened(tmp_path) as state:
        assert len(await notes(state)) == 50


async def test_a_caller_who_gives_up_leaves_no_mess(tmp_path: Path) -> None:
    """A change past its deadline may still come; its caller is told that it took too long."""
    async with opened(tmp_path) as state:
        hold = asyncio.ensure_future(state.write(lambda to: to.execute("SELECT max(value) FROM generate_series(1, 1)")))
        with pytest.raises((Stalled, sqlite3.Error)):
            await state.write(lambda to: to.execute("INSERT INTO notes (text) VALUES ('slow')"), timeout=0.0)
        with pytest.raises(sqlite3.Error):
            await hold
        await note(state, "next")
        assert (await notes(state))[-1] == "next"


def test_reading_without_a_file_says_so(tmp_path: Path) -> None:
    """A command on a host where no agent ever ran gets a clear answer."""
    with pytest.raises(Unavailable, match="no state file"):
        looked(str(tmp_path / "state.db"), lambda at: None)


def test_a_file_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    """SQLite tells some of it at once, some only when it reads."""
    (tmp_path / "state.db").mkdir()
    with pytest.raises(Unavailable, match="the state file cannot be read") as refused:
        looked(str(tmp_path / "state.db"), lambda at: None)
    assert (refused.value.exit_code, "as root" in refused.value.help) == (3, True)


def test_a_look_at_a_file_at_rest_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """As the doctor promises; with an agent at work it sees what is committed."""
    count = partial(looked, str(tmp_path / "state.db"), lambda at: at.execute("SELECT count(*) FROM notes").fetchone()[0])

    async def at_work() -> int:
        async with opened(tmp_path) as state:
            await note(state, "one")
            return int(await aside(count))

    assert asyncio.run(at_work()) == count() == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state.db", "state.db.lock"]


# ---------------------------------------------------------------------------------------------- a disk that fails


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process may grow past ``size``: to SQLite a disk that takes no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_moves_the_state_to_memory_and_back(tmp_path: Path) -> None:
    """Nothing written before or meanwhile is lost once the disk takes data again, and its health says what is going on."""
    clock = FakeClock()
    async with opened(tmp_path, clock) as state:
        await note(state, "before")
        with full_disk(8192):
            await note(state, "meanwhile" + "x" * 20_000)
            assert state.health.mode == "memory"
            assert state.health.trouble
            assert len(await notes(state)) == 2
            await clock.advance(TRY_AGAIN_S + 1)
            await note(state, "still")  # the file is tried again, and refuses
            assert state.health.mode == "memory"
        await clock.advance(TRY_AGAIN_S + 1)
        await note(state, "after")
        assert (state.health.mode, state.health.trouble) == ("file", "")
    async with opened(tmp_path) as state:
        assert [text[:9] for text in await notes(state)] == ["before", "meanwhile", "still", "after"]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_the_disk_does_nothing_answered_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Full, less full, with room again, the file removed: at every step all that was answered is there."""
    monkeypatch.setattr(writer, "TRY_AGAIN_S", 0.0)
    chance, (before, hard) = random.Random(seed), resource.getrlimit(resource.RLIMIT_FSIZE)
    written: list[str] = []
    try:
        for _ in range(2):
            async with opened(tmp_path) as state:
                for step in range(30):
                    mood = chance.random()
                    if mood < 0.3:
                        resource.setrlimit(resource.RLIMIT_FSIZE, (chance.choice([0, 4096, 20_000, 100_000]), hard))
                    elif mood < 0.6:
                        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
                    elif mood < 0.65:
                        await aside(lambda: [path.unlink(missing_ok=True) for path in tmp_path.glob("state.db*")])
                    texts = [f"{step} {i} " + "x" * chance.randrange(3000) for i in range(chance.randrange(1, 9))]
                    await asyncio.gather(*(note(state, text) for text in texts))
                    written += texts
                    assert await notes(state) == written
                resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


async def test_a_file_that_is_removed_is_made_again(tmp_path: Path) -> None:
    """With all that was in it: somebody tidied up too much."""
    async with opened(tmp_path) as state:
        await note(state, "before")
        await aside(lambda: [path.unlink(missing_ok=True) for path in tmp_path.glob("state.db*")])
        await note(state, "after")
        assert await notes(state) == ["before", "after"]
        assert state.health.mode == "file"
    async with opened(tmp_path) as state:
        assert await notes(state) == ["before", "after"]


async def test_a_file_that_was_removed_is_read_on(tmp_path: Path) -> None:
    """Whoever only reads does not fail by it, nor waits for somebody who writes."""
    async with opened(tmp_path) as state:
        await note(state, "before")
        await aside(lambda: [path.unlink(missing_ok=True) for path in tmp_path.glob("state.db*")])
        assert await notes(state) == ["before"]
        assert state.health.mode == "file"
    async with opened(tmp_path) as state:
        assert await notes(state) == ["before"]


async def test_what_the_writer_stumbles_over_is_told_to_those_who_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it writes on: a thread that died unseen would leave everybody waiting for good."""

    def stumble(self: statefile.StateFile) -> bool:
        raise OSError("odd")

    async with opened(tmp_path) as state:
        with monkeypatch.context() as patched:
            patched.setattr(statefile.StateFile, "taken_away", stumble)
            with pytest.raises(OSError, match="odd"):
                await note(state, "not now")
        assert await note(state, "now") == 1


async def test_a_file_that_another_program_holds_stalls_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again later; nothing is lost and nothing fails for good."""
    monkeypatch.setattr(statefile, "BUSY_S", 0.05)
    async with opened(tmp_path) as state:
        holder = sqlite3.connect(tmp_path / "state.db", isolation_level=None, check_same_thread=False)
        await aside(lambda: holder.execute("BEGIN IMMEDIATE"))
        with pytest.raises(Stalled, match="locked by another program"):
            await note(state, "now")
        await aside(lambda: holder.execute("ROLLBACK"))
        holder.close()
        assert await note(state, "later") == 1
        assert state.health.mode == "file"


async def test_a_folder_that_cannot_be_made_leaves_the_state_in_memory(tmp_path: Path) -> None:
    """The agent works without its folder, and says that a kill would lose its state."""
    (tmp_path / "file").write_text("in the way")
    async with opened(tmp_path / "file" / "state") as state:
        assert await note(state, "kept for now") == 1
        assert await notes(state) == ["kept for now"]
        assert state.health.mode == "memory"
        assert state.samples()[0].value == 0


# ---------------------------------------------------------------------------------------------- kill -9

WRITER = """
import asyncio, sys
from agent.host.clock import SystemClock
from agent.store.state import State, Room
async def main():
    room = Room("notes", (("CREATE TABLE notes (number INTEGER PRIMARY KEY, text TEXT NOT NULL)",),))
    state = State(sys.argv[1], [room], SystemClock())
    await state.open()
    number = 0
    while True:
        await asyncio.gather(*(state.write(lambda to, n=n: to.execute("INSERT INTO notes VALUES (?, 'x')", (n,)))
                               for n in range(number, number + 5)))
        number += 5
        print(number, flush=True)
asyncio.run(main())
"""


def killed(path: Path, after_s: float) -> int:
    """Let a writer run for a while, kill it; how many changes it said were done."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=ROOT) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(after_s)
        writer.send_signal(signal.SIGKILL)
        return int((first + writer.stdout.read()).split(b"\n")[-2])


@pytest.mark.real
def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    """Killed at random moments, the file is whole and holds every change that was answered."""
    chance = random.Random(7)

    async def kept(folder: Path) -> int:
        async with opened(folder) as state:
            assert state.losses == ()
            (count,) = await state.read(lambda at: at.execute("SELECT count(*) FROM notes").fetchone())
            return int(count)

    for _ in range(4):
        folder = tmp_path / str(chance.random())
        answered = killed(folder / "state.db", chance.uniform(0.0, 0.15))
        assert asyncio.run(kept(folder)) >= answered
