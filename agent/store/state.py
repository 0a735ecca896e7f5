"""What must outlive the agent: one SQLite file, one writer lane, readers with short connections of their own.

Each part of the agent brings its tables as a :class:`Room` and works with plain SQL on the connection it is given::

    ROOM = Room("alerts", (("CREATE TABLE outbox (...)", "CREATE INDEX ..."),))      # steps[0]: from nothing to version 1

    state = State(path, [incidents.ROOM, alerts.ROOM], clock)
    await state.open()                                  # checks, migrates; raises AgentError if the file cannot be used
    number = await state.write(lambda to: to.execute("INSERT ...").lastrowid)        # returns after the commit
    rows = await state.read(lambda at: at.execute("SELECT ...").fetchall())
    await state.close()                                 # what is queued is committed first

**write** runs the change inside a transaction on the writer's thread and answers when it is on the disk (``synchronous=FULL``).
Changes that wait together are committed together; one that raises is rolled back alone and its caller gets the exception.
A change must be repeatable and touch nothing but the connection: it is run again when the disk failed in its middle, and
one whose caller was cancelled, or gave up (:class:`agent.host.lane.Stalled`), may have been committed. Write
compare-and-set SQL (``UPDATE ... WHERE state = 'due'``) and look at ``rowcount``.

**read** gets a read-only connection for the length of one call, on a thread of its own; it does not wait for the writer where
the file can be read.

**A full, read-only or failing disk** does not stop the agent: state is copied into memory and all goes on there. ``health.mode``
is then ``memory``, ``health.trouble`` says why; what is written meanwhile is lost if the agent is killed. Every few seconds the
file is tried again, and as soon as it can be written it takes all that stands in memory. A file that cannot even be read is
left as it is; that is a loss too.

A file that was removed under the agent is made again. One that another program holds locked stalls a change
(:class:`agent.host.lane.Stalled`): ask again.

**A damaged file** is found when it is opened, set aside as ``NAME.corrupt-TIME`` and reported in ``losses``, which the new file
keeps: whoever acts on state (playbooks) can tell a fresh start from a lost past. Damage found later raises, the organ ends, and
the next start sets the file aside. ``identity`` is new with every new file: ids made from it never come back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from agent.errors import Unavailable
from agent.host.clock import Clock
from agent.host.lane import Stalled, once
from agent.model import JsonObject, Kind, Metric, Sample, Series
from agent.store.database import out_of_reach, read_only
from agent.store.statefile import Loss, Room, StateFile
from agent.store.writer import Job, StateHealth, Writer

__all__ = ["Loss", "Room", "State", "StateHealth", "read_only"]

log = logging.getLogger("anfl.state")

T = TypeVar("T")

OPEN_S = 60.0
WRITE_S = 10.0
READ_S = 10.0
CLOSE_S = 5.0


class State:
    """The one state of a running agent; see the module for its rules."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("agent_state_durable", Kind.GAUGE, "", "1 while state is kept on disk, 0 while it is in memory only."),
        Metric("agent_state_bytes", Kind.GAUGE, "bytes", "Size of the state."),
        Metric("agent_state_changes_total", Kind.COUNTER, "", "Changes of state committed."),
        Metric("agent_state_commits_total", Kind.COUNTER, "", "Commits; changes that wait together share one."),
        Metric("agent_state_failed_total", Kind.COUNTER, "", "Changes of state that failed."),
        Metric("agent_state_commit_seconds_total", Kind.COUNTER, "seconds", "Time spent in commits."),
        Metric("agent_state_losses", Kind.GAUGE, "", "Times state was lost: a damaged file set aside, a file that vanished."),
    )

    def __init__(self, path: str, rooms: Sequence[Room], clock: Clock) -> None:
        self.path = path
        self._file = StateFile(path, rooms, clock.now)
        self._writer = Writer(self._file, clock)
        self._open = False
        self._series = [Series(metric.name) for metric in self.metrics]

    @property
    def health(self) -> StateHealth:
        """How it is doing now."""
        return self._writer.health

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What was lost since the file was begun."""
        return self._file.losses

    @property
    def identity(self) -> str:
        """New with every new file."""
        return self._file.identity

    # ------------------------------------------------------------------------------------------ life

    async def open(self) -> None:
        """Open the file and start the writer. AgentError if another agent uses it or a newer one wrote it."""
        await _within(self._writer.start(), OPEN_S)
        self._open = True

    async def close(self) -> None:
        """Commit what is queued and close; a writer that hangs is left behind after some seconds."""
        if not self._open:
            return
        self._open = False
        self._writer.stop()
        with contextlib.suppress(Stalled):
            await once("state-close", lambda: self._writer.join(CLOSE_S), CLOSE_S + 1)

    # ------------------------------------------------------------------------------------------ use

    async def write(self, change: Callable[[sqlite3.Connection], T], timeout: float = WRITE_S) -> T:
        """What ``change(connection)`` returns, after its commit. :class:`Stalled` past ``timeout`` seconds: it may still come."""
        if not self._open:
            raise Stalled("the state is not open")
        result: T = await _within(self._writer.put(change), timeout)
        return result

    async def read(self, look: Callable[[sqlite3.Connection], T], timeout: float = READ_S) -> T:
        """What ``look(connection)`` returns; the connection cannot write and is good for this call only.

        A file that cannot be read just now is the writer's to judge: it may know what stood there. :class:`Stalled` if it does not.
        """
        if self.health.mode == "file":
            try:
                return await once("state-read", lambda: looked(self.path, look), timeout)
            except Unavailable as error:
                log.debug("asking the writer: %s", error)
            except sqlite3.Error as error:
                if not out_of_reach(error):
                    raise
        return await self.write(look, timeout)

    def status(self) -> JsonObject:
        """How it is doing, for ``anfl.status/1``."""
        h = self.health
        losses = [{"at": loss.at, "why": loss.why, "kept": loss.kept or None} for loss in self.losses]
        return {"path": self.path, "kept_in": h.mode, "trouble": h.trouble or None, "bytes": h.bytes, "losses": losses}

    def samples(self) -> list[Sample]:
        """Its health as samples, in the order of ``metrics``."""
        h = self.health
        values = (h.mode == "file", h.bytes, h.changes, h.commits, h.failed, h.seconds, len(self.losses))
        return [Sample(series, float(value)) for series, value in zip(self._series, values, strict=True)]


def looked(path: str, look: Callable[[sqlite3.Connection], T]) -> T:
    """What ``look(connection)`` returns, read straight from the file: for commands when no agent runs. Blocks."""
    connection = read_only(path)
    try:
        return look(connection)
    finally:
        connection.close()


async def _within(job: Job, timeout: float) -> Any:
    try:
        async with asyncio.timeout(timeout):
            return await asyncio.shield(job.future)
    except TimeoutError:
        if job.future.done():
            return job.future.result()
        raise Stalled(f"the state was not written within {timeout:g} s") from None
    finally:
        job.future.add_done_callback(lambda done: done.cancelled() or done.exception())
