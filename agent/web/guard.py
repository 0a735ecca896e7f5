"""What both doors share: a connection cap, a deadline for the first request, and answers without a traceback."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from agent.errors import AgentError
from agent.model import JsonObject
from agent.web.again import Repeating

log = logging.getLogger("anfl.web")

MAX_CONNECTIONS = 64
FIRST_REQUEST_S = 10.0
"""Time for a new connection to send a whole request; a silent or dribbling one is closed."""
KEEPALIVE_S = 75.0
"""Longer than the usual scrape interval of 15 to 60 s, so that a scraper keeps its connection."""

FAILED = AgentError("the agent failed to answer", help="its log says why", exit_code=3)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Routes = dict[tuple[str, str], Handler]


class Guarded(web.Server):
    """Answers ``routes`` (method and path); HEAD goes where GET does. ``count(path, status)`` is told of every answer."""

    def __init__(self, routes: Routes, count: Callable[[str, int], None], max_connections: int = MAX_CONNECTIONS) -> None:
        super().__init__(
            self._answer,
            handler_cancellation=True,  # a caller who hangs up ends what was done for it
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=1.0,
            max_line_size=4096,
            max_field_size=4096,
        )
        self._routes = routes
        self._count = count
        self._max_connections = max_connections
        self._silent: dict[RequestHandler, asyncio.TimerHandle] = {}
        self.refused = 0
        self.first_request_s = FIRST_REQUEST_S

    def __call__(self) -> RequestHandler:
        """A new connection."""
        return Repeating(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Refuse beyond the cap; start the deadline of the first request."""
        super().connection_made(handler, transport)
        if len(self._connections) > self._max_connections:
            self.refused += 1
            transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._silent[handler] = loop.call_later(self.first_request_s, transport.abort)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget the connection and its deadline."""
        self._heard(handler)
        super().connection_lost(handler, exc)

    def _heard(self, handler: RequestHandler) -> None:
        timer = self._silent.pop(handler, None)
        if timer is not None:
            timer.cancel()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self._heard(request.protocol)
        path = request.path
        try:
            response = await self._route(request)
        except AgentError as error:
            response = refusal(400, error)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("%s %s failed", request.method, path)
            response = refusal(500, FAILED)
        self._count(path if any(path == known for _, known in self._routes) else "other", response.status)
        return response

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        method = "GET" if request.method == "HEAD" else request.method
        handler = self._routes.get((method, request.path))
        if handler is not None:
            return await handler(request)
        allowed = sorted({known for known, path in self._routes if path == request.path})
        if not allowed:
            return refusal(404, AgentError("there is nothing here"))
        response = refusal(405, AgentError(f"{request.path} answers {' and '.join(allowed)} only"))
        response.headers["Allow"] = ", ".join(allowed)
        return response


def error_json(error: AgentError) -> JsonObject:
    """An error as ``anfl.error/1``."""
    return {
        "schema": "anfl.error/1",
        "message": error.message,
        "help": error.help,
        "where": error.where,
        "exit_code": error.exit_code,
    }


def reply(body: JsonObject, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(
        text=json.dumps(body) + "\n", status=status, content_type="application/json", headers={"Server": "anfl-agent"}
    )


def refusal(status: int, error: AgentError) -> web.Response:
    """An error as an answer; nothing of the inside shows."""
    return reply(error_json(error), status)
