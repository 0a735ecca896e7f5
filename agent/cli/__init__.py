"""The command ``anfl-agent``. The daemon lives for months: what reads command lines is loaded for all commands but that one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from agent.cli import _running
from agent.cli._output import fail, stdout_trouble, unexpected
from agent.errors import AgentError

READER_GONE = 141  # as a program that SIGPIPE ends: whoever reads us has left, and no other code would be true


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its code; every error is one clear message, never a traceback."""
    args = sys.argv[1:] if argv is None else argv
    try:
        code = _run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        code = READER_GONE
        _forget_stdout()
    except OSError as error:
        _forget_stdout()
        code = fail(AgentError(f"cannot write: {error.strerror}", help="make room, or send the output elsewhere", exit_code=3), [])
    sys.exit(code)


def _run(args: Sequence[str]) -> int:
    """The exit code of one command; whatever goes wrong has been told. OSError only where stdout cannot be written."""
    error: AgentError
    try:
        asked = _running.asked(args)
        if asked is not None:
            return _running.run(asked)
        from agent.cli import _group

        return _group.called(args)
    except KeyboardInterrupt:
        return 130
    except AgentError as known:
        error = known
    except Exception as wrong:
        if stdout_trouble(wrong):
            raise
        error = unexpected(wrong, verbose=any(arg in ("-v", "-vv", "--verbose") for arg in args))
    return fail(error, args)


def _forget_stdout() -> None:
    """Nothing more is written there, so that the interpreter's own last flush does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
