"""A part of a benchmark in a process of its own, to be killed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable


def forked(work: Callable[[], None]) -> int:
    """Run ``work`` in a process of its own; its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        logging.exception("a part of the bench failed")
        os._exit(1)
    os._exit(0)
