"""Track the memory of a running Python process from outside, for a bounded time, in one or more stages.

``async with attach(...) as watched`` admits the target (or refuses it with the reason), lets a guard process own gdb, and hands
over a small payload through a loopback connection that only the target may take. memray need not be installed there; containers
are reached through ``/proc/PID/root`` and their network namespace. Whatever happens to the agent, the guard leaves the target
alone and running.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import field
from typing import Any, TypeVar

from agent.dataclass import dataclass
from agent.errors import Refused, Unavailable
from agent.host import attach_gate, attach_guard, procs
from agent.host.attach_place import Ledger, Place
from agent.host.attach_start import INJECT_S, Prepared, Stage, find_gdb, prepare
from agent.host.attach_words import failure, payload_error
from agent.host.lane import Lane

__all__ = ["CAP_BYTES", "Captured", "Stage", "Watched", "attach"]

START_S = 6.0
"""From the payload's arrival until tracking must have begun."""
GUARD_S = 8.0
"""How long we wait for the guard at the end; after that it goes on alone."""
FILE_S = 5.0
"""A file system that does not answer for so long is given up."""
POLL_S = 0.02
CAP_BYTES = 36 << 20
"""Largest capture of one stage; with a bundle beside it 64 MiB of disk."""
STAGES_MAX = 3

T = TypeVar("T")
Choice = Callable[[attach_gate.Admitted], Stage]


@dataclass(frozen=True)
class Captured:
    """One finished stage. ``capture_fd`` is open for reading; ``first`` and ``last`` are the census at both ends: hostile input."""

    stage: Stage
    capture_fd: int
    first: dict[str, Any]
    last: dict[str, Any]
    why: str


@dataclass
class Watched:
    """A target being tracked. ``started_s``: from the call until tracking began; ``pause_s``: how long gdb held it, at most."""

    target: attach_gate.Admitted
    place: Place
    token: str
    guard: asyncio.subprocess.Process
    lane: Lane
    began: float
    cap: int
    stages: list[Stage]
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    started_s: float = 0.0
    fds: list[int] = field(default_factory=list)

    @property
    def pause_s(self) -> float:
        """How long gdb held the target still, at most."""
        at = self.events.get("detached", {}).get("times", {})
        waiting = at.get("ready", at.get("gone", 0.0)) - at.get("gdb", at.get("start", 0.0))
        return float(waiting + (at["gone"] - at["hit"] if "hit" in at else 0.0)) if at else 0.0

    async def started(self) -> None:
        """Wait until the current stage is being tracked; the reason as :class:`Refused` or :class:`Unavailable` if it is not."""
        await self._file(f"started-{len(self.stages)}", START_S + INJECT_S)
        self.started_s = self.started_s or time.monotonic() - self.began

    async def finished(self) -> Captured:
        """Wait for the end of the current stage."""
        number, stage = len(self.stages), self.stages[-1]
        first = await self._file(f"started-{number}", START_S)
        last = await self._file(f"done-{number}", stage.seconds + START_S)
        fd = await self.lane.run(lambda: self.place.open_capture(f"capture-{number}", self.cap + (8 << 20)), FILE_S)
        self.fds.append(fd)
        return Captured(stage, fd, _dict(first, "census"), _dict(last, "census"), str(last.get("why"))[:20])

    async def collected(self) -> dict[str, Any]:
        """Wait for the end of a stage that collects garbage: what the target wrote about it."""
        return await self._file("done-1", INJECT_S + START_S + self.stages[-1].seconds + self.stages[-1].pause)

    async def go_on(self, stage: Stage) -> None:
        """Begin another stage."""
        if len(self.stages) >= STAGES_MAX:
            raise Unavailable("no further stage is allowed")
        wanted = json.dumps({"mode": stage.mode, "seconds": stage.seconds}).encode()
        await self.lane.run(lambda: self.place.write(f"next-{len(self.stages)}", wanted), FILE_S)
        self.stages.append(stage)
        await self.started()

    async def finish(self) -> None:
        """No further stage; the payload ends within a tick."""
        await self.lane.run(lambda: self.place.write("stop", b""), FILE_S)

    async def _file(self, name: str, seconds: float) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while True:
            found = _object(await self.lane.run(lambda: self.place.read(name), FILE_S))
            if found.get("token") == self.token:
                return found
            await self._raise_failure()
            if time.monotonic() > until:
                raise Refused(
                    f"process {self.target.pid} did not answer in time: one of its threads keeps the interpreter lock",
                    help="see which with `py-spy dump --nonblocking`, and try again when it is done",
                )
            await asyncio.sleep(POLL_S)

    async def _raise_failure(self) -> None:
        pid = self.target.pid
        if "failed" in self.events:
            raise failure(pid, self.events["failed"])
        if "ended" in self.events:
            if error := self.events["ended"].get("error"):
                raise payload_error(pid, str(error))
            if not await self.lane.run(lambda: procs.still(pid, self.target.start_time), FILE_S):
                raise procs.NoSuchProcess(pid)
        if self.guard.returncode is not None:
            raise Unavailable("the guard of the attach ended early", help="try again; see the kernel log for an OOM kill")


