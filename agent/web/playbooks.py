"""Playbooks on the unix socket.

``GET /v1/playbooks``, ``GET /v1/audit[?most=N]``, ``GET /v1/audit/check[?head=H]`` and ``POST /v1/playbook`` with the fields of
:data:`FIELDS`, where verb is ``approve``, ``deny`` (with a ``code`` where the playbook asks for one), ``undo`` (of a run),
``weigh`` (a playbook for an incident: nothing is done), ``pause``, ``resume``, ``reset`` (the breaker) or ``fresh`` (lost state
is accepted). Only root, the agent's own user and the group ``anfl-agent`` may; approve and deny are for those whom the
configuration names, if any.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from agent.acting import Acting
from agent.errors import AgentError, Refused, UsageError
from agent.host.clock import Clock
from agent.host.lane import aside
from agent.host.text import clean
from agent.incidents.desk import Desk
from agent.model import JsonObject
from agent.remedy import answers
from agent.remedy.approvers import Code, Voice
from agent.remedy.people import People
from agent.remedy.runner import Remedy
from agent.remedy.tables import IllegalEdge
from agent.store.state import State
from agent.web import peer
from agent.web.guard import Routes, refusal, reply
from agent.web.request import body, caller
from agent.web.voices import Voices

FIELDS = {"verb", "id", "playbook", "incident", "reason", "for_s", "code"}
PAUSE_MOST_S = 30 * 86400.0
LONGEST = 500
SCHEMA = "anfl.playbook-word/1"


class PlaybooksApi:
    """The handlers, by route."""

    def __init__(self, acting: Acting, desk: Desk, state: State, clock: Clock, voices: Voices) -> None:
        self._acting = acting
        self._desk = desk
        self._state = state
        self._clock = clock
        self._voices = voices

    @property
    def _remedy(self) -> Remedy:
        return self._acting.remedy()

    @property
    def _people(self) -> People:
        return People(self._remedy, self._clock)

    def routes(self) -> Routes:
        """For :class:`agent.web.guard.Guarded`."""
        return {
            ("GET", "/v1/playbooks"): self._list,
            ("GET", "/v1/audit"): self._audit,
            ("GET", "/v1/audit/check"): self._check,
            ("POST", "/v1/playbook"): self._word,
        }

    async def _list(self, request: web.BaseRequest) -> web.StreamResponse:
        who = caller(request)
        if not who.may(None) and await aside(lambda: self._voices.of(who)) is None:
            return _refused(who)
        remedy = self._remedy
        return reply(await self._state.read(lambda at: answers.listing(remedy.playbooks, remedy.ceiling, at)))

    async def _audit(self, request: web.BaseRequest) -> web.StreamResponse:
        if not caller(request).may(None):
            return _refused(caller(request))
        said = request.query.get("most", "200")
        if not said.isdecimal() or len(said) > 6:
            raise UsageError("most must be a number")
        return reply(await self._state.read(lambda at: answers.audit(at, int(said))))

    async def _check(self, request: web.BaseRequest) -> web.StreamResponse:
        if not caller(request).may(None):
            return _refused(caller(request))
        ledger = self._remedy.ledger
        try:
            found = await ledger.check(request.query.get("head", "")[:100])
        except ValueError as error:
            raise UsageError(str(error)) from None
        state = await self._state.read(lambda at: answers.audit(at, 0))
        return reply(answers.checked(found, ledger.path, state))

    async def _word(self, request: web.BaseRequest) -> web.StreamResponse:
        told = await body(request)
        if not isinstance(told, dict) or set(told) - FIELDS:
            raise UsageError(f"the body must be an object with {', '.join(sorted(FIELDS))}")
        if told.get("verb") in ("approve", "deny"):
            return await self._decide(told, caller(request))
        if not caller(request).may(None):
            return _refused(caller(request))
        who = await aside(lambda: peer.person(caller(request)))
        verbs: dict[str, Callable[[JsonObject, str], Awaitable[JsonObject]]] = {
            "undo": self._undo,
            "weigh": self._weigh,
            "pause": self._pause,
            "resume": self._switch_off,
            "reset": self._switch_off,
            "fresh": self._fresh,
        }
        verb = told.get("verb")
        if verb not in verbs:
            raise UsageError(f"verb must be one of approve, deny, {', '.join(verbs)}")
        try:
            return reply({"schema": SCHEMA, "verb": verb, **await verbs[verb](told, who)})
        except IllegalEdge as moved:
            return refusal(409, AgentError(str(moved), help="look again: anfl-agent playbooks list"))

    async def _decide(self, told: JsonObject, who: peer.Peer) -> web.StreamResponse:
        """Approve or deny: who may is configured, and the kernel says who asks."""
        voice = await aside(lambda: self._voices.of(who))
        if voice is None:
            who_may = "playbooks.approvers in config.yaml says who may"
            return refusal(403, Refused("you may not decide about playbooks", help=who_may, exit_code=3))
        number, given = _number(told, "id"), told.get("code")
        code = await self._code(voice, given) if isinstance(given, str) and given else None
        try:
            if told["verb"] == "approve":
                run = await self._people.approve(number, voice, code)
            else:
                run = await self._people.deny(number, voice, _reason(told), code)
        except Refused as no:
            return refusal(403, no)
        except IllegalEdge as moved:
            return refusal(409, AgentError(str(moved), help="look again: anfl-agent playbooks list"))
        return reply({"schema": SCHEMA, "verb": told["verb"], "run": answers.run(run)})

    async def _code(self, voice: Voice, given: str) -> Code:
        """Theirs: the kernel has said who it is."""
        now = self._clock.now()
        _, code = await aside(lambda: self._voices.approvers.by_code(voice.who, clean(given, 16), now))
        return code

    async def _undo(self, told: JsonObject, who: str) -> JsonObject:
        run, said = await self._people.undo(_number(told, "id"), who)
        return {"run": answers.run(run), "done": list(said)}

    async def _weigh(self, told: JsonObject, who: str) -> JsonObject:
        name, number = str(told.get("playbook")), _number(told, "incident")
        if name not in self._remedy.playbooks:
            raise UsageError(f"there is no playbook '{clean(name, 80)}'", help="'anfl-agent playbooks list' shows them")
        incident = self._desk.book.incidents.get(number)
        if incident is None or not incident.active:
            raise UsageError(f"incident {number} is not open", help="'anfl-agent incidents list' shows those that are")
        causes = [c for c in incident.causes if c["id"] in self._remedy.playbooks[name].needs.causes] or list(incident.causes[:1])
        if not causes:
            raise UsageError(f"no cause of incident {number} is known yet", help="anfl-agent diagnose")
        plan, decision = await self._remedy.weigh(name, causes[0], number, incident.active[0].key)
        return {"plan": plan, "go": decision.go, "reasons": list(decision.reasons), "cause": causes[0]["id"]}

    async def _pause(self, told: JsonObject, who: str) -> JsonObject:
        for_s, why = told.get("for_s"), _reason(told)
        if isinstance(for_s, bool) or not isinstance(for_s, int | float) or not 0 < for_s <= PAUSE_MOST_S:
            raise UsageError("a pause must be longer than 0 s and at most 30 days", help="such as --for 2h")
        if not why:
            raise UsageError("a pause needs a reason", help="say why with --reason 'maintenance'")
        until = self._clock.now() + for_s
        await self._people.switch("pause", {"until": until, "why": f"{why} ({who})"}, who)
        return {"until": until}

    async def _switch_off(self, told: JsonObject, who: str) -> JsonObject:
        if told["verb"] == "reset" and not _reason(told):
            raise UsageError("resetting the breaker needs a reason", help="say why with --reason")
        await self._people.switch("pause" if told["verb"] == "resume" else "breaker", None, who)
        return {}

    async def _fresh(self, told: JsonObject, who: str) -> JsonObject:
        if not _reason(told):
            raise UsageError("accepting that state was lost needs a reason")
        await self._people.switch("fresh", {"since": self._clock.now(), "why": _reason(told)}, who)
        return {}


def _refused(who: peer.Peer) -> web.StreamResponse:
    help = f"ask root or a member of the group {peer.GROUP}"
    return refusal(403, AgentError("playbooks are not yours to see or steer", help=help, exit_code=3))


def _number(told: JsonObject, name: str) -> int:
    found: Any = told.get(name)
    if isinstance(found, bool) or not isinstance(found, int):
        raise UsageError(f"{name} must be a number")
    return found


def _reason(told: JsonObject) -> str:
    found = told.get("reason") or ""
    if not isinstance(found, str):
        raise UsageError("reason must be a text")
    return clean(found, LONGEST)
