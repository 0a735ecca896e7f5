"""Moments from the command line: as people write them, or those of an incident (``incident 42``)."""

from __future__ import annotations

import re
import sqlite3
import time
from typing import Literal

from agent.config import Config
from agent.errors import UsageError
from agent.moments import FORMS, parse_moment
from agent.store.state import looked

Edge = Literal["began", "known", "ended"]
BEFORE_S = 900.0
"""What brought an incident about lies before its onset."""
_INCIDENT = re.compile(r"(?:incident\s*#?|#)\s*(\d{1,9})", re.IGNORECASE)


def moment_of(option: str, said: str, config: Config, edge: Edge = "known") -> float:
    """Unix seconds; UsageError that names the option.

    Of an incident: :data:`BEFORE_S` before its onset (``began``), when its cause was last named or else it was opened
    (``known``: what led to that is at hand then), or its end, now while it is open (``ended``).
    """
    if (found := _INCIDENT.fullmatch(said.strip())) is not None:
        number = int(found[1])
        return looked(config.state_path, lambda at: _of_incident(at, number, edge))
    try:
        return parse_moment(said, time.time())
    except ValueError as error:
        wrong = str(error).removesuffix(f": {FORMS}")
        raise UsageError(f"{option}: {wrong}: {FORMS}, or 'incident 3'") from None


def _of_incident(at: sqlite3.Connection, number: int, edge: Edge) -> float:
    from agent.incidents import answers
    from agent.reports.incident import moment

    told = answers.one(at, number)
    if edge == "began":
        return moment(told["since"]) - BEFORE_S
    if edge == "ended":
        return moment(told["closed"]) if told["closed"] else time.time()
    named = [moment(e["time"]) for e in told["timeline"] if e["what"] in NAMED]
    return named[-1] if named else moment(told["opened"])


NAMED = frozenset({"diagnosed", "changed", "explained"})
"""Lines of a timeline at which a cause became known."""