@contextlib.asynccontextmanager
async def attach(
    pid: int, choose: Stage | Choice, *, state_dir: str, wait_s: float = 6.0, cap: int = CAP_BYTES
) -> AsyncIterator[Watched]:
    """Attach to ``pid`` and begin a stage (``choose`` may look at the admitted target first); ``wait_s``: for the next stage.

    :class:`Refused` if the target's state forbids it, :class:`Unavailable` if something is missing here. On leaving, also by
    cancellation, tracking has ended, the capture's folder is gone and the target is traced by nobody.
    """
    began = time.monotonic()
    lane, ledger = Lane("attach"), Ledger(state_dir)
    try:
        gdb = await lane.run(find_gdb, FILE_S)
        target = await lane.run(lambda: attach_gate.admit(pid), 2 * FILE_S)
        stage = choose if isinstance(choose, Stage) else choose(target)
        total_s = STAGES_MAX * (wait_s + 2 * START_S) + 120.0
        prepared, cancelled = await _through(
            lane.run(
                lambda: prepare(
                    target, stage, gdb=gdb, ledger=ledger, state_dir=state_dir, wait_s=wait_s, total_s=total_s, cap=cap
                ),
                2 * FILE_S,
            )
        )
        if cancelled:
            await _through(lane.run(prepared.place.remove, FILE_S))
            ledger.release(prepared.lock)
            raise asyncio.CancelledError
        guard, cancelled = await _through(_start_guard(prepared, ledger))
        watched = Watched(target, prepared.place, prepared.token, guard, lane, began, cap, [stage])
        reader = asyncio.ensure_future(_read_events(guard, watched.events))
        try:
            if cancelled:
                raise asyncio.CancelledError
            yield watched
        finally:
            await asyncio.shield(_leave(watched, reader, ledger, prepared.lock))
    finally:
        lane.close()


async def _through(call: Awaitable[T]) -> tuple[T, bool]:
    """The call's result even if we are cancelled meanwhile (and whether we were): what it makes must not be lost."""
    task = asyncio.ensure_future(call)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    return task.result(), cancelled


async def _start_guard(prepared: Prepared, ledger: Ledger) -> asyncio.subprocess.Process:
    """A guard with its job. From here on it removes the folder, whatever becomes of us."""
    place = prepared.place
    try:
        guard = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", attach_guard.__file__),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            pass_fds=(prepared.lock, place.out_fd, place.parent_fd),
            start_new_session=True,
        )
    except OSError:
        place.remove()
        ledger.release(prepared.lock)
        raise
    assert guard.stdin is not None
    guard.stdin.write(json.dumps(prepared.job).encode() + b"\n")
    with contextlib.suppress(ConnectionError):
        await guard.stdin.drain()
    return guard


async def _read_events(guard: asyncio.subprocess.Process, events: dict[str, dict[str, Any]]) -> None:
    assert guard.stdout is not None
    while raw := await guard.stdout.readline():
        event = _object(raw)
        events.setdefault(str(event.get("event")), event)


async def _leave(watched: Watched, reader: asyncio.Future[None], ledger: Ledger, lock: int) -> None:
    """Say goodbye to the guard: it ends a running stage, removes the folder, and goes."""
    if watched.guard.stdin is not None:
        watched.guard.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GUARD_S):
            await watched.guard.wait()
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    for fd in watched.fds:
        os.close(fd)
    watched.place.close()
    ledger.release(lock)


def _object(raw: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _dict(found: dict[str, Any], name: str) -> dict[str, Any]:
    inner = found.get(name)
    return inner if isinstance(inner, dict) else {}
