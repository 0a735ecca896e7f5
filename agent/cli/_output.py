"""What every command prints alike: JSON alone on stdout, errors with their mend, progress on stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from agent.errors import AgentError, Problems


def print_json(value: Any) -> None:
    """One JSON document on stdout; hostile text stays escaped (ASCII only)."""
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=True, allow_nan=False))


def colour() -> bool:
    """Whether stdout may be coloured: a terminal, and NO_COLOR not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def fail(error: AgentError, as_json: bool) -> int:
    """Print one error (JSON on stdout with ``--json``, text on stderr else) and return its exit code."""
    if as_json:
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
    """Lines of progress on stderr; on a terminal the last one is overwritten. Silent with ``quiet``."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._tty = sys.stderr.isatty()
        self._open = False

    def __call__(self, text: str) -> None:
        """Show ``text``."""
        if self._quiet:
            return
        if self._tty:
            click.echo(f"\r\x1b[2K… {text}", err=True, nl=False)
            self._open = True
        else:
            click.echo(f"… {text}", err=True)

    def done(self) -> None:
        """Clear the line."""
        if self._open:
            click.echo("\r\x1b[2K", err=True, nl=False)
            self._open = False
