"""Somebody outside is asked before anything disruptive: a fleet's lock, a change calendar. Anything but a clear yes is a no."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Awaitable, Callable, Mapping

from agent.errors import AgentError
from agent.host import http
from agent.host.keyfile import read_secret
from agent.host.lane import aside
from agent.host.run import Completed
from agent.host.text import clean
from agent.model import JsonObject
from agent.permission import Permit

SCHEMA = "anfl.permit/1"
MOST = 64 << 10
LONGEST = 200


class No(AgentError):
    """There is no permit."""


class Permits:
    """Asks the configured address or program."""

    def __init__(self, settings: Permit, run: Callable[..., Awaitable[Completed]], env: Mapping[str, str] = os.environ) -> None:
        self._settings = settings
        self._run = run
        self._env = env

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be asked."""
        return bool(self._settings.url or self._settings.command)

    async def ask(self, question: JsonObject) -> str:
        """Why not; "" for a clear yes."""
        raw = json.dumps({"schema": SCHEMA, **question}, separators=(",", ":")).encode()
        try:
            said = await (self._by_url(raw) if self._settings.url else self._by_command(raw))
            told = json.loads(said)
        except AgentError as error:
            return clean(error.message, LONGEST)
        except (ValueError, RecursionError):
            return "the answer is not JSON"
        except Exception as error:  # whatever it is, it is no yes
            return f"asking failed: {type(error).__name__}"
        if not isinstance(told, dict) or told.get("permit") is not True:
            reason = told.get("reason") if isinstance(told, dict) else None
            return f"refused: {clean(reason, LONGEST)}" if isinstance(reason, str) and reason else "refused"
        return ""

    async def _by_url(self, raw: bytes) -> bytes:
        headers = {"content-type": "application/json"}
        if self._settings.secret_file or self._settings.secret_credential:
            key = await aside(lambda: read_secret(self._settings.secret_file, self._settings.secret_credential, self._env).strip())
            headers["x-anfl-signature"] = f"sha256={hmac.new(key.encode(), raw, hashlib.sha256).hexdigest()}"
        timeout = self._settings.timeout
        answer = await http.request("POST", self._settings.url, headers=headers, body=raw, timeout=timeout, body_s=timeout)
        if answer.status != 200:
            raise No(f"it answered {answer.status}")
        return answer.body

    async def _by_command(self, raw: bytes) -> bytes:
        timeout = self._settings.timeout
        done = await self._run(list(self._settings.command), timeout=timeout, input=raw, max_output=MOST)
        if done.timed_out:
            raise No(f"no answer within {timeout:g} s")
        if done.rc != 0:
            raise No(f"its program ended with {done.rc}")
        return done.out
