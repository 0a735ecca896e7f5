"""Makes variants of a case: other names and files, harmless company for the guilty line, other rates, threads, interpreters.

Variant 0 is the case as written. A template marks the guilty line with ``# <- culprit`` (a reminder for its author; the line in
``case.yaml`` counts) and a place that is passed often with ``# <- also``; both comments are gone from what is run.
"""

from __future__ import annotations

import ast
import random
import re
import shutil
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from agent.dataclass import dataclass
from agent.drill.case import FILE, Case, Wanted
from agent.drill.placeholders import filled
from agent.drill.rename import Names, apply_names, choose_names

_MARK = re.compile(r"[ \t]*# <- (culprit|also)[ \t]*$", re.MULTILINE)
_ALSO = re.compile(r"# <- also[ \t]*$")

_COMPANY = (
    """
LAST_PARCELS = [bytes(1500) for _ in range(256)]
def note_parcel():
    LAST_PARCELS.append(bytes(1500))
    del LAST_PARCELS[0]
""",
    """
def order_shelves():
    rows = [(row * 7919) % 1009 for row in range(120)]
    rows.sort()
    return rows[:3]
""",
    """
BADGES = {}
def stamp_badge():
    if len(BADGES) >= 300:
        BADGES.clear()
    BADGES[len(BADGES)] = str(len(BADGES)) * 40
""",
)
"""Innocent allocation and computation sites: a full ring, temporaries, a dict that is emptied. Microseconds and kilobytes each."""


@dataclass(frozen=True)
class Variant:
    """A case ready to be run: its folder is a private copy. ``python`` is ``""`` for the usual interpreter."""

    case: Case
    number: int
    python: str = ""
    background: str = "none"

    def describe(self) -> str:
        """What was drawn, for a reader who wants to repeat it."""
        if not self.number:
            return ""
        settings = [f"{key}={value}" for key, value in sorted(self.case.env.items())]
        return ", ".join([self.python or "usual interpreter", f"background {self.background}", *settings])


def make_variant(case: Case, number: int, folder: Path, pythons: Collection[str] = ()) -> Variant:
    """Copy the case into ``folder`` (which must not exist) and vary it by ``number``; the same number gives the same variant."""
    shutil.copytree(case.folder, folder, ignore=shutil.ignore_patterns("__pycache__", FILE))
    rng = random.Random(f"{case.id}:{number}")
    if not number:
        _strip_marks(folder)
        return Variant(filled(replace(case, folder=folder)), 0)
    env = {**case.env, **{key: rng.choice(values) for key, values in sorted(case.vary.env.items())}}
    python = _pick(rng, [name for name in case.vary.python if name in pythons])
    background = _pick(rng, case.vary.background) or "none"
    varied = filled(replace(case, folder=folder, env=env))
    if case.vary.names:
        varied = _rewrite(varied, rng)
    else:
        _strip_marks(folder)
    return Variant(varied, number, python, background)


def _pick(rng: random.Random, choices: Sequence[str]) -> str:
    return rng.choice(choices) if choices else ""


def _strip_marks(folder: Path) -> None:
    for path in folder.rglob("*.py"):
        path.write_text(_MARK.sub("", path.read_text("utf-8")), "utf-8")


def _rewrite(case: Case, rng: random.Random) -> Case:
    """New names and harmless company in every Python file; what the case expects follows."""
    sources = {path.stem: path.read_text("utf-8") for path in sorted(case.folder.glob("*.py"))}
    trees = {stem: ast.parse(source) for stem, source in sources.items()}
    marked = {
        (stem, wanted.line): _statement(trees[stem], wanted.line)
        for wanted in (case.expect.culprits if case.expect else ())
        for stem in _stems_of(wanted, trees)
        if wanted.line is not None
    }
    for stem, tree in trees.items():
        _add_company(tree, sources[stem], rng)
    names = choose_names(trees, rng)
    lines: dict[tuple[str, int | None], int] = {}
    for stem, tree in trees.items():
        (case.folder / f"{stem}.py").unlink()
        text = ast.unparse(apply_names(tree, names)) + "\n"
        (case.folder / f"{names.stems[stem]}.py").write_text(text, "utf-8")
        order = {id(node): place for place, node in enumerate(_statements(tree))}
        again = _statements(ast.parse(text))
        lines |= {key: again[order[id(node)]].lineno for key, node in marked.items() if key[0] == stem}
    return _follow(case, names, lines)


def _follow(case: Case, names: Names, lines: dict[tuple[str, int | None], int]) -> Case:
    start = tuple(names.text(word) for word in case.start)
    if case.expect is None:
        return replace(case, start=start)

    def moved(wanted: Wanted) -> Wanted:
        stem = Path(wanted.file).stem if wanted.file else ""
        return replace(
            wanted,
            file=names.file(wanted.file) if wanted.file else None,
            function=names.function(wanted.function) if wanted.function else None,
            line=lines.get((stem, wanted.line), wanted.line),
        )

    return replace(case, start=start, expect=replace(case.expect, culprits=tuple(map(moved, case.expect.culprits))))


def _stems_of(wanted: Wanted, trees: Collection[str]) -> list[str]:
    return [stem for stem in trees if wanted.file and Path(wanted.file).stem == stem]


def _statements(tree: ast.AST) -> list[ast.stmt]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]


def _statement(tree: ast.AST, line: int) -> ast.stmt:
    """The innermost statement that covers a line."""
    covering = [node for node in _statements(tree) if node.lineno <= line <= (node.end_lineno or node.lineno)]
    if not covering:
        raise ValueError(f"no statement on line {line}")
    return min(covering, key=lambda node: ((node.end_lineno or node.lineno) - node.lineno, -node.lineno))


def _add_company(tree: ast.Module, source: str, rng: random.Random) -> None:
    """Put one or two innocent functions behind the imports, and calls of them before the statements marked ``also``."""
    places = [_statement(tree, number) for number, line in enumerate(source.splitlines(), 1) if _ALSO.search(line)]
    if not places:
        return
    chosen = [ast.parse(text) for text in rng.sample(_COMPANY, rng.randint(1, 2))]
    for place in places:
        body = next(body for body in _bodies(tree) if place in body)
        calls = [ast.parse(f"{_function_of(module)}()").body[0] for module in chosen]
        body[body.index(place) : body.index(place)] = calls
    head = 1 + max((at for at, node in enumerate(tree.body) if isinstance(node, ast.Import | ast.ImportFrom)), default=-1)
    tree.body[head:head] = [node for module in chosen for node in module.body]


def _function_of(module: ast.Module) -> str:
    return next(node.name for node in module.body if isinstance(node, ast.FunctionDef))


def _bodies(tree: ast.AST) -> list[list[ast.stmt]]:
    found = [getattr(node, field, None) for node in ast.walk(tree) for field in ("body", "orelse", "finalbody")]
    return [body for body in found if isinstance(body, list)]
