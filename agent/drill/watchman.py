"""Daemon mode: a private agent that keeps running while a drill is held, and must tell of the fault by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

from agent import data
from agent.config import Budget
from agent.drill.postbox import Told, postbox
from agent.drill.runner import Alarm
from agent.errors import AgentError
from agent.host import agentsock, session
from agent.host.lane import aside
from agent.host.session import Session
from agent.yamlfile import parse, parse_duration

START_S = 30.0
SAMPLE_S = 10.0  # as the daemon looks into a symptom
HISTORY_S = 5.0
"""How long it watches the host before the fault begins."""
TOLD_WITHIN_S = 20.0
"""What settling, grouping and sending may add."""
LATE_S = 60.0
"""On a busy host all of that takes longer; a late message is one, and is told as late."""
GOODBYE_S = 10.0
"""An agent that may end in order records to the end."""
SILENT_S = 110.0
"""How long a healthy workload is watched: any fast path has fired and been looked into by then."""
_FOR = re.compile(r"^  for: (\S+)$", re.MULTILINE)


@contextlib.asynccontextmanager
async def running(config: str, env: Mapping[str, str]) -> AsyncIterator[Alarm]:
    """``anfl-agent run`` on that configuration, with ``env`` added, whose alerts come here; gone on the way out.

    AgentError if it does not come up.
    """
    async with postbox() as (box, url):
        socket = await aside(lambda: _socket_of(config))
        own = await aside(lambda: _with_receiver(config, url))
        whole = {**os.environ, **env, "ANFL_CONFIG": own}
        daemon = await session.start([sys.executable, "-m", "agent", "run"], cwd=os.sep, env=whole)
        try:
            await _until_up(daemon, socket)
            await asyncio.sleep(HISTORY_S)

            async def alarm(causes: tuple[str, ...], pid: int | None) -> Told | float:
                if not causes:
                    return await box.wait((), pid, SILENT_S) or SILENT_S
                due = await aside(lambda: max(map(patience, causes)))
                told = await box.wait(causes, pid, due + LATE_S)
                return due + LATE_S if told is None else await aside(lambda: _with_diagnosis(socket, replace(told, due=due)))

            yield alarm
        finally:
            await asyncio.shield(daemon.farewell(GOODBYE_S))


def patience(cause: str) -> float:
    """Seconds until a fault must have been told: as long as the slowest of its trees waits, sampling and drill-down, and 20 s."""
    waits = [parse_duration(found[1]) for text in _texts(cause) if (found := _FOR.search(text))]
    budget = Budget()
    return max(waits, default=0.0) + SAMPLE_S + budget.drill + TOLD_WITHIN_S


def _with_receiver(config: str, url: str) -> str:
    """A copy of the configuration, which is JSON, with one receiver; memray may be attached: the workload is the drill's own."""
    path = Path(config)
    known = json.loads(path.read_text("utf-8"))
    memray = {"mode": "auto", **known.get("probes", {}).get("memray", {})}
    probes = {**known.get("probes", {}), "memray": memray}
    receivers = [{"name": "drill", "type": "webhook", "url": url}]
    copy = path.with_name("daemon.yaml")
    copy.write_text(json.dumps({**known, "probes": probes, "receivers": receivers}), "utf-8")
    return str(copy)


def _with_diagnosis(socket: str, told: Told) -> Told:
    """What was told, with what the agent had found out by itself."""
    with contextlib.suppress(AgentError):
        return replace(told, diagnosis=agentsock.get(socket, f"/v1/incident?id={told.incident}")["diagnosis"])
    return told


def _texts(cause: str) -> list[str]:
    """The shipped rule files that can name a cause, or suspect this very one."""
    texts = [path.read_text("utf-8") for path in sorted(data.folder("rules").glob("*.yaml"))]
    known = re.compile(r"^  {0}:|^  suspicion: \[(?:.*, )?{0}[,\]]".format(re.escape(cause)), re.MULTILINE)
    return [text for text in texts if known.search(text)]


def _socket_of(config: str) -> str:
    node = parse(Path(config).read_text("utf-8"), config).get("socket")
    return node.raw if node else ""


async def _until_up(daemon: Session, socket: str) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_S):
            while not await aside(lambda: agentsock.answers(socket)):
                if daemon.rc is not None:
                    await daemon.ended(1.0)
                    tail = daemon.error_tail.splitlines()
                    raise AgentError(f"the agent did not start (exit {daemon.rc})" + (f": {tail[-1]}" if tail else ""))
                await asyncio.sleep(0.1)
            return
    raise AgentError(f"the agent was not up within {START_S:g} s")
