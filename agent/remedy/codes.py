"""Time-based codes (RFC 6238): which one is right, that none works twice, and a pause after too many wrong ones."""

from __future__ import annotations

import binascii
import hmac
import sqlite3
from enum import StrEnum

from agent.errors import ConfigError

DIGITS = 6
AROUND = 1
"""Steps of half a minute that a telephone's clock may be off, each way (RFC 6238, 5.2 recommends one)."""
WRONG_MOST = 5
LOCKED_S = 900.0
"""After so many wrong codes in a row none is taken until that long after the last one."""
SECRET_LEAST = 16
"""Signs of base32: 80 bits, the least that authenticators make."""
NOBODY = "?"
"""Names that nobody has share one count."""


class Verdict(StrEnum):
    """What became of a code."""

    RIGHT = "right"
    WRONG = "wrong"
    LOCKED = "locked"


def counter_of(secret: str, code: str, now: float) -> int | None:
    """The step of time for which a code is right now, None for a wrong one. ConfigError if the secret is none."""
    from pyotp import TOTP

    wanted = "".join(secret.split()).upper()
    if len(wanted) < SECRET_LEAST:
        raise ConfigError("the secret for codes is too short", help="head -c 20 /dev/urandom | base32")
    found = None
    try:
        totp = TOTP(wanted, digits=DIGITS)
        here = int(now // totp.interval)
        for step in range(here - AROUND, here + AROUND + 1):  # all of them, whichever it is: how long it takes tells nothing
            if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode("utf-8", "replace")):
                found = step
    except (binascii.Error, ValueError):
        raise ConfigError("the secret for codes is not base32", help="head -c 20 /dev/urandom | base32") from None
    return found


def take(to: sqlite3.Connection, who: str, counter: int | None, now: float) -> Verdict:
    """Use a code up. A step at or before the last one used is wrong: somebody looked over a shoulder."""
    row = to.execute("SELECT counter, wrong, at FROM codes WHERE who = ?", (who,)).fetchone()
    last, wrong, at = row or (-1, 0, now)
    if abs(now - at) > LOCKED_S:
        wrong = 0
    if wrong >= WRONG_MOST:
        return Verdict.LOCKED
    right = counter is not None and counter > last
    kept = (who, counter, 0, now) if right else (who, last, wrong + 1, now)
    to.execute("INSERT OR REPLACE INTO codes VALUES (?, ?, ?, ?)", kept)
    return Verdict.RIGHT if right else Verdict.WRONG
