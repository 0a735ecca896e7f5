"""Every error a person may see.

AgentError            message, help, where, exit code
├── UsageError        the call is wrong (exit 2)
├── ConfigError       a file the operator wrote is wrong (exit 2)
├── Problems          several mistakes in one file, all at once (exit 1)
├── Unavailable       this host lacks what is asked for; not a failure of ours
└── Refused           a closer look would hurt the target, so it was not taken
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class AgentError(Exception):
    """An error with a mend: ``message`` says what is wrong, ``help`` what to do, ``where`` the place (``file:line:col``)."""

    exit_code = 1

    def __init__(self, message: str, *, help: str = "", where: str | None = None, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help
        self.where = where
        if exit_code is not None:
            self.exit_code = exit_code

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message}" + (f"; {self.help}" if self.help else "")


class UsageError(AgentError):
    """The command line or a request is wrong."""

    exit_code = 2


class ConfigError(AgentError):
    """A configuration file, or a value in it, is wrong."""

    exit_code = 2


class Unavailable(AgentError):
    """The host has no such source or tool; the collector or probe is absent here, not broken. Exit 3: it could not be checked."""

    exit_code = 3


class Refused(AgentError):
    """The target's state forbids a closer look (stopped, traced, blocked, not Python, not permitted)."""


class NotApplicable(Refused):
    """What a look searches for cannot be in this target: a place in Python code in a program that is not Python."""


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in one file. ``line`` and ``column`` count from 1; 0 means the whole file."""

    file: str
    line: int
    column: int
    message: str
    help: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}" + (f"; {self.help}" if self.help else "")


class Problems(AgentError):
    """All mistakes found in one go; exit code 1."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))
