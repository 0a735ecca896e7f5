"""YAML → frozen dataclasses, all problems at once with ``file:line:column`` and did-you-mean.

A dataclass says the shape of a mapping: field names are keys (a trailing underscore is dropped: ``if_`` reads ``if``), a field
without default is required. Types understood: str, int, float, bool, Scalar, Literal, StrEnum, tuple[T, ...], Mapping[str, T],
nested dataclasses, ``T | None``, ``Any``, ``Node`` (as written), :class:`Text` (text that knows its place) and Seconds, Bytes,
Share (units).
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from agent.errors import Problem, Problems
from agent.yamlnodes import Node, Scalar, node_of, parse
from agent.yamlunits import parse_bytes, parse_duration, parse_percent

__all__ = [
    "Bytes",
    "Node",
    "Scalar",
    "Seconds",
    "Share",
    "Text",
    "convert",
    "did_you_mean",
    "fill",
    "key_of",
    "load",
    "node_of",
    "parse",
    "parse_bytes",
    "parse_duration",
    "parse_percent",
    "shape",
]

T = TypeVar("T")
Seconds = Annotated[float, parse_duration]
Bytes = Annotated[float, parse_bytes]
Share = Annotated[float, parse_percent]


class Text(str):
    """Text that knows the node it came from, so that later checks can name its place."""

    node: Node
    __slots__ = ("node",)

    @staticmethod
    def of(node: Node) -> Text:
        """The text of a scalar node."""
        text = Text(node.raw)
        text.node = node
        return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` or nothing."""
    import difflib  # needed only when something is wrong

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else ""


def key_of(name: str) -> str:
    """The YAML key of a dataclass field."""
    return name.rstrip("_")


def load(cls: type[T], text: str, file: str) -> T:
    """Parse and fill in one go; raises :class:`agent.errors.Problems` with every mistake of the file."""
    problems: list[Problem] = []
    value = fill(cls, parse(text, file), problems)
    if problems or value is None:
        raise Problems(problems)
    return value


def fill(cls: type[T], node: Node, problems: list[Problem]) -> T | None:
    """Make ``cls`` from a mapping node; mistakes are added to ``problems`` and None comes back if one is fatal. A field whose
    metadata say ``key=False`` is none of the file's."""
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    hints, known, good = shape(cls), {key_of(f.name): f for f in fields if f.metadata.get("key", True)}, True
    if node.kind != "map":
        problems.append(node.problem(f"expected a mapping with {_listing(known)}, got {_said(node)}"))
        return None
    values: dict[str, Any] = {}
    for key, value in node.pairs:
        if key.raw not in known:
            help = did_you_mean(key.raw, known) or _bare_comma(value) or f"known: {_listing(known)}"
            problems.append(key.problem(f"unknown key '{key.raw}'", help))
            continue
        made = _value(hints[key.raw], value, problems)
        good = good and made is not _BAD
        values[known[key.raw].name] = made
    for name, field in known.items():
        if field.name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            problems.append(node.problem(f"'{name}' is missing"))
            good = False
    return cls(**values) if good else None


@cache
def _shape(cls: Any) -> Mapping[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    return {key_of(f.name): hints[f.name] for f in dataclasses.fields(cls)}


def shape(cls: Any) -> Mapping[str, Any]:
    """YAML key → type of a dataclass, in declared order."""
    return _shape(cls)


def convert(kind: Any, node: Node, problems: list[Problem]) -> Any:
    """One value of a type as a field would take it; None, with the reason added to ``problems``, if it does not fit."""
    made = _value(kind, node, problems)
    return None if made is _BAD else made


_BAD: Any = object()


def value_of(kind: Any, node: Node, problems: list[Problem]) -> Any:
    """One value of type ``kind``; None, with the reason added to ``problems``, if the node does not hold one."""
    made = _value(kind, node, problems)
    return None if made is _BAD else made


def _value(kind: Any, node: Node, problems: list[Problem]) -> Any:
    """One value of a field's type, or _BAD with the reason added to ``problems``."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union(args, node, problems)
    if origin is Annotated:
        return _unit(args[1], node, problems)
    if origin is Literal:
        return _word(args, node, problems)
    if kind is Any or kind is Node:
        return node if kind is Node else node.plainly()
    if origin is tuple:
        return _items(args[0], node, problems)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(args[1], node, problems)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        made = fill(kind, node, problems)
        return _BAD if made is None else made
    return _scalar(kind, node, problems)


def _union(args: tuple[Any, ...], node: Node, problems: list[Problem]) -> Any:
    if node.kind == "scalar" and node.value is None and types.NoneType in args:
        return None
    choices = [a for a in args if a is not types.NoneType]
    if set(choices) <= {str, int, float, bool} and len(choices) > 1:
        return node.value if type(node.value) in choices else _wrong("a plain value", node, problems)
    fits = [c for c in choices if (get_origin(c) is tuple) == (node.kind == "list")]
    return _value((fits or choices)[0], node, problems)


def _unit(convert: Callable[[Any], float], node: Node, problems: list[Problem]) -> Any:
    if node.kind != "scalar" or node.value is None:
        return _wrong("a value", node, problems)
    try:
        return convert(node.value)
    except ValueError as error:
        problems.append(node.problem(str(error)))
        return _BAD


def _word(words: Collection[Any], node: Node, problems: list[Problem]) -> Any:
    known = [str(getattr(w, "value", w)) for w in words]
    if node.kind == "scalar" and node.raw in known:
        return list(words)[known.index(node.raw)]
    problems.append(node.problem(f"expected one of {_listing(known)}, got {_said(node)}", did_you_mean(node.raw, known)))
    return _BAD


def _items(kind: Any, node: Node, problems: list[Problem]) -> Any:
    if node.kind != "list":
        return _wrong("a list", node, problems)
    made = [_value(kind, item, problems) for item in node.items]
    return _BAD if any(m is _BAD for m in made) else tuple(made)


def _mapping(kind: Any, node: Node, problems: list[Problem]) -> Any:
    if node.kind != "map":
        return _wrong("a mapping", node, problems)
    made = {Text.of(key): _value(kind, value, problems) for key, value in node.pairs}
    return _BAD if any(m is _BAD for m in made.values()) else made


def _scalar(kind: Any, node: Node, problems: list[Problem]) -> Any:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _word(list(kind), node, problems)
    value = node.value
    if node.kind != "scalar" or value is None:
        return _wrong(_NAMES.get(kind, "a value"), node, problems)
    if kind in (str, Text):
        if isinstance(value, str):
            return Text.of(node) if kind is Text else value
        return _wrong("text", node, problems, "put it in quotes")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value if type(value) is kind else _wrong(_NAMES.get(kind, "a value"), node, problems)


_NAMES: dict[Any, str] = {str: "text", Text: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _wrong(wanted: str, node: Node, problems: list[Problem], help: str = "") -> Any:
    problems.append(node.problem(f"expected {wanted}, got {_said(node)}", help))
    return _BAD


def _said(node: Node) -> str:
    if node.kind != "scalar":
        return {"map": "a mapping", "list": "a list"}[node.kind]
    return "nothing" if node.value is None else f"'{node.raw}'"


def _bare_comma(value: Node) -> str:
    """``{expr: avg(x, 5m) > 1}`` silently becomes two keys, the second without a value."""
    if value.kind == "scalar" and value.end == value.start:
        return "put the text before it in quotes: an unquoted comma ends it"
    return ""


def _listing(words: Iterable[str]) -> str:
    return ", ".join(words)
