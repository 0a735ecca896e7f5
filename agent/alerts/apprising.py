"""The notifier process as the agent sees it: started when there is something to send, killed when it hangs, gone when idle.

A job past its deadline retires the process: nobody asks it again, its other jobs get their time, then it is killed. New jobs go
to another at once, so that one receiver that hangs holds up no other; that one is started at half of the deadline, because a start
takes a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine, Mapping
from typing import Any

from agent.alerts.model import Outcome
from agent.errors import Unavailable
from agent.host import talker
from agent.host.talker import Ended, Talker
from agent.model import JsonObject

IDLE_S = 60.0
START_S = 20.0
"""The first answer may take this much longer: importing apprise and its plug-ins takes a second, more on a busy host."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
KEPT_ENV = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", *_PROXIES)


class Apprising:
    """Sends jobs through apprise. ``starts`` and ``kills`` count processes."""

    def __init__(self, env: Mapping[str, str], idle_s: float = IDLE_S) -> None:
        self._env = {name: env[name] for name in KEPT_ENV if name in env}
        self._idle_s = idle_s
        self._now: Talker | None = None
        self._spare: Talker | None = None
        self._warm: set[Talker] = set()
        self._retired: set[Talker] = set()
        self._starting = asyncio.Lock()
        self._ending: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.starts = 0
        self.kills = 0

    @property
    def running(self) -> int:
        """Processes there are."""
        return len(self._retired) + sum(child is not None and child.alive for child in (self._now, self._spare))

    async def send(self, job: JsonObject, deadline: float) -> Outcome:
        """One job. Past its deadline it may still arrive."""
        try:
            child = await self._child()
        except Unavailable as error:
            return Outcome("retry", str(error))
        half = asyncio.get_running_loop().call_later(deadline / 2, self._suspect, child)
        try:
            async with asyncio.timeout(deadline if child in self._warm else deadline + START_S):
                answer = await child.ask(job)
            self._warm.add(child)
            return _outcome(answer)
        except TimeoutError:
            self._retire(child)
            return Outcome("retry", f"no answer within {deadline:g} s", unsure=True)
        except Ended:
            return Outcome("retry", "the notifier process ended", unsure=True)
        finally:
            half.cancel()
            self._after(child)

    async def _child(self) -> Talker:
        async with self._starting:
            if self._ending is not None:
                self._ending.cancel()
            if self._now is None or not self._now.alive:
                if self._now is not None:
                    self._warm.discard(self._now)
                    await self._now.kill()
                self._now = await self._start()
            return self._now

    async def _start(self) -> Talker:
        self.starts += 1
        return await talker.start([sys.executable, "-m", "agent.alerts.notifier"], self._env)

    def _suspect(self, child: Talker) -> None:
        """A job takes long: its process may have to go, so another one gets ready."""
        if child is self._now and child in self._warm and self._spare is None:
            self._aside(self._prepare())

    async def _prepare(self) -> None:
        async with self._starting:
            if self._spare is None:
                with contextlib.suppress(Unavailable):  # the next job tells
                    self._spare = await self._start()

    def _retire(self, child: Talker) -> None:
        if child is self._now:
            self._now, self._spare = self._spare, None
            self._retired.add(child)

    def _after(self, child: Talker) -> None:
        """The last job of a retired process ends it; an idle one ends in a minute."""
        if child.out:
            return
        if child in self._retired:
            self._kill(child)
        elif child is self._now:
            if self._ending is not None:
                self._ending.cancel()
            self._ending = asyncio.get_running_loop().call_later(self._idle_s, self._idle, child)

    def _idle(self, child: Talker) -> None:
        if child is self._now and not child.out:
            for idle in (child, self._spare):
                if idle is not None:
                    self._kill(idle)
            self._now = self._spare = None

    def _kill(self, child: Talker) -> None:
        self.kills += 1
        self._aside(self._killed(child))

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="notifier")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _killed(self, child: Talker) -> None:
        await child.kill()
        self._retired.discard(child)
        self._warm.discard(child)

    async def close(self) -> None:
        """Kill what runs."""
        if self._ending is not None:
            self._ending.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = [*self._retired, *(child for child in (self._now, self._spare) if child is not None)]
        self._now = self._spare = None
        await asyncio.gather(*(self._killed(child) for child in left))


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    ending = answer.get("ending")
    return Outcome(ending if ending in ("done", "retry", "hopeless") else "retry", str(answer.get("why", "")))
