"""The one door to other programs: argument lists only, a deadline, bounded output, own process group, limits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import time
from collections.abc import Mapping, Sequence

from agent.dataclass import dataclass
from agent.errors import Unavailable

GRACE_S = 2.0


@dataclass(frozen=True)
class Completed:
    """How a program ended. ``rc`` is negative for a signal; ``cpu_s`` is the CPU time it and its children took."""

    rc: int
    out: bytes
    err: bytes
    took_s: float
    cpu_s: float
    timed_out: bool = False
    truncated: bool = False


async def run(
    argv: Sequence[str],
    *,
    timeout: float,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    max_output: int = 16 << 20,
    stop: signal.Signals = signal.SIGTERM,
    memory: int | None = None,
    cpu_seconds: int | None = None,
    nice: int = 0,
) -> Completed:
    """Run ``argv`` in its own session and wait at most ``timeout`` seconds.

    Past the deadline, or when the caller is cancelled, the whole group gets ``stop`` and, two seconds later, SIGKILL.
    ``memory`` bounds its address space in bytes. Output past ``max_output`` bytes is dropped and marked.
    Raises :class:`Unavailable` if the program is not there.
    """
    began = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE if input is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise Unavailable(f"{argv[0]} cannot be started: {error.strerror}", help=f"install {argv[0]}") from None
    _limit(process.pid, memory, cpu_seconds, nice)
    timed_out = False
    out, err = _Output(max_output), _Output(max_output)
    pipes = asyncio.gather(_feed(process.stdin, input), out.drain(process.stdout), err.drain(process.stderr))
    try:
        async with asyncio.timeout(timeout):
            await asyncio.shield(pipes)
            await process.wait()
    except (TimeoutError, asyncio.CancelledError) as ending:
        await asyncio.shield(_end(process, stop))
        await _close(process, pipes)
        if isinstance(ending, asyncio.CancelledError):
            raise
        timed_out = True
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rc = process.returncode if process.returncode is not None else -int(signal.SIGKILL)
    took = time.monotonic() - began
    return Completed(rc, bytes(out.kept), bytes(err.kept), took, cpu, timed_out, out.cut or err.cut)


def _limit(pid: int, memory: int | None, cpu_seconds: int | None, nice: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if memory is not None:
            resource.prlimit(pid, resource.RLIMIT_AS, (memory, memory))
        if cpu_seconds is not None:
            resource.prlimit(pid, resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        if nice:
            os.setpriority(os.PRIO_PROCESS, pid, nice)


async def _feed(stdin: asyncio.StreamWriter | None, data: bytes | None) -> None:
    if stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stdin.write(data or b"")
        await stdin.drain()
    stdin.close()


class _Output:
    """What a program says, up to a limit; ``cut`` if that was not all."""

    def __init__(self, limit: int) -> None:
        self.kept = bytearray()
        self.cut = False
        self._limit = limit

    async def drain(self, stream: asyncio.StreamReader | None) -> None:
        """Take all of it."""
        while stream is not None and (part := await stream.read(65536)):
            left = self._limit - len(self.kept)
            self.kept += part[:left]
            self.cut = self.cut or len(part) > left


async def _close(process: asyncio.subprocess.Process, pipes: asyncio.Future[tuple[None, None, None]]) -> None:
    """What was said before the end is there at once; who left the session, or hangs in the kernel, may keep a pipe for ever."""
    try:
        async with asyncio.timeout(GRACE_S):
            await pipes
    except TimeoutError:
        process._transport.close()  # type: ignore[attr-defined]  # there is no other way to let go of the pipes


async def _end(process: asyncio.subprocess.Process, stop: signal.Signals) -> None:
    for sign in (stop, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await process.wait()
            if sign == signal.SIGKILL:
                return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
