"""Figures that move with time, as the library computes them (``nvml/curve.c``), and how people write them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from agent.errors import UsageError
from agent.sim.schema import Key
from agent.yamlunits import parse_bytes, parse_duration, parse_percent

Value = float | int | bool | str | None | dict[str, Any]

_NUMBER = r"[-+]?[0-9][0-9.eE]*\s*[A-Za-z%]*"
_PLAIN = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?")
_SPAN = rf"(?P<low>{_NUMBER})\.\.(?P<high>{_NUMBER})"
_FORMS = {
    "sine": re.compile(rf"sine {_SPAN} every (?P<every>\S+)"),
    "ramp": re.compile(rf"ramp {_SPAN} over (?P<over>\S+)"),
    "burst": re.compile(rf"burst {_SPAN} for (?P<for>\S+) every (?P<every>\S+)"),
    "grow": re.compile(rf"grow (?P<low>{_NUMBER}) \+?(?P<high>{_NUMBER})/(?P<every>s|m|h)"),
    "steps": re.compile(r"steps (?P<steps>\S+=\S+(?: \S+=\S+)*)(?: repeat (?P<every>\S+))?"),
}
FORMS = (
    "sine LOW..HIGH every 30s", "ramp FROM..TO over 2m", "burst LOW..HIGH for 5s every 20s", "grow FROM +BY/s",
    "steps 0s=10 30s=90 repeat 60s",
)  # fmt: skip
"""Each may end with ``noise N``."""


def parse_value(text: Any, key: Key, path: str) -> Value:
    """What a person wrote (text, or a value from YAML or JSON) as the state file has it; UsageError with the forms there are."""
    if isinstance(text, dict) or text is None:
        return _curve_as_given(text, path)
    try:
        return _plain(text, key) if not isinstance(text, str) else _text(text.strip(), key)
    except ValueError as wrong:
        raise UsageError(f"{path}: {wrong}", help=_help(key)) from None


def _help(key: Key) -> str:
    if key.words:
        return f"one of: {', '.join(key.words)}"
    return "a text" if key.unit == "text" else f"a figure ({key.unit}), or: {'; '.join(FORMS)}"


def _curve_as_given(value: dict[str, Any] | None, path: str) -> Value:
    kinds = ("constant", *_FORMS)
    if value is not None and value.get("curve") not in kinds:
        raise UsageError(f"{path}: no curve '{value.get('curve')}'", help=f"there are: {', '.join(kinds)}")
    return value


def _plain(value: Any, key: Key) -> Value:
    if key.words or key.unit == "text":
        raise ValueError(f"'{value}' is no word for it")
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"'{value}' is no figure")
    return bool(value) if key.unit == "flag" else value


def _text(text: str, key: Key) -> Value:
    if key.unit == "text":
        return text
    if text in ("null", "none") and text not in key.words:
        return None
    if key.words:
        if text not in key.words:
            raise ValueError(f"'{text}' is none of its words")
        return text
    if key.unit == "flag":
        if text not in ("true", "false", "on", "off", "yes", "no"):
            raise ValueError(f"'{text}' is neither true nor false")
        return text in ("true", "on", "yes")
    text, _, noise = text.partition(" noise ")
    kind = text.partition(" ")[0]
    if kind not in _FORMS:
        figure = _figure(text, key)
        return {"curve": "constant", "value": figure, "noise": float(noise)} if noise else figure
    found = _FORMS[kind].fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no {kind} curve")
    curve = _curve(kind, found.groupdict(), key)
    return {**curve, "noise": float(noise)} if noise else curve


def _curve(kind: str, said: Mapping[str, str | None], key: Key) -> dict[str, Any]:
    low, high = (_figure(said[name] or "", key) if said.get(name) else 0.0 for name in ("low", "high"))
    every = said.get("every")
    if kind == "sine":
        return {"curve": kind, "low": low, "high": high, "period": parse_duration(every or "")}
    if kind == "ramp":
        return {"curve": kind, "from": low, "to": high, "seconds": parse_duration(said["over"] or "")}
    if kind == "burst":
        return {
            "curve": kind,
            "low": low,
            "high": high,
            "for": parse_duration(said["for"] or ""),
            "every": parse_duration(every or ""),
        }
    if kind == "grow":
        return {"curve": kind, "from": low, "per_second": high / parse_duration(f"1{every}")}
    pairs = [one.partition("=") for one in (said["steps"] or "").split()]
    steps = sorted([parse_duration(at), _figure(value, key)] for at, _, value in pairs)
    return {"curve": kind, "steps": steps, **({"repeat": parse_duration(every)} if every else {})}


def _figure(text: str, key: Key) -> float:
    """A number with the unit's own endings: ``40GiB``, ``90%``, ``700W``."""
    text = text.strip()
    if key.unit in ("bytes", "bytes/s") and not _PLAIN.fullmatch(text):
        return parse_bytes(text)
    if text.endswith("%"):
        share = parse_percent(text)
        return share if key.unit == "share" else share * 100
    for ending in ("W", "MHz", "C"):
        text = text.removesuffix(ending)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"'{text}' is not finite")
    return int(value) if value == int(value) else value


