"""``case.yaml`` to :class:`Case`: strict, with every mistake of every file at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from agent.dataclass import dataclass
from agent.drill.case import FILE, Case, Expect, Vary, Wanted
from agent.errors import Problem, Problems, UsageError
from agent.yamlfile import Node, Scalar, did_you_mean, fill, parse, parse_duration

_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class _Culprit:
    kind: str | None = None
    name: str | None = None
    file: str | None = None
    function: str | None = None
    line: int | None = None
    within: int = 0
    pid: Literal["printed"] | None = None
    uuid: str | None = None
    pci: str | None = None
    any_of: tuple[_Culprit, ...] = ()

    def wanted(self) -> list[Wanted]:
        """This culprit if it asks for anything, and its alternatives."""
        others = [wanted for one in self.any_of for wanted in one.wanted()]
        place = (self.kind, self.name, self.file, self.function, self.line, self.within)
        own = Wanted(*place, self.pid == "printed", self.uuid, self.pci)
        return others if others and own == Wanted() else [own, *others]


@dataclass(frozen=True)
class _Either:
    """One item of ``expect.any_of``: another cause with its culprit, or another culprit."""

    cause: str | None = None
    culprit: _Culprit | None = None
    kind: str | None = None
    name: str | None = None
    file: str | None = None
    function: str | None = None
    line: int | None = None
    within: int = 0

    def wanted(self) -> list[Wanted]:
        """The culprit it stands for, however it is written."""
        own = Wanted(self.kind, self.name, self.file, self.function, self.line, self.within)
        return ([] if own == Wanted() else [own]) + (self.culprit.wanted() if self.culprit else [])


@dataclass(frozen=True)
class _Expect:
    cause: str | None = None
    accept: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    culprit: _Culprit | None = None
    any_of: tuple[_Either, ...] = ()


@dataclass(frozen=True)
class _Vary:
    env: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)
    python: tuple[str, ...] = ()
    background: tuple[Literal["none", "compile"], ...] = ("none",)
    names: bool = True


@dataclass(frozen=True)
class _File:
    id: str
    start: tuple[Scalar, ...]
    tree: str = ""
    title: str = ""
    env: Mapping[str, Scalar] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    target: str = "child"
    for_: str | int | float = "15s"
    sim: Mapping[str, Any] = field(default_factory=dict)
    kernel_log: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    expect: _Expect | None = None
    control: bool = False
    vary: _Vary = _Vary()


def read_cases(folder: Path, ids: Sequence[str] = ()) -> tuple[Case, ...]:
    """Every case below ``folder`` (or only ``ids``), sorted by id; Problems for mistakes, UsageError for an unknown id."""
    files = [folder / FILE] if (folder / FILE).is_file() else sorted(folder.glob(f"*/{FILE}"))
    if not files:
        raise UsageError(f"no cases in {folder}", help=f"a case is a folder with a {FILE}")
    problems: list[Problem] = []
    cases = [case for path in files if (case := _read(path, problems)) is not None]
    if problems:
        raise Problems(problems)
    known = {case.id: case for case in cases}
    for unknown in [name for name in ids if name not in known]:
        raise UsageError(f"no case '{unknown}'", help=did_you_mean(unknown, known) or f"there are: {', '.join(sorted(known))}")
    return tuple(known[name] for name in (dict.fromkeys(ids) if ids else sorted(known)))


def _read(path: Path, problems: list[Problem]) -> Case | None:
    try:
        node = parse(path.read_text("utf-8"), str(path))
    except Problems as found:
        problems.extend(found.problems)
        return None
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(str(path), 0, 0, f"cannot be read: {error}"))
        return None
    before = len(problems)
    said = fill(_File, node, problems)
    if said is not None:
        problems.extend(_contradictions(said, node))
    return _case(said, path.parent) if said is not None and len(problems) == before else None


def _contradictions(said: _File, node: Node) -> list[Problem]:
    """What the shape alone does not show."""
    found = []
    if not _ID.fullmatch(said.id):
        found.append(_at(node, "id").problem(f"'{said.id}' is no id", "use small letters, digits and '-'"))
    if not said.start:
        found.append(_at(node, "start").problem("'start' is empty", 'such as ["{python}", "workload.py"]'))
    if not said.control and (said.expect is None or not said.expect.cause):
        found.append(_at(node, "expect").problem("no cause is expected", "add expect: {cause: ...}, or control: true"))
    if _target(said.target) is None:
        help = "child, host, or printed (the workload prints a line TARGET <pid>)"
        found.append(_at(node, "target").problem(f"'target' cannot be '{said.target}'", help))
    try:
        parse_duration(said.for_)
    except ValueError as error:
        found.append(_at(node, "for").problem(str(error)))
    return found


def _at(node: Node, key: str) -> Node:
    return node.get(key) or node


def _target(said: str) -> str | None:
    """``child``, ``host``, or any wording of "the pid it prints" (``TARGET <pid>``, ``printed``, ``pid``)."""
    if said in ("child", "host"):
        return said
    return "printed" if said in ("printed", "pid") or said.upper().startswith("TARGET") else None


def _case(said: _File, folder: Path) -> Case:
    vary = Vary({str(k): tuple(map(str, v)) for k, v in said.vary.env.items()}, *_drawn(said.vary))
    return Case(
        id=said.id,
        tree=said.tree,
        title=said.title,
        start=tuple(map(str, said.start)),
        folder=folder,
        env={str(key): str(value) for key, value in said.env.items()},
        needs=said.needs,
        packages=said.packages,
        target=_target(said.target) or "child",
        for_=f"{said.for_:g}s" if isinstance(said.for_, int | float) else said.for_,
        sim={str(key): value for key, value in said.sim.items()},
        kernel_log=said.kernel_log,
        config={str(key): value for key, value in said.config.items()},
        expect=None if said.control or said.expect is None else _expect(said.expect),
        control=said.control,
        vary=vary,
    )


def _drawn(vary: _Vary) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    return vary.python, tuple(vary.background), vary.names


def _expect(said: _Expect) -> Expect:
    others = [one.cause for one in said.any_of if one.cause]
    culprits = said.culprit.wanted() if said.culprit else []
    culprits += [wanted for one in said.any_of for wanted in one.wanted()]
    return Expect(said.cause or "", (*said.accept, *others), said.also, tuple(culprits))
