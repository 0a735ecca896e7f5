"""YAML text → nodes that know their place. A strict subset: no anchors, aliases, merge keys, tags or duplicate keys.

Built from the parser's events, so size, depth and node caps hold while parsing and an alias bomb is never expanded.
YAML 1.2: ``on`` and ``1:30`` stay text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from agent.dataclass import dataclass
from agent.errors import Problem, Problems

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 20_000

Scalar = str | int | float | bool | None

_INT = re.compile(r"[-+]?[0-9]+\Z|0x[0-9a-fA-F]+\Z|0o[0-7]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, Scalar] = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
_WORDS |= {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}


@dataclass(frozen=True)
class Source:
    """One file's name and text."""

    file: str
    text: str = field(repr=False)


@dataclass
class Node:
    """One value and its place. Exactly one of ``pairs`` (mapping), ``items`` (list) and ``value`` (scalar) is meant by ``kind``."""

    kind: str
    source: Source
    line: int
    column: int
    value: Scalar = None
    raw: str = ""
    plain: bool = True
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)
    start: int = 0
    end: int = 0

    def problem(self, message: str, help: str = "", offset: int | None = None) -> Problem:
        """A mistake at this node, or at character ``offset`` of its text."""
        line, column = (self.line, self.column) if offset is None else self.place(offset)
        return Problem(self.source.file, line, column, message, help)

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of character ``offset`` of a scalar's text, through quotes and folded lines (escapes: its start)."""
        at = _source_index(self, offset)
        if at is None:
            return self.line, self.column
        text = self.source.text
        return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1

    def get(self, key: str) -> Node | None:
        """The value under ``key`` of a mapping, or None."""
        return next((value for name, value in self.pairs if name.raw == key), None)

    def plainly(self) -> Any:
        """The value as plain Python: dict, list or scalar."""
        if self.kind == "map":
            return {key.raw: value.plainly() for key, value in self.pairs}
        return [item.plainly() for item in self.items] if self.kind == "list" else self.value


def _source_index(node: Node, offset: int) -> int | None:
    """Walk the scalar's text and its source side by side; runs of white space match each other."""
    text, at = node.source.text, node.start
    if text[at : at + 1] in ("'", '"'):
        at += 1
    elif text[at : at + 1] in ("|", ">"):
        at = text.find("\n", at) + 1
    index = 0
    while index < offset or (index < len(node.raw) and not node.raw[index].isspace() and text[at : at + 1].isspace()):
        if index >= len(node.raw) or at >= len(text):
            return None
        if text[at].isspace() and node.raw[index].isspace():
            while index < len(node.raw) and node.raw[index].isspace():
                index += 1
            while at < len(text) and text[at].isspace():
                at += 1
        elif text[at].isspace():
            at += 1
        elif text[at] == node.raw[index]:
            at, index = at + 1, index + 1
        else:
            return None
    return at


def parse(text: str, file: str) -> Node:
    """Parse one document. Raises :class:`agent.errors.Problems` with all that is refused, or with the first syntax error."""
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # 20 ms and 2 MiB: only where there is something to parse

    source = Source(file, text)
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise Problems([Problem(file, 0, 0, f"the file is larger than {MAX_BYTES >> 20} MiB")])
    builder = _quick(source)
    try:
        if builder is None:
            builder = _Builder(source)
            for event in _events(text, pure=True):
                builder.take(event)
    except MarkedYAMLError as error:
        assert builder is not None
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        builder.problems.append(
            Problem(file, line, column, f"not valid YAML: {error.problem or error.context}", _syntax_help(error))
        )
    except (YAMLError, ValueError, RecursionError) as error:
        assert builder is not None
        builder.problems.append(Problem(file, 0, 0, f"not valid YAML: {str(error).splitlines()[0]}"))
    if builder.problems:
        raise Problems(builder.problems)
    return builder.root or Node("scalar", source, 1, 1)


def node_of(value: Any, name: str) -> Node:
    """Plain values as if they had been parsed, but by no parser: that reads the disk at each start."""
    node = Node("scalar", Source(name, ""), 1, 1, plain=not isinstance(value, str))
    if isinstance(value, Mapping):
        node.kind, node.pairs = "map", [(node_of(str(key), name), node_of(held, name)) for key, held in value.items()]
    elif isinstance(value, list | tuple):
        node.kind, node.items = "list", [node_of(held, name) for held in value]
    else:
        node.value, node.raw = value, value if isinstance(value, str) else json.dumps(value)
    return node


