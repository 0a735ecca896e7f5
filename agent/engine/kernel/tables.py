"""What Xids and kinds of events mean: ``rules/xid.yaml`` and ``rules/kernel_log.yaml``, a site's changes laid over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from typing import Literal, TypeVar

from agent.dataclass import dataclass
from agent.engine.treefile import merged
from agent.errors import Problem, Problems
from agent.yamlfile import Node, Text, did_you_mean, fill, parse

XID_FILE, KIND_FILE = "xid.yaml", "kernel_log.yaml"
FILES = (XID_FILE, KIND_FILE)
"""Names of the files, in ``rules`` and in ``rules.d``."""

Level = Literal["info", "warn", "critical"]
Action = Literal[
    "none", "restart_app", "reset_gpu", "reboot", "restart_vm", "drain", "follow", "workflow", "check", "support"
]  # fmt: skip
File = TypeVar("File")
Texts = tuple[tuple[str, str], ...]
Parse = Callable[[str, str], Node]
MOST_IN_A_RANGE = 1000


@dataclass(frozen=True)
class Xid:
    """One number: ``action`` is what to do at once, ``then`` what to do if it comes again, ``nonfatal`` the level where the
    message itself says Nonfatal. ``source`` says where the facts come from."""

    title: str
    level: Level
    class_: Text
    action: Action
    then: Action | None = None
    nonfatal: Level | None = None
    advice: str = ""
    source: Literal["catalogue", "driver", "disputed", "site"] = "catalogue"


@dataclass(frozen=True)
class Kind:
    """One kind of event; ``by`` gives its level by the value of a field (``by: {severity: {fatal: critical}}``)."""

    title: str
    level: Level
    by: Mapping[str, Mapping[str, Level]] = field(default_factory=dict)
    advice: str = ""


@dataclass(frozen=True)
class Sxid:
    """One number of an NVSwitch; the word in the message goes before this level."""

    title: str
    level: Level


@dataclass(frozen=True)
class _XidFile:
    classes: Mapping[str, str]
    default: Xid
    xids: Mapping[Text, Xid]


@dataclass(frozen=True)
class _KindFile:
    kinds: Mapping[str, Kind]
    sxids: Mapping[Text, Sxid]


@dataclass(frozen=True)
class Tables:
    """Everything the two files say. ``xid`` answers for numbers that are not listed too."""

    classes: Mapping[str, str]
    default: Xid
    xids: Mapping[int, Xid]
    kinds: Mapping[str, Kind]
    sxids: Mapping[int, Sxid]

    def xid(self, number: int) -> Xid:
        """What a number means; the default where it is not listed."""
        return self.xids.get(number, self.default)

    def level(self, kind: str, fields: Mapping[str, object]) -> str:
        """How much an event matters: info, warn or critical."""
        if kind == "xid":
            return self._xid_level(fields)
        entry = self.kinds.get(kind)
        if entry is None:
            return "warn"
        if kind == "sxid" and fields.get("fatal") is None and isinstance(number := fields.get("sxid"), int):
            known = self.sxids.get(number)
            return known.level if known else entry.level
        found = [levels.get(str(fields.get(name)).lower()) for name, levels in entry.by.items()]
        return next((level for level in found if level), entry.level)

    def _xid_level(self, fields: Mapping[str, object]) -> str:
        number = fields.get("xid")
        entry = self.xid(number if isinstance(number, int) else -1)
        return entry.nonfatal if entry.nonfatal and fields.get("severity_word") == "Nonfatal" else entry.level


_kept: dict[Texts, Tables] = {}


def load_tables(base: Mapping[str, str], overlay: Mapping[str, str] | None = None, read: Parse = parse) -> Tables:
    """The tables from texts by path, with the site's laid over, number by number and key by key.

    Raises :class:`agent.errors.Problems` with every mistake of every file. ``read`` makes nodes of a text. The last tables are
    kept, for reading YAML takes a tenth of a second and the texts seldom change.
    """
    texts = (*base.items(), *(overlay or {}).items())
    if texts not in _kept:
        made = _loaded(texts, read)
        _kept.clear()
        _kept[texts] = made
    return _kept[texts]


def _loaded(texts: Texts, read: Parse) -> Tables:
    problems: list[Problem] = []
    nodes = {name: _node(name, texts, read, problems) for name in FILES}
    xids, kinds = _filled(_XidFile, nodes[XID_FILE], problems), _filled(_KindFile, nodes[KIND_FILE], problems)
    if xids is not None:
        _classes_known(xids, problems)
    if problems or xids is None or kinds is None:
        raise Problems(problems)
    by_xid = {int(key): entry for key, entry in xids.xids.items()}
    return Tables(xids.classes, xids.default, by_xid, kinds.kinds, {int(key): entry for key, entry in kinds.sxids.items()})


def _classes_known(xids: _XidFile, problems: list[Problem]) -> None:
    for entry in (xids.default, *xids.xids.values()):
        if entry.class_ not in xids.classes:
            wrong = entry.class_.node
            help = did_you_mean(wrong.raw, xids.classes) or f"known: {', '.join(xids.classes)}"
            problems.append(wrong.problem(f"unknown class '{wrong.raw}'", help))


def _node(name: str, texts: Texts, read: Parse, problems: list[Problem]) -> Node | None:
    found: Node | None = None
    for path, text in texts:
        if path.rpartition("/")[2] != name:
            continue
        try:
            node = read(text, path)
        except Problems as wrong:
            problems += wrong.problems
            continue
        for key, value in node.pairs:
            if key.raw in ("xids", "sxids") and value.kind == "map":
                value.pairs = list(_one_by_one(value, problems))
        found = node if found is None else merged(found, node)
    return found


def _one_by_one(entries: Node, problems: list[Problem]) -> Iterator[tuple[Node, Node]]:
    """``39-41 85`` as four keys."""
    for key, value in entries.pairs:
        for part in key.raw.split():
            first, dash, last = part.partition("-")
            if not (first.isascii() and first.isdigit() and (not dash or (last.isascii() and last.isdigit()))):
                problems.append(
                    key.problem(f"'{part}' is not a number", "numbers as the driver prints them, or ranges such as 39-41")
                )
                continue
            for number in range(int(first), min(int(last or first), int(first) + MOST_IN_A_RANGE) + 1):
                yield replace(key, raw=str(number), value=number), value


def _filled(cls: type[File], node: Node | None, problems: list[Problem]) -> File | None:
    return fill(cls, node, problems) if node is not None else None
