"""Synthetic series in promtool's spirit, for rule tests: ``0.1*30 0.9*60 0+1x60 _*5 1GiB+10MiBx60``.

Runs are parted by spaces. ``v*n``: the value n times. ``a+bxn`` or ``a-bxn``: a, then n steps of b (n + 1 samples, as in
promtool). ``_*n``: n missing samples. A lone ``v`` or ``_`` counts once. ``(1*2 0*3)*20`` repeats what is in the parentheses.
Numbers may carry the units of conditions.
"""

from __future__ import annotations

import re
from array import array

from agent.engine.units import BYTES_IN, SECONDS_IN
from agent.model import Column

MOST_SAMPLES = 200_000

_UNITS = {**SECONDS_IN, **BYTES_IN, "%": 0.01, "": 1.0}
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?:%|[A-WYZa-wyz]+)?"
_RUN = re.compile(rf"(?:(?P<gap>_)|(?P<start>{_NUMBER})(?:(?P<sign>[+-])(?P<step>{_NUMBER})x(?P<steps>\d+))?)(?:\*(?P<times>\d+))?")
_WORD = re.compile(r"\(|(?P<close>\))(?:\*(?P<times>\d+))?|[^\s()]+")
_PARTS = re.compile(r"^(.*?)(%|[A-Za-z]*)$")


class NotationError(ValueError):
    """A run that cannot be read; ``offset`` points into the text."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def parse_series(text: str) -> list[float | None]:
    """The samples of a notation, None for missing ones."""
    groups: list[tuple[int, list[float | None]]] = [(0, [])]
    for word in _WORD.finditer(text):
        if word.group() == "(":
            groups.append((word.start(), []))
        elif word["close"]:
            _, samples = groups.pop()
            if not groups:
                raise NotationError("this parenthesis closes nothing", word.start())
            _add(groups[-1][1], samples, int(word["times"] or 1), word.start())
        else:
            _add(groups[-1][1], *_run(word.group(), word.start()), word.start())
    if len(groups) > 1:
        raise NotationError("this parenthesis is never closed", groups[-1][0])
    return groups[0][1]


def _add(samples: list[float | None], more: list[float | None], times: int, offset: int) -> None:
    if len(samples) + len(more) * times > MOST_SAMPLES:
        raise NotationError(f"more than {MOST_SAMPLES} samples", offset)
    samples.extend(more * times)


def column(text: str, interval: float, start: float = 0.0) -> Column:
    """A notation as a column whose first sample is at ``start``."""
    known = [(start + i * interval, v) for i, v in enumerate(parse_series(text)) if v is not None]
    return Column(array("d", [t for t, _ in known]), array("d", [v for _, v in known]))


def _run(word: str, offset: int) -> tuple[list[float | None], int]:
    """Samples, and how often they are repeated."""
    match = _RUN.fullmatch(word)
    if match is None or (match["steps"] and match["times"]):
        raise NotationError(f"cannot read '{word}'; write runs like 0.1*30, 0+1x60 or _*5", offset)
    times, steps = int(match["times"] or 1), int(match["steps"] or 0)
    if match["gap"]:
        return [None], times
    start = _value(match["start"], offset)
    if not match["steps"]:
        return [start], times
    if steps > MOST_SAMPLES:
        raise NotationError(f"more than {MOST_SAMPLES} samples", offset)
    step = _value(match["step"], offset) * (-1.0 if match["sign"] == "-" else 1.0)
    return [start + step * i for i in range(steps + 1)], times


def _value(text: str, offset: int) -> float:
    parts = _PARTS.match(text)
    number, unit = parts.groups() if parts else (text, "")
    if unit not in _UNITS:
        raise NotationError(f"unknown unit '{unit}'", offset)
    return float(number) * float(_UNITS[unit])