def _quick(source: Source) -> _Builder | None:
    """By libyaml, where its binding is there: six times as quick. None for what it refuses: it knows YAML 1.1, and says less."""
    from ruamel.yaml.error import YAMLError

    builder = _Builder(source)
    try:
        for event in _events(source.text, pure=False):
            builder.take(event)
    except (YAMLError, ValueError, RecursionError):
        return None
    return None if builder.problems else builder


def _events(text: str, *, pure: bool) -> Iterator[Any]:
    from ruamel.yaml import YAML

    yield from YAML(typ="safe", pure=pure).parse(text)


def _syntax_help(error: MarkedYAMLError) -> str:
    words = f"{error.problem} {error.context}"
    if "tab" in words or "'\\t'" in words:
        return "indent with spaces"
    if "mapping values" in words or "token" in words:
        return "put the value in quotes if it holds ':' '#' '%' or begins with '*', '&', '!', '>' or '@'"
    return ""


class _Builder:
    """Takes events one by one; keeps the open containers on a stack."""

    def __init__(self, source: Source) -> None:
        from ruamel.yaml import events

        self.source = source
        self._kinds = events
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self._open: list[tuple[Node, list[Node]]] = []
        self._count = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        """One parser event."""
        if isinstance(event, self._kinds.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._refuse(event, "a second document", "keep one document in a file", stop=True)
        elif isinstance(event, self._kinds.NodeEvent):
            self._node(event)
        elif isinstance(event, self._kinds.MappingEndEvent | self._kinds.SequenceEndEvent):
            self._close()

    def _node(self, event: Any) -> None:
        self._count += 1
        if self._count > MAX_NODES or len(self._open) >= MAX_DEPTH:
            what = f"more than {MAX_NODES} values" if self._count > MAX_NODES else f"nested deeper than {MAX_DEPTH} levels"
            self._refuse(event, what, "split the file", stop=True)
        node = self._make(event)
        if isinstance(event, self._kinds.MappingStartEvent | self._kinds.SequenceStartEvent):
            self._open.append((node, []))
        else:
            self._add(node)

    def _make(self, event: Any) -> Node:
        mark = event.start_mark
        node = Node("scalar", self.source, mark.line + 1, mark.column + 1, start=mark.index, end=event.end_mark.index)
        if isinstance(event, self._kinds.AliasEvent):
            self._refuse(event, f"alias *{event.anchor}", "repeat the value, or put the text in quotes")
            return node
        if event.anchor is not None:
            self._refuse(event, f"anchor &{event.anchor}", "repeat the value, or put the text in quotes")
        if event.tag is not None and not (isinstance(event, self._kinds.ScalarEvent) and event.tag == "!"):
            self._refuse(event, f"tag {event.tag}", "write 'not x', not '!x', and put the text in quotes")
        if isinstance(event, self._kinds.ScalarEvent):
            node.plain = event.style in (None, "")
            node.raw = event.value
            node.value = resolve(event.value) if node.plain else event.value
        else:
            node.kind = "map" if isinstance(event, self._kinds.MappingStartEvent) else "list"
        return node

    def _close(self) -> None:
        node, children = self._open.pop()
        if node.kind == "list":
            node.items = children
        else:
            node.pairs = self._pairs(children)
        self._add(node)

    def _pairs(self, children: list[Node]) -> list[tuple[Node, Node]]:
        pairs, seen = [], dict[str, Node]()
        for key, value in zip(children[::2], children[1::2], strict=True):
            if key.kind != "scalar":
                self.problems.append(key.problem("a key must be one word", "put the text in quotes"))
            elif key.raw == "<<" and key.plain:
                self.problems.append(key.problem("merge key '<<' is not allowed", "repeat the values"))
            elif key.raw in seen:
                self.problems.append(key.problem(f"duplicate key '{key.raw}' (first on line {seen[key.raw].line})"))
            else:
                seen[key.raw] = key
                pairs.append((key, value))
        return pairs

    def _add(self, node: Node) -> None:
        if self._open:
            self._open[-1][1].append(node)
        else:
            self.root = node

    def _refuse(self, event: Any, what: str, help: str, stop: bool = False) -> None:
        mark = event.start_mark
        self.problems.append(Problem(self.source.file, mark.line + 1, mark.column + 1, f"{what} is not allowed", help))
        if stop:
            raise Problems(self.problems)


def resolve(text: str) -> Scalar:
    """A plain scalar by YAML 1.2's core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    return float(text) if _FLOAT.match(text) else text
