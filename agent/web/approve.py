"""The page behind the link: what a playbook would do, and one small form for a person's word.

Looking acts on nothing: programs that fetch links for a preview or a scan change nothing. Only a POST with a name and a code of
that person's authenticator does, once. The form carries no cookie and the link alone is no right, so that no foreign page can
send it in somebody's name; one that tries is refused by its Origin all the same.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from aiohttp import hdrs, web

from agent.acting import Acting
from agent.engine.report import when
from agent.errors import AgentError, Refused, UsageError
from agent.host.clock import Clock
from agent.host.lane import aside
from agent.host.text import clean, html_safe
from agent.model import JsonObject
from agent.remedy import tables
from agent.remedy.approvers import Approvers
from agent.remedy.links import PATH, Asked, gone
from agent.remedy.model import Phase, Run
from agent.remedy.people import People
from agent.remedy.runner import Remedy
from agent.remedy.tables import IllegalEdge
from agent.store.state import State
from agent.web.guard import Routes

MOST_BODY = 4096
FORM = "application/x-www-form-urlencoded"
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem;color:#202124;background:#fff}"
    "dt{color:#5f6368;font-size:14px}dd{margin:0 0 .6rem;overflow-wrap:anywhere}label{display:block;margin:.6rem 0}"
    "input{font:inherit;padding:.3rem;width:100%;max-width:20rem;box-sizing:border-box}"
    "button{font:inherit;padding:.5rem 1.2rem;margin:.6rem .6rem 0 0}"
)
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
    "Referrer-Policy": "same-origin",  # not no-referrer: browsers would send 'Origin: null' with our own form
    "Cache-Control": "no-store",
    "Server": "anfl-agent",
}


class ApprovalPage:
    """The handlers, by route. There are none without an address under which people reach them."""

    def __init__(self, acting: Acting, state: State, clock: Clock, approvers: Approvers, url: str) -> None:
        self._acting = acting
        self._state = state
        self._clock = clock
        self._approvers = approvers
        self._url = url

    @property
    def hosts(self) -> list[str]:
        """The name people know the page by."""
        return [urlsplit(self._url).hostname or ""] if self._url else []

    def routes(self) -> Routes:
        """For :class:`agent.web.server.MetricsServer`."""
        return {("GET", PATH): self._look, ("POST", PATH): self._word} if self._url else {}

    async def _look(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            remedy, run, _ = await self._asked(request)
        except AgentError as error:
            return _says(error, 410 if isinstance(error, UsageError) else 503)
        return _page(f"{remedy.playbooks[run.playbook].title}?", _facts(self._told(remedy, run)) + FIELDS)

    async def _word(self, request: web.BaseRequest) -> web.StreamResponse:
        if (why := self._foreign(request)) is not None:
            return _says(Refused(why), 403)
        try:
            remedy, run, asked = await self._asked(request)
            given = await _form(request)
            now = self._clock.now()
            voice, code = await aside(lambda: self._approvers.by_code(given["name"], given["code"], now))
            people = People(remedy, self._clock)
            if given["word"] == "approve":
                after = await people.approve(run.id, voice, code, asked)
            elif given["word"] == "refuse":
                after = await people.deny(run.id, voice, given["reason"], code, asked)
            else:
                raise UsageError("approve or refuse")
        except Refused as no:
            return _says(no, 403)
        except (AgentError, IllegalEdge) as error:
            return _says(error if isinstance(error, AgentError) else gone(), 409)
        said = {Phase.APPROVED: "It goes as soon as the guard has looked once more.", Phase.DENIED: "It will not be done."}
        return _page(
            "Thank you",
            f"<p>{html_safe(said.get(after.phase, 'Another person must agree too; they get a link of their own.'))}</p>",
        )

    async def _asked(self, request: web.BaseRequest) -> tuple[Remedy, Run, Asked]:
        """What the link is about. UsageError if it is not good, or not any more."""
        remedy, token = self._acting.remedy(), request.query.get("t", "")
        links, now = remedy.links, self._clock.now()
        if links is None:
            raise gone()
        asked = await aside(lambda: links.read(token, now))
        run = await self._state.read(lambda at: tables.get(at, asked.run))
        if run is None or not asked.about(run) or run.phase is not Phase.PROPOSED or run.playbook not in remedy.playbooks:
            raise gone()
        return remedy, run, asked

    def _foreign(self, request: web.BaseRequest) -> str | None:
        """Why a form is not taken; None for one of our own page, or of no browser."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return "this form came from another page"
        origin = request.headers.get(hdrs.ORIGIN)
        own = {urlsplit(self._url)[:2], *((scheme, request.headers.get(hdrs.HOST, "")) for scheme in ("http", "https"))}
        return None if origin is None or urlsplit(origin)[:2] in own else "this form came from another page"

    def _told(self, remedy: Remedy, run: Run) -> dict[str, str]:
        """What somebody needs to know who is to decide."""
        playbook, target = remedy.playbooks[run.playbook], run.target
        cause: JsonObject = next((c for c in remedy.told(run).get("causes", ()) if c["id"] == run.cause), {})
        try:
            plan = remedy.plan(run)
        except AgentError as error:
            plan = f"nothing: {error.message}"
        of = " ".join(str(x) for x in (target.name, target.unit, target.pid and f"pid {target.pid}", target.uuid) if x)
        sure = cause.get("confidence", {}).get("lo")
        because = f"{cause.get('title', run.cause)} ({run.cause}{f', confidence {sure:.2f}' if sure is not None else ''})"
        true = [str(line["says"]) for line in cause.get("evidence", ()) if line.get("answer") == "true" and line.get("says")]
        agreed = f"{', '.join(run.approvals)} ({len(run.approvals)} of {playbook.approval.count})"
        return {
            "What would be done": plan,
            "To": f"{target.kind} {of}",
            "Because of": f"{because}, incident {run.incident}",
            "Evidence": "; ".join(true[:5]),
            "Playbook": f"{run.playbook} ({playbook.class_}), run {run.id}",
            "Agreed": agreed if run.approvals else "",
            "Until": when(run.expires) or "",
        }


