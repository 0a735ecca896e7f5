"""The state file: made, migrated, locked, checked; a damaged one is kept aside and never replaced in silence."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.errors import AgentError
from agent.store.statefile import Room, StateFile

ONE = Room("notes", (("CREATE TABLE notes (text TEXT)",),))
TWO = Room("notes", (*ONE.steps, ("ALTER TABLE notes ADD COLUMN at REAL DEFAULT 1", "CREATE INDEX by_at ON notes (at)")))
NOW = 1_700_000_000.0


@contextmanager
def opened(path: Path, *rooms: Room) -> Iterator[StateFile]:
    """The file, open."""
    file = StateFile(str(path), rooms, lambda: NOW)
    try:
        file.open()
        yield file
    finally:
        file.close()


def notes(file: StateFile) -> list[str]:
    """What is kept."""
    return [text for (text,) in file.connection.execute("SELECT text FROM notes ORDER BY text")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A state file in a folder that is not there yet."""
    return tmp_path / "state" / "state.db"


def test_a_new_file_is_made_for_its_owner_only(path: Path) -> None:
    """Folder and file can be read by nobody else, whatever the umask."""
    before = os.umask(0)
    try:
        with opened(path, ONE):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_tables_are_migrated_and_keep_what_they_hold(path: Path) -> None:
    """A later version of a room adds its steps to a file that an earlier one made."""
    with opened(path, ONE) as file:
        file.connection.execute("INSERT INTO notes VALUES ('kept')")
        identity = file.identity
    with opened(path, TWO) as file:
        assert file.connection.execute("SELECT text, at FROM notes").fetchall() == [("kept", 1.0)]
        assert file.identity == identity


def test_a_step_that_fails_leaves_the_version_before(path: Path) -> None:
    """Half a migration is none."""
    with opened(path, ONE):
        pass
    broken = Room("notes", (*ONE.steps, ("ALTER TABLE notes ADD COLUMN at REAL", "CREATE NONSENSE")))
    with pytest.raises(sqlite3.OperationalError), opened(path, broken):
        pass
    with opened(path, TWO) as file:
        assert notes(file) == []


def test_a_file_of_a_newer_agent_is_left_alone(path: Path) -> None:
    """An agent that does not know the tables does not touch them, and says what to do."""
    with opened(path, TWO):
        pass
    with pytest.raises(AgentError, match="a newer agent wrote this state"), opened(path, ONE):
        pass


def test_two_agents_never_share_a_file(path: Path) -> None:
    """The second one is told so."""
    with opened(path, ONE), pytest.raises(AgentError, match="another agent uses this state"), opened(path, ONE):
        pass


@pytest.mark.parametrize("damage", ["head", "middle", "empty page"])
def test_a_damaged_file_is_set_aside_and_reported(path: Path, damage: str) -> None:
    """What is left of it stays where a person finds it; the new file remembers that something was lost."""
    with opened(path, ONE) as file:
        file.connection.executemany("INSERT INTO notes VALUES (?)", [("x" * 500,)] * 200)
        identity = file.identity
    data = bytearray(path.read_bytes())
    at = {"head": 0, "middle": 4096 * (len(data) // 8192), "empty page": 4096}[damage]
    data[at : at + 2000] = b"\xff" * 2000 if damage != "empty page" else bytes(2000)
    path.write_bytes(data)
    for _ in range(2):
        with opened(path, ONE) as file:
            (loss,) = file.losses
            assert loss.at == NOW
            assert "damaged" in loss.why
            assert Path(loss.kept).read_bytes() == data
            assert notes(file) == []
            assert file.identity != identity


def test_two_damaged_files_of_one_second_are_both_kept(path: Path) -> None:
    """The second does not replace the first."""
    path.parent.mkdir()
    for _ in range(2):
        path.write_bytes(b"no database at all" * 100)
        with opened(path, ONE):
            pass
    assert len(list(path.parent.glob("*.corrupt-*"))) == 2


def test_a_file_that_cannot_be_read_is_left_alone(path: Path) -> None:
    """The agent begins in memory with nothing, says so, and never writes over what it could not read."""
    path.mkdir(parents=True)
    with opened(path, ONE) as file:
        file.connection.execute("INSERT INTO notes VALUES ('for now')")
        assert (file.mode, notes(file)) == ("memory", ["for now"])
        assert file.losses[0].kept == str(path)
        assert not file.return_to_file()
    assert path.is_dir()


def test_a_file_that_vanished_is_reported(path: Path) -> None:
    """A past that is gone is not a first start."""
    with opened(path, ONE) as file:
        assert file.losses == ()
    path.unlink()
    with opened(path, ONE) as file:
        assert "gone" in file.losses[0].why
