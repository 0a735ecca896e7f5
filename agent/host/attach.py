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
import secrets
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from agent.errors import Refused, Unavailable
from agent.host import attach_census, attach_gate, attach_gdb, attach_guard, attach_payload, bundles, procs
from agent.host.attach_place import Ledger, Place, make
from agent.host.attach_words import failure, payload_error
from agent.host.lane import Lane

INJECT_S = 5.0
"""From gdb's start until the target must have reached a safe point; then gdb lets go."""
START_S = 6.0
"""From there until tracking must have begun."""
GUARD_S = 8.0
"""How long we wait for the guard at the end; after that it goes on alone."""
POLL_S = 0.02
CAP_BYTES = 40 << 20
"""Largest capture of one stage; with the analysis of 64 MiB in all."""
STAGES_MAX = 3


@dataclass(frozen=True)
class Stage:
    """What one stage records: ``default`` (malloc and mmap), ``pymalloc`` (all Python objects, too), ``native`` (C stacks, too)."""

    mode: str
    seconds: float


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
    began: float
    cap: int
    stages: list[Stage] = field(default_factory=list)
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
        fd = self.place.open_capture(f"capture-{number}", self.cap + (8 << 20))
        self.fds.append(fd)
        return Captured(stage, fd, _dict(first, "census"), _dict(last, "census"), str(last.get("why"))[:20])

    async def go_on(self, stage: Stage) -> None:
        """Begin another stage."""
        if len(self.stages) >= STAGES_MAX:
            raise Unavailable("no further stage is allowed")
        self.place.write(f"next-{len(self.stages)}", json.dumps({"mode": stage.mode, "seconds": stage.seconds}).encode())
        self.stages.append(stage)
        await self.started()

    def finish(self) -> None:
        """No further stage; the payload ends within a tick."""
        self.place.write("stop", b"")

    async def _file(self, name: str, seconds: float) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while True:
            found = _object(self.place.read(name))
            if found.get("token") == self.token:
                return found
            self._raise_failure()
            if time.monotonic() > until:
                raise Refused(
                    f"process {self.target.pid} did not begin tracking in time: one of its threads keeps the interpreter lock",
                    help="see which with `py-spy dump --nonblocking`, and try again when it is done",
                )
            await asyncio.sleep(POLL_S)

    def _raise_failure(self) -> None:
        if "failed" in self.events:
            raise failure(self.target.pid, self.events["failed"])
        if "ended" in self.events:
            if error := self.events["ended"].get("error"):
                raise payload_error(self.target.pid, str(error))
            if procs.still(self.target.pid, self.target.start_time) is False:
                raise procs.NoSuchProcess(self.target.pid)
        if self.guard.returncode is not None:
            raise Unavailable("the guard of the attach ended early", help="try again; see the kernel log for an OOM kill")


@contextlib.asynccontextmanager
async def attach(
    pid: int, choose: Stage | Choice, *, state_dir: str, wait_s: float = 6.0, cap: int = CAP_BYTES
) -> AsyncIterator[Watched]:
    """Attach to ``pid`` and begin a stage (``choose`` may look at the admitted target first); after each stage the target waits
    ``wait_s`` seconds for the next.

    :class:`Refused` if the target's state forbids it, :class:`Unavailable` if something is missing here. On leaving, also by
    cancellation, tracking has ended, the capture's folder is gone and the target is traced by nobody.
    """
    began = time.monotonic()
    gdb = shutil.which("gdb")
    if gdb is None:
        raise Unavailable("gdb is not installed", help="apt-get install gdb (or dnf install gdb)")
    target = await attach_gate.admit(pid)
    stage = choose if isinstance(choose, Stage) else choose(target)
    ledger = Ledger(state_dir)
    lock = ledger.take(pid)
    try:
        lane = Lane("attach")
        place, bundle = await lane.run(lambda: _prepare(target, state_dir, ledger, lock), timeout=10.0)
        lane.close()
    except BaseException:
        ledger.release(lock)
        raise
    token = place.name.removeprefix("anfl-")
    guard = await _start_guard(target, place, bundle, lock, gdb, token, stage, wait_s, cap)
    watched = Watched(target, place, token, guard, began, cap, [stage])
    reader = asyncio.ensure_future(_read_events(guard, watched.events))
    try:
        yield watched
    finally:
        await asyncio.shield(_leave(watched, reader, ledger, lock))


def _prepare(target: attach_gate.Admitted, state_dir: str, ledger: Ledger, lock: int) -> tuple[Place, str]:
    """The capture's folder, and memray where the target can read it."""
    bundle = bundles.find(state_dir, target.python)
    place = make(target.pid, secrets.token_hex(16), target.uid, target.gid)
    ledger.note(lock, target.pid, target.start_time, place)
    return place, bundle if _reachable(target, bundle) else place.put_bundle(bundle)


def _reachable(target: attach_gate.Admitted, bundle: str) -> bool:
    """True if the target sees the same files as we do, and may read the bundle."""
    if not os.path.samestat(os.stat(f"/proc/{target.pid}/root"), os.stat("/")):
        return False
    if os.readlink(f"/proc/{target.pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"):
        return False
    folder = os.path.abspath(bundle)
    while target.uid != 0 and folder != "/":
        if not os.stat(folder).st_mode & 0o001 and os.stat(folder).st_uid != target.uid:
            return False
        folder = os.path.dirname(folder)
    return True


async def _start_guard(
    target: attach_gate.Admitted,
    place: Place,
    bundle: str,
    lock: int,
    gdb: str,
    token: str,
    stage: Stage,
    wait_s: float,
    cap: int,
) -> asyncio.subprocess.Process:
    keep = (lock, place.out_fd, place.parent_fd)
    guard = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", attach_guard.__file__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        pass_fds=keep,
        start_new_session=True,
    )
    config = {"folder": f"{place.inner}/out", "bundle": bundle, "token": token, "wait_s": wait_s, "cap": cap}
    config["stage"] = {"mode": stage.mode, "seconds": stage.seconds}
    job = {
        "pid": target.pid,
        "ticks": target.ticks,
        "argv": [gdb, *attach_gdb.OPTIONS],
        "script": attach_gdb.script(bundles.injector(bundle)),
        "payload": payload(config),
        "inject_s": INJECT_S,
        "total_s": STAGES_MAX * (wait_s + START_S) + 120.0,
        "name": place.name,
        "parent_fd": place.parent_fd,
        "out_fd": place.out_fd,
    }
    assert guard.stdin is not None
    guard.stdin.write(json.dumps(job).encode() + b"\n")
    await guard.stdin.drain()
    return guard


def payload(config: dict[str, Any]) -> str:
    """The program text for the target. Its frames carry a file name of ours, so that they can be told from the target's own."""
    parts = ["space = {'__name__': 'anfl_agent_payload'}"]
    for module in (attach_census, attach_payload):
        with open(module.__file__, encoding="utf-8") as file:
            parts.append(f"exec(compile({file.read()!r}, '<anfl-agent>', 'exec'), space)")
    return "\n".join([*parts, f"space['main']({config!r}, space['census'])", ""])


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
        await asyncio.wait_for(watched.guard.wait(), GUARD_S)
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
