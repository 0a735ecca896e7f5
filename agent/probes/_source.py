"""Where a source file takes and holds locks, by its syntax alone: nothing is matched by the names a program gives its things."""

from __future__ import annotations

import ast
import functools
import os
import stat
from collections.abc import Iterator
from dataclasses import field

from agent.dataclass import dataclass

LARGEST = 1 << 20
"""Bytes of source that are parsed; generated files beyond it are left alone."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Region:
    """Lines in which a lock is held. ``header`` is where it is taken; ``plain`` is False for ``with something():``.

    ``early``: another lock is taken after it on the same line (``with a, b:`` holds a while it waits for b).
    """

    lock: str
    header: int
    first: int
    last: int
    plain: bool
    early: bool = False


@dataclass
class Scope:
    """One function (or the module's body): its lines, what it takes where, and the regions in which it holds it."""

    first: int
    last: int
    regions: list[Region] = field(default_factory=list)
    takes: list[tuple[int, int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """All scopes of one file."""

    scopes: tuple[Scope, ...]

    def wanted(self, line: int) -> tuple[str, ...]:
        """The locks that are taken on that line."""
        scope = self._scope(line)
        return tuple(lock for first, last, lock in scope.takes if first <= line <= last) if scope else ()

    def held(self, line: int, *, waiting: bool = False) -> tuple[Region, ...]:
        """Regions around that line, outermost first; for a thread that waits on this very line, without what it waits for."""
        scope = self._scope(line)
        if scope is None:
            return ()
        around = [r for r in scope.regions if r.first <= line <= r.last and not (waiting and r.header == line and not r.early)]
        return tuple(sorted(around, key=lambda region: (region.first, -region.last)))

    def _scope(self, line: int) -> Scope | None:
        around = [scope for scope in self.scopes if scope.first <= line <= scope.last]
        return min(around, key=lambda scope: scope.last - scope.first) if around else None


def read(pid: int, file: str) -> Source | None:
    """The source of ``file`` as the target sees it; None if it cannot be read or is not Python."""
    if not file or file.startswith("<"):
        return None
    path = f"/proc/{pid}/root{file}" if file.startswith("/") else f"/proc/{pid}/cwd/{file}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return None
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_size > LARGEST:
            return None
        return analyse(os.read(fd, LARGEST))
    except OSError:
        return None
    finally:
        os.close(fd)


@functools.lru_cache(maxsize=64)
def analyse(text: bytes) -> Source | None:
    """Parse; None for what is not Python of our own version."""
    try:
        tree = ast.parse(text)
        functions = [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)]
        scopes = [_scope(tree, 1, 1 << 30), *(_scope(node, node.lineno, node.end_lineno or node.lineno) for node in functions)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return Source(tuple(scopes))


def _scope(node: ast.AST, first: int, last: int) -> Scope:
    scope = Scope(first, last)
    acquired: list[tuple[str, int]] = []
    released: list[tuple[str, int]] = []
    for inner in _within(node):
        if isinstance(inner, ast.With):
            _with(inner, scope)
        elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr in ("acquire", "release"):
            lock, end = ast.unparse(inner.func.value), inner.end_lineno or inner.lineno
            if inner.func.attr == "release":
                released.append((lock, inner.lineno))
            else:
                acquired.append((lock, end))
                scope.takes.append((inner.lineno, end, lock))
    for lock, at in acquired:
        again = min((line for name, line in acquired if name == lock and line > at), default=1 << 30)
        ends = [line for name, line in released if name == lock and at < line < again]
        scope.regions.append(Region(lock, at, at + 1, max(ends, default=min(last, again - 1)), plain=True))
    return scope


def _with(node: ast.With, scope: Scope) -> None:
    last = node.end_lineno or node.lineno
    for at, item in enumerate(node.items, start=1):
        expression = item.context_expr
        lock, end = ast.unparse(expression), expression.end_lineno or expression.lineno
        scope.takes.append((min(node.lineno, expression.lineno), end, lock))
        plain, early = not isinstance(expression, ast.Call) and item.optional_vars is None, at < len(node.items)
        first = end if early else min(node.body[0].lineno, end + 1)
        scope.regions.append(Region(lock, end, first, last, plain, early))


def _within(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below, without those of functions defined inside."""
    queue = list(ast.iter_child_nodes(node))
    while queue:
        child = queue.pop()
        if not isinstance(child, _FUNCTIONS):
            yield child
            queue.extend(ast.iter_child_nodes(child))
