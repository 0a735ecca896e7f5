"""Quicker turns at the interpreter lock until tracking has begun; sent as text into the target, so it stands alone.

Beside threads that compute, each of the payload's many waits for the lock lasts a switch interval, 5 ms: compiling, importing and
counting took up to a second. The target loses nothing but a few thousand switches.
"""

from __future__ import annotations

import sys

QUICK_S = 0.0002
before: list[tuple[float, float]] = []
"""The program's interval, and ours as the interpreter tells it, which is not quite what it was given: it counts microseconds."""


def hurry() -> None:
    """Ask for the lock in short turns."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, QUICK_S))
    before.append((usual, sys.getswitchinterval()))


def calm() -> None:
    """As it was, unless the program set another interval meanwhile. May be called again."""
    while before:
        usual, ours = before.pop()
        if sys.getswitchinterval() == ours:
            sys.setswitchinterval(usual + 5e-7)  # it cuts off what is less than a microsecond
