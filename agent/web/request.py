"""What the socket's answers ask of a request: who is there, and what they sent."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from agent.errors import UsageError
from agent.web import peer


def caller(request: web.BaseRequest) -> peer.Peer:
    """Who is at the other end, as the kernel says."""
    assert request.transport is not None
    return peer.of(request.transport.get_extra_info("socket"))


async def body(request: web.BaseRequest) -> Any:
    """The body as JSON; UsageError if it is none. No body is an empty object."""
    try:
        return json.loads(await request.text() or "{}")
    except (ValueError, RecursionError):  # also nesting without end
        raise UsageError("the body is not JSON") from None
