"""SQLite as the state uses it: how a connection is set, what an error means, one transaction, a reader's connection."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator

from agent.errors import Unavailable

BUSY_S = 5.0
CACHE_KIB = 512
CHECKPOINT_PAGES = 256  # 1 MiB of log before it is folded into the file
LOG_LIMIT = 1 << 20
_PRIMARY = 0xFF
_DISK = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
)
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def of_disk(error: BaseException) -> bool:
    """Does the error mean that the disk cannot be written (full, read-only, failing), whatever was to be written?"""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", -1) & _PRIMARY in _DISK


def of_lock(error: BaseException) -> bool:
    """Does the error mean that another program holds the file?"""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", -1) & _PRIMARY in _LOCKED


def out_of_reach(error: BaseException) -> bool:
    """Does the error mean that the file cannot be read at this moment? A reader that tries to write is another matter."""
    codes = _LOCKED | {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", -1) & _PRIMARY in codes


def of_damage(error: BaseException) -> bool:
    """Does the error mean that the file is damaged?"""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", -1) & _PRIMARY in _BROKEN


def tune(connection: sqlite3.Connection) -> None:
    """A committed transaction survives kill -9 and a power cut (synchronous=FULL); readers and the writer do not wait for each
    other (WAL)."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit={LOG_LIMIT}")


def reason(error: BaseException) -> str:
    """What SQLite said, with its own name for it."""
    return f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


BITS = 63
"""Of SQLite's greatest integer: a larger one, as somebody may type it, cannot even be looked for."""


def read_only(path: str) -> sqlite3.Connection:
    """A connection that cannot write. Unavailable if there is no state file, or it cannot be read.

    A file without a log has no writer just now: it is read as it lies, and nothing is left beside it. With a log it takes the
    log's index, which a folder that cannot be written may lack.
    """
    if not os.path.exists(path):
        raise Unavailable("there is no state file", where=path, help="the agent makes it when it runs; check 'state_dir'")
    lying, shared = "mode=ro&immutable=1", "mode=ro"
    for options in (shared, lying) if os.path.exists(f"{path}-wal") else (lying,):
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(f"file:{_quoted(path)}?{options}", uri=True, timeout=BUSY_S, isolation_level=None)
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            last = error
        else:
            return connection
    raise Unavailable(f"the state file cannot be read: {last}", where=path, help="ask as the user the agent runs as, or as root")


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
