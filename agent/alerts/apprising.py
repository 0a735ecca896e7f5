"""The notifier process as the agent sees it: started when there is something to send, killed when it hangs, gone when idle.

A job past its deadline retires the process: nobody asks it again, its other jobs get their time, then it is killed. New jobs go
to a new one at once, so that one receiver that hangs holds up no other.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
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
        return len(self._retired) + (self._now is not None and self._now.alive)

    async def send(self, job: JsonObject, deadline: float) -> Outcome:
        """One job. Past its deadline it may still arrive."""
        try:
            child = await self._child()
        except Unavailable as error:
            return Outcome("retry", str(error))
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
            self._after(child)

    async def _child(self) -> Talker:
        async with self._starting:
            if self._ending is not None:
                self._ending.cancel()
            if self._now is None or not self._now.alive:
                if self._now is not None:
                    self._warm.discard(self._now)
                    await self._now.kill()
                self._now = await talker.start([sys.executable, "-m", "agent.alerts.notifier"], self._env)
                self.starts += 1
            return self._now

    def _retire(self, child: Talker) -> None:
        if child is self._now:
            self._now = None
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
            self._now = None
            self._kill(child)

    def _kill(self, child: Talker) -> None:
        self.kills += 1
        task = asyncio.get_running_loop().create_task(self._killed(child), name="notifier-end")
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
        left = [*self._retired, *([self._now] if self._now is not None else [])]
        self._now = None
        await asyncio.gather(*(self._killed(child) for child in left), *self._tasks)


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    ending = answer.get("ending")
    return Outcome(ending if ending in ("done", "retry", "hopeless") else "retry", str(answer.get("why", "")))
