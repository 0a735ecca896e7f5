"""Alerts and silences on the unix socket, for root, the agent's own user and the group ``anfl-agent``.

``GET /v1/alerts``, ``GET /v1/alert-route?label=KEY=VALUE…``, ``GET /v1/silences``; ``POST /v1/alerts`` with
``{"verb": "retry" | "park" | "test", "receiver", "why"}``; ``POST /v1/silences`` with
``{"verb": "add", "matchers", "seconds", "reason"}`` or ``{"verb": "expire", "id"}``. Who speaks is who the kernel says connected.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from agent.alerts.answers import Answers
from agent.errors import AgentError, UsageError
from agent.host import procs
from agent.host.lane import aside
from agent.model import JsonObject
from agent.web import peer
from agent.web.guard import Handler, Routes, refusal, reply
from agent.web.request import body, caller

_TYPES: dict[str, type | tuple[type, ...]] = {
    "verb": str,
    "receiver": str,
    "why": str,
    "matchers": list,
    "seconds": (int, float),
    "reason": str,
    "id": str,
}


class AlertsApi:
    """The handlers, by route."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def routes(self) -> Routes:
        """For :class:`agent.web.guard.Guarded`."""
        routes: Routes = {
            ("GET", "/v1/alerts"): self._list,
            ("POST", "/v1/alerts"): self._do,
            ("GET", "/v1/alert-route"): self._route,
            ("GET", "/v1/silences"): self._silences,
            ("POST", "/v1/silences"): self._silence,
        }
        return {key: _for_those_in_charge(handler) for key, handler in routes.items()}

    async def _list(self, request: web.BaseRequest) -> web.StreamResponse:
        return reply(await self._answers.overview())

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        pairs = [text.partition("=")[::2] for text in request.query.getall("label", [])]
        return reply(self._answers.route(dict(pairs)))

    async def _silences(self, request: web.BaseRequest) -> web.StreamResponse:
        return reply(self._answers.silences())

    async def _do(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = checked(await body(request))
        verb, receiver = asked.get("verb"), asked.get("receiver")
        if verb == "retry":
            return reply(await self._answers.retry(receiver))
        if verb == "test":
            return reply(await self._answers.test(receiver))
        if verb == "park" and receiver:
            return reply(await self._answers.park(receiver, asked.get("why", ""), await _name(request)))
        raise UsageError("verb must be retry, test, or park with a receiver")

    async def _silence(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = checked(await body(request))
        if asked.get("verb") == "expire":
            return reply(await self._answers.expire(asked.get("id", "")))
        if asked.get("verb") != "add":
            raise UsageError("verb must be add or expire")
        matchers = asked.get("matchers", [])
        if not all(isinstance(m, str) for m in matchers):
            raise UsageError("matchers must be texts")
        by = await _name(request)
        return reply(await self._answers.silence(matchers, float(asked.get("seconds", 0)), asked.get("reason", ""), by))


def checked(asked: Any) -> JsonObject:
    """A body with known names and right types; UsageError else."""
    if not isinstance(asked, dict):
        raise UsageError("the body must be a JSON object")
    for key, value in asked.items():
        if key not in _TYPES:
            raise UsageError(f"unknown option '{key}'", help=f"there are: {', '.join(_TYPES)}")
        if value is not None and (isinstance(value, bool) or not isinstance(value, _TYPES[key])):
            raise UsageError(f"option '{key}' has the wrong type")
    return {key: value for key, value in asked.items() if value is not None}


def _for_those_in_charge(handler: Handler) -> Handler:
    async def guarded(request: web.BaseRequest) -> web.StreamResponse:
        if caller(request).may(None):
            return await handler(request)
        mend = f"ask as root or as a member of the group {peer.GROUP}"
        return refusal(403, AgentError("not allowed: alerts are everybody's", help=mend, exit_code=3))

    return guarded


async def _name(request: web.BaseRequest) -> str:
    return await aside(lambda: procs.user_name(caller(request).uid))
