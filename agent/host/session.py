"""A program that keeps running while others look at it, in a session of its own, and that always goes away with all it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import uuid
from collections import deque
from collections.abc import Mapping, Sequence

from agent.errors import Unavailable
from agent.host.lane import aside
from agent.host.procfs import read_once

MARK = "ANFL_SESSION"
_TAIL_LINES = 40
_LINE_LIMIT = 1 << 16
_LAST_LINES_S = 0.2


class Session:
    """A running program with its process group, and every process it started even if that left the group.

    ``lines`` hands out its standard output and, once it has ended, None; standard error is kept as a short tail for messages.
    """

    def __init__(self, process: asyncio.subprocess.Process, mark: str) -> None:
        self._process = process
        self._mark = mark
        self._errors: deque[str] = deque(maxlen=_TAIL_LINES)
        self._drain = asyncio.ensure_future(self._keep_errors())
        self.lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._reader = asyncio.ensure_future(self._read_lines())
        self._reaper = asyncio.ensure_future(self._tell_end())

    @property
    def pid(self) -> int:
        """The pid of the started program."""
        return self._process.pid

    @property
    def rc(self) -> int | None:
        """Its exit status once it has ended (negative for a signal), else None."""
        return self._process.returncode

    @property
    def error_tail(self) -> str:
        """The last lines it wrote to standard error."""
        return "\n".join(self._errors)

    def owns(self, pid: int) -> bool:
        """True if that process was started by this program, however far down."""
        try:
            return f"{MARK}={self._mark}".encode() in read_once(f"/proc/{pid}/environ", 1 << 20)
        except OSError:
            return False

    async def ended(self, timeout: float) -> int | None:
        """Its exit status if it ends within ``timeout`` seconds; the last words on standard error are in then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._process.wait()
                await asyncio.shield(self._drain)
        return self.rc

    async def farewell(self, timeout: float) -> None:
        """Ask the program to end, give it ``timeout`` seconds for it, then :meth:`stop`."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
            await self.ended(timeout)
        await self.stop()

    async def stop(self) -> None:
        """Kill the program, its group and everything that carries its mark; returns when all of it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()
        for _ in range(50):
            if not await aside(lambda: _kill_marked(self._mark)):
                break
            await asyncio.sleep(0.02)
        tasks = (self._drain, self._reader, self._reaper)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read_lines(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        try:
            while raw := await _line(stream):
                self.lines.put_nowait(raw.decode("utf-8", "replace").rstrip("\n"))
        finally:
            self.lines.put_nowait(None)

    async def _tell_end(self) -> None:
        """Its children may hold its output open after it has ended; the end is told all the same."""
        await self._process.wait()
        await asyncio.sleep(_LAST_LINES_S)
        self.lines.put_nowait(None)

    async def _keep_errors(self) -> None:
        stream = self._process.stderr
        assert stream is not None
        while raw := await _line(stream):
            self._errors.append(raw.decode("utf-8", "replace").rstrip("\n"))


async def start(argv: Sequence[str], *, cwd: str, env: Mapping[str, str]) -> Session:
    """Start ``argv`` in a new session; :class:`Unavailable` if the program is not there."""
    mark = uuid.uuid4().hex
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd,
            env={**env, MARK: mark},
            start_new_session=True,
            limit=_LINE_LIMIT,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise Unavailable(f"{argv[0]} cannot be started: {error.strerror}", help=f"install {argv[0]}") from None
    return Session(process, mark)


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:  # a line longer than the limit; its pieces are of no use
        return b"\n"


def _kill_marked(mark: str) -> int:
    """SIGKILL every process whose environment carries the mark; how many there were."""
    needle = f"{MARK}={mark}".encode()
    found = 0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if needle in read_once(f"/proc/{name}/environ", 1 << 20):
                os.kill(int(name), signal.SIGKILL)
                found += 1
    return found
