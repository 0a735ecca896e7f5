"""The state file itself: one SQLite database, opened, checked, migrated and, when the disk fails, carried on in memory.

Plain blocking code that is used from one thread: the writer lane of :class:`agent.store.state.State`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

from agent.dataclass import dataclass
from agent.errors import AgentError, Unavailable
from agent.store.database import BUSY_S, of_damage, of_disk, read_only, reason, transaction, tune

Mode = Literal["file", "memory"]


@dataclass(frozen=True)
class Room:
    """The tables of one part of the agent. ``steps[n]`` holds the statements that lead from version ``n`` to ``n + 1``.

    A step that was released is never edited; a change of tables is a further step.
    """

    name: str
    steps: tuple[tuple[str, ...], ...]


OWN = Room(
    "state",
    (
        (
            "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
            "CREATE TABLE losses (at REAL NOT NULL, why TEXT NOT NULL, kept TEXT NOT NULL)",
        ),
    ),
)


@dataclass(frozen=True)
class Loss:
    """State that is gone: when that was noticed, why, and where what is left of it lies (empty where nothing is)."""

    at: float
    why: str
    kept: str = ""


class StateFile:
    """The open database. ``connection`` writes; ``mode`` is ``memory`` while the disk cannot be written, ``trouble`` says why."""

    def __init__(self, path: str, rooms: Sequence[Room], now: Callable[[], float]) -> None:
        self.path = path
        self.mode: Mode = "file"
        self.trouble = ""
        self.losses: tuple[Loss, ...] = ()
        self.identity = ""
        self._rooms = (OWN, *rooms)
        self._now = now
        self._lock: int | None = None
        self._found: list[Loss] = []
        self._lost_sight = False
        self._inode = 0
        self.connection: sqlite3.Connection

    # ------------------------------------------------------------------------------------------ opening

    def open(self) -> None:
        """Open, check and migrate. A damaged file is set aside; a disk that cannot be written leaves the state in memory.

        AgentError if another agent uses the file, or a newer version of the agent wrote it.
        """
        was_there = self._take_lock()
        if was_there and not os.path.exists(self.path):
            self._found.append(Loss(self._now(), "the state file is gone though the agent ran here before"))
        try:
            self.connection = self._sound()
            self._inode = _inode(self.path)
            self._prepare()
        except sqlite3.Error as error:
            if not of_disk(error):
                raise
            self.fall_back(error)
            if not self._lost_sight:
                self._prepare()

    def _take_lock(self) -> bool:
        """One agent at a time; whether one was here before. A folder that cannot be written has no lock and needs none."""
        folder = os.path.dirname(self.path)
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            path = f"{self.path}.lock"
            known = os.path.exists(path)
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            self._lock = None
            raise AgentError(
                "another agent uses this state", where=self.path, help="stop it first, or give this one another 'state_dir'"
            ) from None
        return known

    def _sound(self) -> sqlite3.Connection:
        """A connection to a file that is whole; a damaged one is set aside before."""
        why = ""
        connection = self._connect()
        try:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()
            why = "" if found == ("ok",) else str(found[0])
            if not why:
                tune(connection)
                return connection
        except sqlite3.Error as error:
            if not of_damage(error):
                connection.close()
                raise
            why = str(error)
        connection.close()
        self._set_aside(why)
        fresh = self._connect()
        tune(fresh)
        return fresh

    def _connect(self) -> sqlite3.Connection:
        with contextlib.suppress(OSError):  # nobody else may read it, whatever the umask; SQLite gives its logs the same mode
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)

    def _set_aside(self, why: str) -> None:
        stamp = datetime.fromtimestamp(self._now(), UTC).strftime("%Y%m%dT%H%M%SZ")
        kept, n = f"{self.path}.corrupt-{stamp}", 1
        while os.path.exists(kept):
            n += 1
            kept = f"{self.path}.corrupt-{stamp}-{n}"
        try:
            for end in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(self.path + end, kept + end)
        except OSError as error:
            raise AgentError(
                f"the state file is damaged ({why}) and cannot be set aside: {error.strerror}",
                where=self.path,
                help="move it away by hand; it may be of use to find out what happened",
            ) from None
        self._found.append(Loss(self._now(), f"the state file was damaged: {why}", kept))

    def _prepare(self) -> None:
        """Tables up to date, an identity for a new file, and what was lost written into it."""
        self._migrate()
        with transaction(self.connection) as to:
            to.execute("INSERT OR IGNORE INTO meta VALUES ('identity', ?)", (secrets.token_hex(8),))
            to.executemany("INSERT INTO losses VALUES (?, ?, ?)", [(x.at, x.why, x.kept) for x in self._found])
        self._found.clear()
        (self.identity,) = self.connection.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
        self.losses = tuple(Loss(*row) for row in self.connection.execute("SELECT at, why, kept FROM losses ORDER BY at"))

    def _migrate(self) -> None:
        with transaction(self.connection) as to:
            to.execute("CREATE TABLE IF NOT EXISTS rooms (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID")
            have = dict(to.execute("SELECT name, version FROM rooms"))
        for room in self._rooms:
            version = have.get(room.name, 0)
            if version > len(room.steps):
                raise AgentError(
                    f"a newer agent wrote this state ({room.name} {version}, known here: {len(room.steps)})",
                    where=self.path,
                    help="start that version, or move the file away and begin anew",
                )
            for number, statements in enumerate(room.steps[version:], version + 1):
                with transaction(self.connection) as to:
                    for statement in statements:
                        to.execute(statement)
                    to.execute("INSERT OR REPLACE INTO rooms VALUES (?, ?)", (room.name, number))

    # ------------------------------------------------------------------------------------------ a disk that fails

    def fall_back(self, error: BaseException) -> None:
        """Go on in memory, with all that the file holds; with nothing where it cannot even be read, and then it is never written
        again: what it holds may be of use to people."""
        if self.mode == "memory":
            raise error
        memory = sqlite3.connect(":memory:", isolation_level=None)
        try:
            self._copy_to(memory)
        except (sqlite3.Error, Unavailable):
            memory.close()
            memory = sqlite3.connect(":memory:", isolation_level=None)
            self._lost_sight = True
            self._found.append(Loss(self._now(), "the state file can no longer be read", self.path))
        if hasattr(self, "connection"):
            with contextlib.suppress(sqlite3.Error):
                self.connection.close()
        self.connection, self.mode, self.trouble = memory, "memory", reason(error)
        if self._lost_sight:
            self._prepare()

    def taken_away(self) -> bool:
        """Whether somebody removed or replaced the file: what is written goes nowhere then."""
        return self.mode == "file" and _inode(self.path) != self._inode

    def _copy_to(self, memory: sqlite3.Connection) -> None:
        if hasattr(self, "connection"):  # knows more than the path, which may be gone
            with contextlib.suppress(sqlite3.Error):
                return self.connection.backup(memory)
        if not os.path.exists(self.path) or not os.path.getsize(self.path):
            return None  # never was a file: nothing is lost by beginning in memory
        source = read_only(self.path)
        try:
            source.backup(memory)
        finally:
            source.close()

    def return_to_file(self) -> bool:
        """Put what stands in memory into the file, all or nothing; False while the disk still refuses."""
        if self._lost_sight:
            return False
        try:
            file = self._connect()
        except sqlite3.Error:
            return False
        try:
            tune(file)
            self.connection.backup(file)
        except sqlite3.Error as error:
            self.trouble = reason(error)
            file.close()
            return False
        self.connection.close()
        self.connection, self.mode, self.trouble = file, "file", ""
        self._inode = _inode(self.path)
        return True

    def size(self) -> int:
        """Bytes of the database."""
        try:
            pages, page = (self.connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
        except sqlite3.Error:
            return 0
        return int(pages * page)

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        if hasattr(self, "connection"):
            if self.mode == "memory":
                self.return_to_file()
            with contextlib.suppress(sqlite3.Error):
                self.connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0