FIELDS = (
    '<form method="post" autocomplete="off">'
    '<label>Your name<br><input name="name" required maxlength="64" autocapitalize="none"></label>'
    '<label>Code of your authenticator<br><input name="code" required maxlength="6" inputmode="numeric" pattern="[0-9]{6}"'
    ' autocomplete="one-time-code"></label>'
    '<label>Reason<br><input name="reason" maxlength="300"></label>'
    '<button name="word" value="approve">Approve</button><button name="word" value="refuse">Refuse</button></form>'
)


async def _form(request: web.BaseRequest) -> Mapping[str, str]:
    """The fields. UsageError for what our form does not send."""
    if request.content_type != FORM or not 0 < (request.content_length or 0) <= MOST_BODY:
        raise UsageError("this is not our form")
    try:
        found = parse_qs(await request.text(), keep_blank_values=True, max_num_fields=8, strict_parsing=True)
    except (ValueError, UnicodeDecodeError):
        raise UsageError("this is not our form") from None
    return {name: clean(found.get(name, [""])[0].strip(), 300) for name in ("name", "code", "word", "reason")}


def _facts(told: Mapping[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{html_safe(k)}</dt><dd>{html_safe(clean(v, 1000))}</dd>" for k, v in told.items() if v) + "</dl>"


def _says(error: AgentError, status: int) -> web.Response:
    return _page("Not done", f"<p>{html_safe(error.message)}</p><p>{html_safe(error.help)}</p>", status)


def _page(title: str, body: str, status: int = 200) -> web.Response:
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    text = f"{head}<title>anfl-agent</title><style>{STYLE}</style><h1>{html_safe(title)}</h1>{body}</html>\n"
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8", headers=HEADERS)
