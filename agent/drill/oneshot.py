"""The real command as a drill's :data:`agent.drill.runner.Diagnose`: what a person would type is what is tested."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from agent.errors import AgentError
from agent.host.run import Completed, run

LIMIT_S = 240.0
_FOUND_OR_NOT = (0, 1, 3)


async def diagnose(args: list[str], env: Mapping[str, str]) -> dict[str, Any]:
    """``anfl-agent diagnose`` in a process of its own, ``env`` added to its environment; AgentError if it gives no diagnosis."""
    config, rest = _split(args)
    whole = {**os.environ, **env, **({"ANFL_CONFIG": config} if config else {})}
    done = await run([sys.executable, "-m", "agent", "diagnose", *rest], timeout=LIMIT_S, env=whole)
    return read_answer(done)


def read_answer(done: Completed) -> dict[str, Any]:
    """The diagnosis on standard output, or the error it names."""
    if done.timed_out:
        raise AgentError(f"diagnose gave no answer within {LIMIT_S:g} s")
    try:
        said = json.loads(done.out)
    except ValueError:
        tail = done.err.decode("utf-8", "replace").strip().splitlines()
        raise AgentError(f"diagnose gave no JSON (exit {done.rc})" + (f": {tail[-1]}" if tail else "")) from None
    if not isinstance(said, dict) or said.get("schema") != "anfl.diagnosis/1":
        message = said.get("message") if isinstance(said, dict) else None
        raise AgentError(str(message or "diagnose gave no anfl.diagnosis/1"))
    if done.rc not in _FOUND_OR_NOT:
        raise AgentError(f"diagnose ended with exit {done.rc}")
    return said


def _split(args: Sequence[str]) -> tuple[str | None, list[str]]:
    """Take ``--config FILE`` out: it belongs before the command's name."""
    rest = list(args)
    if "--config" not in rest:
        return None, rest
    at = rest.index("--config")
    config = rest[at + 1]
    del rest[at : at + 2]
    return config, rest
