"""Units as products of named bases, so that rates, shares and thresholds can be checked against each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import field

from agent.dataclass import dataclass

SECONDS_IN = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES_IN = {
    "B": 1.0,
    **{f"{p}iB": 1024.0 ** (i + 1) for i, p in enumerate("KMGT")},
    **{f"{p}B": 1000.0 ** (i + 1) for i, p in enumerate(("k", "M", "G", "T"))},
    "KB": 1000.0,
}
_ALIASES = {"second": "seconds", "byte": "bytes", "s": "seconds", "core": "cores"}
_PLAIN = {"", "ratio", "count", "1", "bool", "cores"}


@dataclass(frozen=True)
class Unit:
    """``dims`` maps base unit to exponent; ``loose`` marks a plain number, which fits any unit; ``shown`` is only display."""

    dims: tuple[tuple[str, int], ...] = ()
    loose: bool = field(default=False, compare=False)
    shown: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.shown or spell(self)


def spell(unit: Unit) -> str:
    """``bytes/second``, ``seconds``, or "" for a count or share."""
    top = [_power(name, n) for name, n in unit.dims if n > 0]
    bottom = [_power(name.removesuffix("s"), -n) for name, n in unit.dims if n < 0]
    if not bottom:
        return "*".join(top)
    return f"{'*'.join(top) or '1'}/{'/'.join(bottom)}"


def _power(name: str, exponent: int) -> str:
    return name if exponent == 1 else f"{name}^{exponent}"


LOOSE = Unit(loose=True)
COUNT = Unit()
RATIO = Unit(shown="ratio")
SECONDS = Unit((("seconds", 1),))
BYTES = Unit((("bytes", 1),))


def parse(text: str) -> Unit:
    """A declared unit: ``bytes``, ``seconds``, ``ratio``, ``bytes/second`` or "" for a plain count.

    Shares, counts and cores are all dimensionless: a rate of seconds is a share of a core.
    """
    top, _, bottom = text.partition("/")
    dims: Counter[str] = Counter()
    for name, sign in ((top, 1), (bottom, -1)):
        name = name.strip()
        if name not in _PLAIN:
            dims[_ALIASES.get(name, name)] += sign
    return Unit(_sorted(dims), shown=text if text in {"ratio", "cores"} else "")


def times(a: Unit, b: Unit) -> Unit:
    """Unit of a product."""
    return _combine(a, b, 1)


def over(a: Unit, b: Unit) -> Unit:
    """Unit of a quotient."""
    return _combine(a, b, -1)


def per_second(unit: Unit) -> Unit:
    """Unit of a rate of change."""
    return over(Unit(unit.dims), SECONDS)


def fit(a: Unit, b: Unit) -> bool:
    """May the two be compared or added?"""
    return a.loose or b.loose or a.dims == b.dims


def _combine(a: Unit, b: Unit, sign: int) -> Unit:
    dims: Counter[str] = Counter(dict(a.dims))
    for name, n in b.dims:
        dims[name] += sign * n
    keep = a.shown if b.loose else b.shown if a.loose and sign > 0 else ""
    return Unit(_sorted(dims), loose=a.loose and b.loose, shown=keep)


def _sorted(dims: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((name, n) for name, n in dims.items() if n))
