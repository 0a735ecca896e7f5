"""Daemon mode: a private agent that keeps running while a drill is held, and must notice the fault by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any

from agent import data
from agent.drill.runner import Alarm
from agent.errors import AgentError
from agent.host import agentsock, session
from agent.host.lane import aside
from agent.host.session import Session
from agent.yamlfile import parse

START_S = 30.0
HISTORY_S = 5.0
"""How long it watches the host before the fault begins."""
_POLL_S = 1.0
_TREE = re.compile(r"^tree: (\w+)", re.MULTILINE)


@contextlib.asynccontextmanager
async def running(config: str, env: Mapping[str, str]) -> AsyncIterator[Alarm]:
    """``anfl-agent run`` on that configuration, with ``env`` added; gone on the way out. AgentError if it does not come up."""
    socket = await aside(lambda: _socket_of(config))
    whole = {**os.environ, **env, "ANFL_CONFIG": config}
    daemon = await session.start([sys.executable, "-m", "agent", "run"], cwd=os.sep, env=whole)
    try:
        await _until_up(daemon, socket)
        await asyncio.sleep(HISTORY_S)

        async def alarm(cause: str, pid: int | None, seconds: float) -> bool:
            trees = await aside(lambda: trees_of(cause))
            for _ in range(max(1, int(seconds / _POLL_S))):
                if noticed(await aside(lambda: _status(socket)), trees, pid):
                    return True
                await asyncio.sleep(_POLL_S)
            return False

        yield alarm
    finally:
        await asyncio.shield(daemon.stop())


def trees_of(cause: str) -> frozenset[str]:
    """The shipped trees that can name a cause: one topic may have several, for processes, GPUs and the host."""
    texts = [path.read_text("utf-8") for path in sorted(data.folder("rules").glob("*.yaml"))]
    found = (_TREE.search(text) for text in texts if re.search(rf"^  {re.escape(cause)}:", text, re.MULTILINE))
    return frozenset(tree[1] for tree in found if tree) or frozenset([cause.partition(".")[0]])


def noticed(status: Mapping[str, Any], trees: Collection[str], pid: int | None) -> bool:
    """True if a symptom of one of the trees holds on the target's own processes or on the host as a whole."""
    return any(
        symptom["tree"] in trees and symptom["phase"] in ("pending", "firing") and _about(symptom.get("labels") or {}, pid)
        for symptom in status.get("symptoms") or ()
    )


def _about(labels: Mapping[str, str], pid: int | None) -> bool:
    said = labels.get("pid")
    if said is None or pid is None:
        return True
    with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
        return int(said) == pid or os.getsid(int(said)) == os.getsid(pid)
    return False


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


def _status(socket: str) -> Mapping[str, Any]:
    return next(iter(agentsock.ask(socket, "GET", "/v1/status", timeout=10)))
