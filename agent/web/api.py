"""The API on the unix socket: what the command line asks of the running agent.

``GET /v1/status``; ``GET /v1/view?name=N[&window=300][&label=key=value…]``; ``POST /v1/diagnose`` with the options of
``anfl-agent diagnose`` as JSON. Answers are lines of JSON: ``{"progress": text}`` while it works, then one
``{"diagnosis": {...}}`` or ``{"error": {...}}``.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from aiohttp import web

from agent.errors import AgentError, UsageError
from agent.host import procstat
from agent.model import Column, JsonObject, Labels, View
from agent.web import peer
from agent.web.guard import FAILED, Routes, error_json, log, refusal, reply
from agent.web.request import body, caller

MAX_WINDOW_S = 86400.0
_ASKED: dict[str, type | tuple[type, ...]] = {
    "trees": list,
    "pid": int,
    "unit": str,
    "gpu": str,
    "for_s": (int, float),
    "since": (int, float),
    "deep": bool,
    "gentle": bool,
}


class Backend(Protocol):
    """What the API needs of the agent."""

    def status(self) -> JsonObject:
        """``anfl.status/1``."""
        ...

    def view(self) -> View:
        """The history, up to now."""
        ...

    async def diagnose(self, asked: JsonObject, progress: Callable[[str], None]) -> JsonObject:
        """One diagnosis as ``anfl.diagnosis/1``; cancelled when the caller hangs up. ``asked`` holds checked names and types."""
        ...


class Api:
    """The handlers, by route."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def routes(self) -> Routes:
        """For :class:`agent.web.guard.Guarded`."""
        return {
            ("GET", "/v1/status"): self._status,
            ("GET", "/v1/view"): self._view,
            ("POST", "/v1/diagnose"): self._diagnose,
        }

    async def _status(self, request: web.BaseRequest) -> web.StreamResponse:
        told = self._backend.status()
        if not caller(request).may(None):  # what was found in other people's programs is theirs
            told = {**told, "diagnoses": []}
        return reply(told)

    async def _diagnose(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = check_asked(await body(request))
        who = caller(request)
        if not who.may(_owner(asked.get("pid"))):
            what = f"process {asked['pid']} belongs to somebody else" if asked.get("pid") else "the host is everybody's"
            mend = f"name a process of your own with --pid, or ask as root or as a member of the group {peer.GROUP}"
            return refusal(403, AgentError(f"not allowed: {what}", help=mend, exit_code=3))
        lines: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        task = asyncio.get_running_loop().create_task(self._work(asked, lines), name="diagnose")
        try:
            return await _stream(request, _until_none(lines))
        finally:  # also when the caller hung up
            task.cancel()
            await asyncio.wait([task])

    async def _work(self, asked: JsonObject, lines: asyncio.Queue[JsonObject | None]) -> None:
        try:
            diagnosis = await self._backend.diagnose(asked, lambda text: lines.put_nowait({"progress": text}))
            lines.put_nowait({"diagnosis": diagnosis})
        except AgentError as error:
            lines.put_nowait({"error": error_json(error)})
        except Exception:
            log.exception("a diagnosis failed")
            lines.put_nowait({"error": error_json(FAILED)})
        finally:
            lines.put_nowait(None)

    async def _view(self, request: web.BaseRequest) -> web.StreamResponse:
        query = request.query
        name, window = query.get("name", ""), _window(query.get("window", "300"))
        wanted = {tuple(text.partition("=")[::2]) for text in query.getall("label", [])}
        if not name:
            raise UsageError("name is missing", help="such as /v1/view?name=process_resident_bytes&window=600")
        view = self._backend.view()
        return await _stream(request, _columns(view, name, window, wanted))


def check_asked(body: Any) -> JsonObject:
    """The options of a diagnosis with known names and right types; UsageError else."""
    if not isinstance(body, dict):
        raise UsageError("the body must be a JSON object")
    for key, value in body.items():
        if key not in _ASKED:
            raise UsageError(f"unknown option '{key}'", help=f"there are: {', '.join(_ASKED)}")
        wrong_bool = isinstance(value, bool) and _ASKED[key] is not bool
        if value is not None and (wrong_bool or not isinstance(value, _ASKED[key])):
            raise UsageError(f"option '{key}' has the wrong type")
    if not all(isinstance(tree, str) for tree in body.get("trees") or ()):
        raise UsageError("option 'trees' has the wrong type")
    return {key: value for key, value in body.items() if value is not None}


async def _until_none(lines: asyncio.Queue[JsonObject | None]) -> AsyncIterator[JsonObject]:
    while (line := await lines.get()) is not None:
        yield line


async def _columns(view: View, name: str, window: float, wanted: set[tuple[str, ...]]) -> AsyncIterator[JsonObject]:
    found: list[tuple[Labels, Column]] = [
        (labels, column) for labels, column in view.series(name, window).items() if wanted.issubset(labels)
    ]
    yield {"schema": "anfl.view/1", "name": name, "now": view.now, "window": window, "series": len(found)}
    for labels, column in found:
        values = [value if math.isfinite(value) else None for value in column.values]
        yield {"labels": dict(labels), "times": column.times.tolist(), "values": values}


async def _stream(request: web.BaseRequest, lines: AsyncIterator[JsonObject]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Server": "anfl-agent"})
    await response.prepare(request)
    async for line in lines:
        await response.write(json.dumps(line).encode() + b"\n")
        await asyncio.sleep(0)
    await response.write_eof()
    return response


def _window(text: str) -> float:
    try:
        window = float(text)
    except ValueError:
        window = math.nan
    if not 0 < window <= MAX_WINDOW_S:
        raise UsageError("window must be seconds between 0 and a day")
    return window


def _owner(pid: int | None) -> int | None:
    """Owner of the process asked about; None where the question is about more than one, or it has changed its user (setuid)."""
    if pid is None:
        return None
    uids = set((procstat.status_field(procstat.read(pid, "status", "/proc"), b"Uid") or b"").split()[:3])
    return int(uids.pop()) if len(uids) == 1 else None
