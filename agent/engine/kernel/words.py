"""Parts that many messages share: PCI addresses, numbers, and names that may hold anything."""

from __future__ import annotations

import re
from collections.abc import Iterable

COMM = 15
"""The kernel keeps at most so many bytes of a task's name, which bounds how far a hostile one reaches."""

BDF = r"(?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{1,2}:[0-9a-fA-F]{1,2}(?:\.[0-7])?"
"""A PCI address as messages print it; domain and function may be missing."""
FULL_BDF = r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"
_PARTS = re.compile(r"(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{1,2}):([0-9a-fA-F]{1,2})(?:\.([0-7]))?\Z")


def pci(text: str) -> str | None:
    """``dddd:bb:dd`` in lower case, domain 0000 where none is said; None if it is no address."""
    found = _PARTS.match(text.strip())
    if found is None:
        return None
    domain, bus, device, _ = found.groups()
    return f"{int(domain or '0', 16):04x}:{int(bus, 16):02x}:{int(device, 16):02x}"


def name_before(text: str, ends: Iterable[str]) -> str | None:
    """The name at the start of ``text`` that one of ``ends`` follows.

    A task's name may hold any of them, so the longest name of at most 15 bytes counts; where all are longer, the shortest.
    """
    cuts = sorted({at for end in ends for at in _places(text, end)})
    if not cuts:
        return None
    short = [at for at in cuts if at <= COMM]
    return text[: short[-1] if short else cuts[0]]


def _places(text: str, end: str) -> list[int]:
    found: list[int] = []
    at = text.find(end, 1)
    while at >= 0 and (at <= COMM or not found):
        found.append(at)
        at = text.find(end, at + 1)
    return found


def integer(text: str | None) -> int | None:
    """A decimal number, or None."""
    return int(text) if text and text.isascii() and text.isdigit() else None
