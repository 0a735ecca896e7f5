"""Quantities as people write them in files: durations, sizes and shares → seconds, bytes and ratios."""

from __future__ import annotations

import re

_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {"": 1, "b": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12} | {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
_BYTES |= {"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}
_BYTES |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}


def parse_duration(text: str | int | float) -> float:
    """``90``, ``5m``, ``1h30m``, ``250ms`` → seconds. ValueError if it is none."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return _not_negative(float(text))
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhdw])", str(text))
    if parts and "".join(n + u for n, u in parts) == str(text).strip():
        return sum(float(n) * _SECONDS[u] for n, u in parts)
    return _not_negative(_number(str(text), "a duration such as 30s, 5m or 1h30m"))


def parse_bytes(text: str | int | float) -> float:
    """``512``, ``2GiB``, ``1.5 MB`` → bytes. ValueError if it is none."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return _not_negative(float(text))
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", str(text).strip())
    if not found or found[2].lower() not in _BYTES:
        raise ValueError(f"expected a size such as 512MiB or 2GiB, got '{text}'")
    if found[2] == "m":
        raise ValueError(f"expected a size such as 512MiB or 2GiB, got '{text}': m is minutes, write {found[1]}MB")
    return float(found[1]) * _BYTES[found[2].lower()]


def parse_percent(text: str | int | float) -> float:
    """``0.9`` or ``90%`` → a ratio. ValueError if it is none."""
    if isinstance(text, str) and text.strip().endswith("%"):
        return _not_negative(_number(text.strip()[:-1], "a share such as 90%") / 100)
    if isinstance(text, bool):
        raise ValueError(f"expected a share such as 90%, got {text}")
    return _not_negative(_number(str(text), "a share such as 90%"))


def _number(text: str, wanted: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected {wanted}, got '{text}'") from None


def _not_negative(value: float) -> float:
    if not value >= 0:
        raise ValueError(f"must not be negative, got {value:g}")
    return value
