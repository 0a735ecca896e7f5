"""Parsed YAML, kept in a file: parsing is most of what reading rules costs, 4 ms a KiB, and they seldom change between starts.

What is kept is data, never code: the nodes of each text with their places, under the hash of the text and of the parser itself.
The file is used only if it is whole (it holds its own hash) and nobody else can write it; else the texts are parsed as ever.
Each text is a string of JSON of its own and becomes nodes when it is asked for: all at once took 8 MiB that never went back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agent import yamlnodes
from agent.yamlnodes import Node, Source, parse, resolve

MAX_BYTES = 16 << 20
MAX_TEXTS = 500
_HASH = 64  # characters of a SHA-256 in hex
_KINDS = {kind: kind for kind in ("map", "list", "scalar")}  # one string each, not one for every node


class YamlCache:
    """Texts parsed before. ``parse`` stands in for :func:`agent.yamlnodes.parse`; ``keep`` writes what was new.

    Without a ``path`` nothing is kept.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._parser = _parser() if path else b""
        self._known: dict[str, str] = _read(path, self._parser) if self._parser else {}
        self._used: dict[str, str] = {}
        self._news = False

    def parse(self, text: str, file: str) -> Node:
        """The nodes of a text. Problems as the parser raises them; a text with a mistake is not kept."""
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        known = self._known.get(key)
        if known is not None:
            with contextlib.suppress(TypeError, ValueError, IndexError, AttributeError, KeyError, RecursionError):
                node = _node(json.loads(known), Source(file, text))
                self._used[key] = known
                return node
        node = parse(text, file)
        self._used[key] = json.dumps(_flat(node), separators=(",", ":"))
        self._news = True
        return node

    def keep(self) -> None:
        """Write the file in one step if something new was parsed. Where that cannot be, the next start parses again."""
        if not self._parser or not self._news:
            return
        rest = [(key, value) for key, value in self._known.items() if key not in self._used]
        kept = dict([*self._used.items(), *rest][:MAX_TEXTS])
        body = json.dumps([self._parser.hex(), kept], separators=(",", ":")).encode()
        part = f"{self._path}.{secrets.token_hex(4)}"
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(hashlib.sha256(body).hexdigest().encode() + body)
            os.rename(part, self._path)
            self._news = False
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(part)


def _parser() -> bytes:
    """What decides how a text is read: our parser and this file, to the byte, and which ruamel. Nothing if that is unknown."""
    try:
        code = b"".join(Path(file).read_bytes() for file in (yamlnodes.__file__, __file__))
        ruamel = find_spec("ruamel.yaml")
        found = os.stat(ruamel.origin if ruamel and ruamel.origin else "")
    except OSError:
        return b""
    return hashlib.sha256(code + f"{found.st_mtime_ns} {found.st_size}".encode()).digest()


def _read(path: str, parser: bytes) -> dict[str, str]:
    """The texts that this very parser has parsed; what another one made of them is of no use."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            raw = file.read(MAX_BYTES) if _ours(os.fstat(fd)) else b""
        if hashlib.sha256(raw[_HASH:]).hexdigest().encode() != raw[:_HASH]:
            return {}
        by, found = json.loads(raw[_HASH:])
    except (OSError, ValueError, TypeError, RecursionError):
        return {}
    return found if by == parser.hex() and isinstance(found, dict) else {}


def _ours(found: os.stat_result) -> bool:
    """A plain file of our own that only we can write."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _flat(node: Node) -> list[Any]:
    head = [node.kind, node.line, node.column, node.start, node.end]
    if node.kind == "map":
        return [*head, [[_flat(key), _flat(value)] for key, value in node.pairs]]
    return [*head, [_flat(item) for item in node.items]] if node.kind == "list" else [*head, node.raw, node.plain]


def _node(flat: list[Any], source: Source) -> Node:
    kind, line, column, start, end, held = flat[:6]
    kind = _KINDS[kind]
    if kind == "scalar":
        plain = flat[6]
        return Node(kind, source, line, column, resolve(held) if plain else held, held, plain, start=start, end=end)
    node = Node(kind, source, line, column, start=start, end=end)
    if kind == "map":
        node.pairs = [(_node(key, source), _node(value, source)) for key, value in held]
    else:
        node.items = [_node(item, source) for item in held]
    return node