# --------------------------------------------------------------------------------------------- evaluation


def value_at(value: Value, now: float, since: float) -> float:
    """The figure at a moment, without its noise; ``since`` is the state's own beginning. Words and null are 0."""
    if not isinstance(value, dict):
        return float(value) if isinstance(value, int | float) else 0.0
    c, t = _Args(value), max(0.0, now - float(value.get("since", since)))
    match value["curve"]:
        case "sine":
            return (c.low + c.high) / 2 + (c.high - c.low) / 2 * math.sin(2 * math.pi * (t / c.period + c.phase))
        case "ramp":
            return c.start + (c.to - c.start) * min(1.0, t / c.seconds)
        case "grow":
            return c.start + c.per_second * t
        case "burst":
            return c.high if t % c.every < c.length else c.low
        case "steps":
            t = t % c.repeat if c.repeat else t
            return next((v for at, v in reversed(c.steps) if at <= t), c.steps[0][1])
    return c.value


def sum_at(value: Value, now: float, since: float) -> float:
    """What a figure has added up to by a moment: energy in joules from a power in watts."""
    if not isinstance(value, dict):
        return value_at(value, now, since) * max(0.0, now - since)
    c, t = _Args(value), max(0.0, now - float(value.get("since", since)))
    return float(value.get("base", 0.0)) + _area(str(value["curve"]), c, t)


def _area(kind: str, c: _Args, t: float) -> float:
    match kind:
        case "sine":
            w, at = 2 * math.pi / c.period, 2 * math.pi * c.phase
            return (c.low + c.high) / 2 * t + (c.high - c.low) / 2 / w * (math.cos(at) - math.cos(at + w * t))
        case "ramp":
            moving = min(t, c.seconds)
            return c.start * moving + (c.to - c.start) * moving**2 / (2 * c.seconds) + c.to * (t - moving)
        case "grow":
            return c.start * t + c.per_second * t**2 / 2
        case "burst":
            rounds, rest = divmod(t, c.every)
            return c.low * t + (c.high - c.low) * (rounds * c.length + min(rest, c.length))
        case "steps":
            rounds, rest = divmod(t, c.repeat) if c.repeat else (0.0, t)
            return rounds * _step_area(c.steps, c.repeat) + _step_area(c.steps, rest)
    return c.value * t


def _step_area(steps: list[list[float]], t: float) -> float:
    area = steps[0][1] * min(max(steps[0][0], 0.0), t)
    for (at, value), end in zip(steps, [one[0] for one in steps[1:]] + [math.inf], strict=True):
        if at < t:
            area += value * (min(end, t) - at)
    return area


class _Args:
    """A curve's parameters with the library's defaults."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        def number(name: str, otherwise: float = 0.0) -> float:
            return float(value.get(name, otherwise))

        self.value, self.low, self.high, self.phase = number("value"), number("low"), number("high"), number("phase")
        self.start, self.to, self.per_second, self.length = number("from"), number("to"), number("per_second"), number("for")
        self.period, self.seconds, self.every = (number(name) or 1.0 for name in ("period", "seconds", "every"))
        self.repeat = number("repeat")
        self.steps: list[list[float]] = [list(map(float, pair)) for pair in value.get("steps", ())] or [[0.0, 0.0]]
