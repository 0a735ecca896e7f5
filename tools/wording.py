"""How types, defaults and docstrings of the code are written in Markdown."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from agent.yamlfile import Text, parse_bytes, parse_duration, parse_percent

UNITS = {parse_duration: "duration", parse_bytes: "size", parse_percent: "share"}
WORDS = {str: "text", Text: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything"}


def type_word(kind: Any) -> str:
    """A field's type in words."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return UNITS[args[1]]
    if origin is Literal:
        return " or ".join(f"`{word}`" for word in args)
    if origin is tuple:
        return "list" if args[0] is Any else f"list of {type_word(args[0])}"
    if origin is types.UnionType:
        return " or ".join(type_word(arg) for arg in args if arg is not types.NoneType)
    return WORDS.get(kind, "mapping")


def default_word(kind: Any, value: Any) -> str:
    """A default as one would write it."""
    unit = type_word(kind) if get_origin(kind) is Annotated else ""
    if unit == "duration":
        return f"`{_duration(value)}`"
    if unit == "size":
        return f"`{value / 2**20:g}MiB`"
    if unit == "share":
        return f"`{value:.0%}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if value != "" else "empty"


def _duration(seconds: float) -> str:
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def default_of(field: dataclasses.Field[Any]) -> Any:
    """A field's default, made if need be."""
    return field.default_factory() if field.default is dataclasses.MISSING else field.default  # type: ignore[misc]


def docstring(thing: Any) -> str:
    """A docstring as Markdown."""
    text = inspect.getdoc(thing) or ""
    return re.sub(r":\w+:`~?\.?([^`]+)`", r"`\1`", text).replace("``", "`")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), "|" + " --- |" * len(head), *map(line, rows)])


def page(parts: Sequence[str]) -> str:
    """Paragraphs, tables and headings as one page."""
    return "\n\n".join(part.strip() for part in parts) + "\n"
