"""The state of playbooks together with its audit file: an edge is known to be recorded before anything follows from it.

Each edge and its record are one transaction of the state file; the record is then appended to the audit file, sealed, and only
then does whoever asked for the edge go on. So a kill between the two leaves the file one record short, never ahead: the next
start appends what is missing. A file that is ahead of the state, or tells something else, means that the state was lost or put
back, and nothing is done until a person has said that this is known.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from agent.errors import AgentError
from agent.host.clock import Clock
from agent.host.keyfile import Keyring
from agent.host.lane import Stalled, aside
from agent.remedy import tables
from agent.remedy.model import ITSELF
from agent.store.audit import AuditFile, Check, Cut, Entry, check, head_of
from agent.store.state import Loss, State, StateHealth

log = logging.getLogger("anfl.remedy")

T = TypeVar("T")
WRITE_S = 10.0
AUDIT = "audit.jsonl"


class Ledger:
    """Reads and writes the tables of playbooks. Nothing else writes them."""

    def __init__(self, state: State, folder: str, keys: Keyring, clock: Clock) -> None:
        self.path = os.path.join(folder, AUDIT)
        self._state = state
        self._keys = keys
        self._clock = clock
        self._file: AuditFile | None = None
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._met = False
        self._trouble = ""
        self.head = (0, "")

    # ------------------------------------------------------------------------------------------ the state

    @property
    def health(self) -> StateHealth:
        """Of the state."""
        return self._state.health

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Of the state."""
        return self._state.losses

    @property
    def volatile(self) -> str:
        """Why what is done cannot be kept or recorded now; "" if it can."""
        if self.health.mode != "file":
            return self.health.trouble or "no disk"
        return self._trouble and f"the audit cannot be written: {self._trouble}"

    @property
    def head_text(self) -> str:
        """Number and hash of the last record in the file."""
        return head_of(*self.head)

    async def read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        """As :meth:`State.read`."""
        return await self._state.read(look)

    async def write(self, change: Callable[[sqlite3.Connection], T], timeout: float = WRITE_S) -> T:
        """As :meth:`State.write`; what it recorded is in the audit file too when it returns, or :attr:`volatile` says why not."""
        if not self._met:
            await self.open()
        sealed = self.head[0]

        def marked(to: sqlite3.Connection) -> T:
            result = change(to)
            tables.mark_sealed(to, sealed)
            return result

        result = await self._state.write(marked, timeout)
        if self._met and self.health.mode == "file":  # in memory its records wait: a kill would leave the file ahead
            await self._apart(self._append())
        return result

    # ------------------------------------------------------------------------------------------ the file

    async def open(self) -> None:
        """Bring file and state together; what keeps them from it stands in :attr:`volatile`."""
        await self._apart(self._open())

    async def _apart(self, work: Coroutine[Any, Any, None]) -> None:
        """To its end, whoever hangs up meanwhile: a caller that is gone must not leave a record half counted."""
        task = asyncio.get_running_loop().create_task(work, name="audit")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        await asyncio.shield(task)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits has it; nobody may

    async def _open(self) -> None:
        async with self._turn:
            try:
                await self._meet()
                self._met = True
                self._say("")
            except (AgentError, OSError, Cut) as error:
                self._say(_said(error))

    async def _meet(self) -> None:
        if self._file is None:
            await aside(lambda: self._keys.load(make=not os.path.exists(self.path)))
            self._file = AuditFile(self.path, await aside(lambda: self._keys.key("audit")))
        last = await aside(self._file.last, WRITE_S)
        story = await self._state.write(partial(tables.meet, now=self._clock.now(), who=ITSELF, last=last))
        if story:
            log.error("audit: %s", story)
        self.head = (last.seq, last.hash) if last is not None else (0, "")
        if self.health.mode == "file":
            await self._catch_up(self._file)

    async def _append(self) -> None:
        """What the state knows and the file does not."""
        async with self._turn:
            assert self._file is not None
            try:
                await self._catch_up(self._file)
                self._say("")
                return
            except OSError as error:
                self._say(_said(error))
                return
            except Cut as cut:
                log.error("audit: %s: %s", self.path, cut)
        await self._open()  # look at it anew: what is missing is mended, and that is recorded

    async def _catch_up(self, file: AuditFile) -> None:
        after = self.head[0]
        missing: list[Entry] = await self._state.read(lambda at: tables.entries(at, after))
        if missing:
            self._met = False  # a disk that hangs here leaves it open how far the file reaches
            await aside(lambda: file.append(missing), WRITE_S)
            self._met, self.head = True, (missing[-1].seq, missing[-1].hash)

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                log.error("nothing may be done: the audit %s cannot be written: %s", self.path, trouble)
            else:
                log.warning("the audit is written again: %s", self.path)

    async def check(self, head: str = "") -> Check:
        """A look over the whole file. ValueError for what is no head."""
        async with self._turn:
            return await aside(lambda: looked_over(self.path, self._keys, head))


def looked_over(path: str, keys: Keyring, head: str = "") -> Check:
    """A look over a whole audit file, without an agent too. Plain blocking code."""
    if not os.path.exists(path):
        return check(os.devnull, b"", head)
    keys.load(make=False)
    return check(path, keys.key("audit"), head)


def _said(error: Exception) -> str:
    if isinstance(error, Stalled):
        raise error
    return error.message if isinstance(error, AgentError) else getattr(error, "strerror", None) or str(error)
