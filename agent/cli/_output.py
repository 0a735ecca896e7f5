"""What every command prints alike: JSON alone on stdout, errors with their mend, progress on stderr."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

import click

from agent.errors import AgentError, Problems
from agent.host.text import clean

COUNT_EVERY_S = 5.0
"""A log does not want to be told of every second."""
_COUNT = re.compile(r"\d+ ?(?:%|of \d+|s before)")

PLUGIN_UNKNOWN = 3
"""Of the monitoring-plugin convention. Its 2 means critical, so no usage error may end with ours."""


def plugin_failure(error: AgentError) -> str:
    """The one line a monitoring system shows where nothing could be said."""
    first = str(error).split("\n", 1)[0].replace("|", "/")
    return f"ANFL UNKNOWN - {clean(first, 400)}"


def print_json(value: Any) -> None:
    """One JSON document on stdout; hostile text stays escaped (ASCII only)."""
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=True, allow_nan=False))


def colour() -> bool:
    """Whether stdout may be coloured: a terminal, and NO_COLOR not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def stdout_trouble(error: Exception) -> bool:
    """Whether the output itself could not be written: its reader is gone, or a disk behind a redirection is full."""
    return isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT) and error.filename is None


def unexpected(error: Exception, *, verbose: bool) -> AgentError:
    """An error nobody foresaw, told in one line: exit 3, for nothing was found out. With ``verbose`` the traceback goes before."""
    if verbose:
        traceback.print_exception(error)
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return AgentError(
        f"this should not happen: {clean(said, 300)}", help="'anfl-agent -v …' shows where; please report it", exit_code=3
    )


def fail(error: AgentError, args: Sequence[str]) -> int:
    """Print one error and return its exit code: JSON on stdout with ``--json``, one line with ``--plugin``, else on stderr."""
    if "--plugin" in args:
        click.echo(plugin_failure(error))
        return PLUGIN_UNKNOWN
    if "--json" in args:
        document: dict[str, Any] = {
            "schema": "anfl.error/1",
            "message": error.message,
            "help": error.help,
            "where": error.where,
            "exit_code": error.exit_code,
        }
        if isinstance(error, Problems):
            document["problems"] = [vars(p) for p in error.problems]
        print_json(document)
    elif isinstance(error, Problems):
        for problem in error.problems:
            click.echo(str(problem), err=True)
    else:
        place = f"{error.where}: " if error.where else ""
        click.echo(f"anfl-agent: {place}{error.message}", err=True)
        if error.help:
            click.echo(f"  help: {error.help}", err=True)
    return error.exit_code


class Progress:
    """Lines of progress on stderr; on a terminal the last one is overwritten, elsewhere a count is told every few seconds only.
    Silent with ``quiet``."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._tty = sys.stderr.isatty()
        self._open = False
        self._told: dict[str, float] = {}  # text without its figures -> when

    def __call__(self, text: str) -> None:
        """Show ``text``."""
        if self._quiet:
            return
        if self._tty:
            click.echo(f"\r\x1b[2K… {text}", err=True, nl=False)
            self._open = True
            return
        kind, now = _COUNT.sub("", text), time.monotonic()
        if kind == text or kind not in self._told or now - self._told[kind] >= COUNT_EVERY_S:
            self._told[kind] = now
            click.echo(f"… {text}", err=True)

    def done(self) -> None:
        """Clear the line."""
        if self._open:
            click.echo("\r\x1b[2K", err=True, nl=False)
            self._open = False
