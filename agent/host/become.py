"""Hands this process over to another program: for commands that only prepare an environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from agent.errors import Unavailable


def become(argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Run ``argv`` in the place of this process, with this environment; :class:`Unavailable` if there is no such program."""
    sys.stdout.flush()
    try:
        os.execvpe(argv[0], list(argv), dict(env))
    except OSError as error:
        raise Unavailable(f"{argv[0]} cannot be started: {error.strerror}", help="is it installed, and on PATH?") from None
