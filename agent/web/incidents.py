"""Incidents on the unix socket.

``GET /v1/incidents[?closed_after=SECONDS]``, ``GET /v1/incident?id=N``, and ``POST /v1/incident`` with ``{"id", "verb", "text"}``,
where verb is ``ack``, ``comment``, ``assign`` or ``close``. Who speaks is who the kernel says connected. Root, the agent's own user
and the group ``anfl-agent`` see and do everything; others what concerns their own processes alone.
"""

from __future__ import annotations

import math
from typing import Any

from aiohttp import web

from agent.engine.handling import LONGEST, VERBS
from agent.errors import AgentError, UsageError
from agent.host import procs
from agent.host.lane import aside
from agent.host.text import clean
from agent.incidents import answers, tables
from agent.incidents.desk import Desk
from agent.store.state import State
from agent.web import peer
from agent.web.guard import Routes, refusal, reply
from agent.web.request import body, caller


class IncidentsApi:
    """The handlers, by route."""

    def __init__(self, desk: Desk, state: State) -> None:
        self._desk = desk
        self._state = state

    def routes(self) -> Routes:
        """For :class:`agent.web.guard.Guarded`."""
        return {
            ("GET", "/v1/incidents"): self._list,
            ("GET", "/v1/incident"): self._show,
            ("POST", "/v1/incident"): self._word,
        }

    async def _list(self, request: web.BaseRequest) -> web.StreamResponse:
        after, visible = _seconds(request.query.get("closed_after")), await _visible(caller(request))
        return reply(await self._state.read(lambda at: answers.listing(at, closed_after=after, visible=visible)))

    async def _show(self, request: web.BaseRequest) -> web.StreamResponse:
        number, visible = _number(request.query.get("id")), await _visible(caller(request))
        return reply(await self._state.read(lambda at: answers.one(at, number, visible)))

    async def _word(self, request: web.BaseRequest) -> web.StreamResponse:
        number, verb, text = _asked(await body(request))
        who = caller(request)
        visible = await _visible(who)
        known = await self._state.read(lambda at: tables.current(at, number))
        if known is not None and not visible(known):
            mend = f"ask root or a member of the group {peer.GROUP}"
            return refusal(403, AgentError(f"not allowed: incident {number} is not about your processes", help=mend, exit_code=3))
        incident = await self._desk.word(number, verb, await aside(lambda: peer.person(who)), text)
        return reply({"schema": "anfl.incident-word/1", "verb": verb, **answers.summary(incident)})


async def _visible(who: peer.Peer) -> answers.Visible:
    return answers.everything if who.may(None) else answers.of_user(await aside(lambda: procs.user_name(who.uid)))


def _asked(told: Any) -> tuple[int, Any, str]:
    if not isinstance(told, dict) or set(told) - {"id", "verb", "text"}:
        raise UsageError("the body must be an object with id, verb and text")
    number, verb, text = told.get("id"), told.get("verb"), told.get("text") or ""
    if verb not in VERBS:
        raise UsageError(f"verb must be one of {', '.join(VERBS)}")
    if isinstance(number, bool) or not isinstance(number, int) or not isinstance(text, str):
        raise UsageError("id must be a number and text a text")
    return number, verb, clean(text, LONGEST + 1)


def _number(text: str | None) -> int:
    if text is None or not text.isdecimal() or len(text) > 15:
        raise UsageError("id must be the number of an incident")
    return int(text)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise UsageError("closed_after must be Unix seconds")
    return found
