"""The state file on disk: read whole, written whole, with the board that tells running clients at once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.errors import AgentError, UsageError
from agent.sim.board import Board

SCHEMA = "anfl.sim-gpu/1"
MOST_GPUS = 16

State = dict[str, Any]


def read(path: Path) -> State:
    """The state; UsageError if there is none, AgentError with the place if it is no JSON."""
    try:
        state = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no simulator state '{path}'", help=f"'anfl-agent sim gpu init --state {path}' makes one") from None
    except OSError as error:
        raise AgentError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise AgentError(f"not JSON: {error}", where=str(path), help="clients go on with the last good state") from None
    if not isinstance(state, dict) or state.get("schema") != SCHEMA or not isinstance(state.get("gpus"), list):
        raise AgentError(f"not a simulator state ({SCHEMA})", where=str(path))
    return state


def write(path: Path, state: State) -> None:
    """Replace the file in one step and ring the bell; AgentError where it cannot be written."""
    text = json.dumps(state, indent=1, allow_nan=False) + "\n"
    try:
        fd, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise
    except OSError as error:
        raise AgentError(f"cannot write {path}: {error.strerror}") from None
    with Board(path) as board:
        board.keep([str(fault["id"]) for fault in state.get("faults", ()) if "id" in fault])
        board.ring()


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """One writer at a time, so that no change is lost between reading and writing."""
    fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
