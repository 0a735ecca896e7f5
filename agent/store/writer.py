"""The writer lane of the state: one thread that owns the connection, commits in groups and outlives a failing disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.dataclass import dataclass
from agent.host.clock import Clock
from agent.host.lane import Stalled
from agent.store.database import of_damage, of_disk, of_lock, transaction
from agent.store.statefile import Mode, StateFile

log = logging.getLogger("anfl.state")

Change = Callable[[sqlite3.Connection], Any]
Outcome = tuple[Any, BaseException | None]

TRY_AGAIN_S = 5.0
"""How often a disk that failed is tried again."""
GROUP_MOST = 512
"""Changes in one commit."""


@dataclass(frozen=True)
class StateHealth:
    """How the state is doing. ``mode`` is ``memory`` while the disk refuses. ``seconds`` is time spent in commits."""

    mode: Mode = "file"
    trouble: str = ""
    changes: int = 0
    commits: int = 0
    failed: int = 0
    seconds: float = 0.0
    bytes: int = 0


class Job:
    """One change on its way, and who waits for it."""

    __slots__ = ("_loop", "change", "future")

    def __init__(self, change: Change) -> None:
        self.change = change
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def settle(self, result: Any, error: BaseException | None) -> None:
        """From the writer's thread: tell the waiting side, if there still is one."""
        with contextlib.suppress(RuntimeError):  # its loop is closed
            self._loop.call_soon_threadsafe(_settle, self.future, result, error)


class Writer:
    """Runs on a daemon thread from ``start`` until what was put before ``stop`` is committed."""

    def __init__(self, file: StateFile, clock: Clock) -> None:
        self.health = StateHealth()
        self._file = file
        self._clock = clock
        self._tried = 0.0
        self._began = clock.now()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> Job:
        """Open the file; the job answers when that is done, with its error if there was one."""
        opened = Job(lambda _: None)
        self._thread = threading.Thread(target=self._work, args=(opened,), name="state-writer", daemon=True)
        self._thread.start()
        return opened

    def put(self, change: Change) -> Job:
        """Queue a change."""
        job = Job(change)
        self._jobs.put(job)
        return job

    def stop(self) -> None:
        """Let the thread end after what is queued; it closes the file."""
        self._jobs.put(None)

    def join(self, seconds: float) -> None:
        """Wait for the thread's end; blocks."""
        if self._thread is not None:
            self._thread.join(seconds)

    # ------------------------------------------------------------------------------------------ on the thread

    def _work(self, opened: Job) -> None:
        try:
            self._file.open()
            self._measure()
            self._say()
        except BaseException as error:  # handed to whoever opens, whatever it is
            self._file.close()
            opened.settle(None, error)
            return
        opened.settle(None, None)
        while (jobs := self._gather()) is not None:
            self._retry_file()
            if jobs:
                self._commit(jobs)
        self._file.close()

    def _gather(self) -> list[Job] | None:
        """All changes that wait; an empty list when it is time to try the disk again, None at the end."""
        try:
            job = self._jobs.get(timeout=TRY_AGAIN_S if self._file.mode == "memory" else None)
        except queue.Empty:
            return []
        jobs: list[Job] = []
        while job is not None and len(jobs) < GROUP_MOST:
            jobs.append(job)
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs
        if job is not None:
            jobs.append(job)
        elif jobs:
            self._jobs.put(None)  # the end comes after what was asked before it
        return jobs or None

    def _retry_file(self) -> None:
        now = self._clock.monotonic()
        if self._file.mode == "memory" and now - self._tried >= TRY_AGAIN_S:
            self._tried = now
            if self._file.return_to_file():
                log.warning("state is kept on disk again: %s", self._file.path)
            self._measure()

    def _mind_the_file(self) -> None:
        """A file that was taken away is made again, with all that was in it."""
        if self._file.taken_away():
            self._file.fall_back(FileNotFoundError("the state file was taken away"))
            self._say()
            self._tried = -TRY_AGAIN_S
            self._retry_file()

    def _commit(self, jobs: list[Job]) -> None:
        began = time.perf_counter()
        outcomes = self._outcomes(jobs)
        failed = sum(error is not None for _, error in outcomes)
        self._measure(len(jobs) - failed, failed, time.perf_counter() - began)
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.settle(*outcome)

    def _outcomes(self, jobs: list[Job]) -> list[Outcome]:
        """What each came to. A disk that refuses is left for memory, and all of them run again there."""
        try:
            self._mind_the_file()
            try:
                return self._transact(jobs)
            except sqlite3.Error as error:
                if of_lock(error):
                    raise Stalled(f"the state is locked by another program: {error}") from None
                if not of_disk(error):
                    raise
                self._file.fall_back(error)
            self._tried = self._clock.monotonic()
            self._say()
            return self._transact(jobs)
        except BaseException as error:  # those who wait are told, whatever it is
            return [(None, error)] * len(jobs)

    def _transact(self, jobs: list[Job]) -> list[Outcome]:
        """All changes in one transaction, each in a savepoint of its own. Raises what the disk did, or damage."""
        with transaction(self._file.connection) as to:
            return [_changed(to, job.change) for job in jobs]

    def _measure(self, done: int = 0, failed: int = 0, seconds: float = 0.0) -> None:
        h, file = self.health, self._file
        self.health = replace(
            h,
            mode=file.mode,
            trouble=file.trouble,
            changes=h.changes + done,
            commits=h.commits + (done > 0),
            failed=h.failed + failed,
            seconds=h.seconds + seconds,
            bytes=file.size(),
        )

    def _say(self) -> None:
        if self._file.mode == "memory":
            log.error("state is in memory only, a kill loses it: %s: %s", self._file.path, self._file.trouble)
        for loss in (each for each in self._file.losses if each.at >= self._began):
            log.error("state was lost: %s%s", loss.why, f"; what is left: {loss.kept}" if loss.kept else "")


def _changed(to: sqlite3.Connection, change: Change) -> Outcome:
    to.execute("SAVEPOINT change")
    try:
        result = change(to)
    except BaseException as error:  # the caller's own mistake, and only the caller's
        if of_disk(error) or of_damage(error):
            raise
        to.execute("ROLLBACK TO change")
        to.execute("RELEASE change")
        return None, error
    to.execute("RELEASE change")
    return result, None


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
