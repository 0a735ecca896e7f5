"""A child process that is asked in JSON lines over its pipes: several questions may be out, and it can be killed at any time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from agent.errors import AgentError, Unavailable

MOST_LINE = 1 << 20
NICE = 5
GONE_S = 2.0


class Ended(AgentError):
    """The child ended before it answered."""


class Talker:
    """One running child. ``out`` counts the questions it has not answered."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._asked = 0
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="talker")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def out(self) -> int:
        """Questions without an answer."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._process.returncode is None and not self._reader.done()

    async def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer. :class:`Ended` if it dies before; whoever does not want to wait cancels."""
        if not self.alive:
            raise Ended("the child process has ended")
        self._asked += 1
        number = self._asked
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({**question, "id": number}).encode() + b"\n")
            with contextlib.suppress(ConnectionError):  # the reader tells
                await self._process.stdin.drain()
            return await future
        finally:
            self._waiting.pop(number, None)

    async def kill(self) -> None:
        """End it now; returns when it is gone, or after two seconds."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GONE_S):
                await self._process.wait()
                await asyncio.gather(self._reader, return_exceptions=True)
        self._reader.cancel()
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        try:
            while line := await stream.readline():
                answer = json.loads(line)
                future = self._waiting.get(answer.get("id"))
                if future is not None and not future.done():
                    future.set_result(answer)
        except ValueError:  # a line that is too long or no JSON: the child is not what it should be
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(Ended("the child process ended"))


async def start(argv: Sequence[str], env: Mapping[str, str]) -> Talker:
    """Start ``argv`` in a group of its own, with lower priority; what it says on standard error is dropped.

    Unavailable if the program is not there.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(env),
            cwd=os.sep,
            start_new_session=True,
            limit=MOST_LINE,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise Unavailable(f"{argv[0]} cannot be started: {error.strerror}") from None
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    return Talker(process)
