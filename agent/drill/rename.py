"""Gives a small Python program new names without changing what it does.

A diagnosis must not change when every identifier of a program does; this makes such a twin, for drills that cannot be learnt
by heart. It is conservative: whatever could also belong to a library (an attribute of a built-in type, a method of a class
with a foreign base, a keyword of a foreign function) keeps its name.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import collections
import io
import keyword
import re
import socket
import sys
import threading
from collections.abc import Iterable, Mapping
from random import Random

from agent.dataclass import dataclass
from agent.drill.words import Words

_LIBRARY_TYPES: tuple[type, ...] = (
    *(str, bytes, bytearray, memoryview, int, float, list, tuple, dict, set, collections.deque, io.BytesIO, io.StringIO, io.FileIO),
    *(socket.socket, threading.Thread, threading.Event, asyncio.Task, asyncio.Queue, asyncio.StreamWriter),
)
_FOREIGN = {name for kind in _LIBRARY_TYPES for name in dir(kind)}
_KEPT = set(dir(builtins)) | set(keyword.kwlist) | {"self", "cls", "_"}
_REFERENCE = re.compile(r"(\w+)(\.py|:\w+)")


@dataclass(frozen=True)
class Names:
    """Old name → new name: of files (without ``.py``), of variables, functions and classes, and of attributes.

    ``modules`` are the new names of the program's own files that it imports.
    """

    stems: Mapping[str, str]
    names: Mapping[str, str]
    attributes: Mapping[str, str]
    modules: frozenset[str] = frozenset()

    def function(self, old: str) -> str:
        """The new name of a function or method, ``Class.method`` too."""
        return ".".join(self.attributes.get(part) or self.names.get(part, part) for part in old.split("."))

    def file(self, old: str) -> str:
        """The new name of a file that may have folders before it."""
        head, slash, last = old.rpartition("/")
        stem = last.removesuffix(".py")
        return head + slash + last.replace(stem, self.stems.get(stem, stem), 1)

    def text(self, said: str) -> str:
        """A string such as ``store.py`` or ``store:application`` that names a file or what is in it."""
        found = _REFERENCE.fullmatch(said)
        if not found or found[1] not in self.stems:
            return said
        rest = found[2] if found[2] == ".py" else ":" + self.names.get(found[2][1:], found[2][1:])
        return self.stems[found[1]] + rest


def choose_names(trees: Mapping[str, ast.Module], rng: Random) -> Names:
    """New names for everything that the program's own files define. ``trees`` by file name without ``.py``."""
    own = set(trees)
    defined = _Defined(own)
    for tree in trees.values():
        defined.visit(tree)
    variables = defined.variables - _KEPT - (defined.imported - own) - defined.fields - own
    methods = {name for name in defined.attributes - _FOREIGN - defined.foreign_attributes if not name.startswith("__")}
    used = variables | methods | defined.imported | _KEPT | _FOREIGN | set(sys.stdlib_module_names)
    words = Words(rng, used)
    plain = sorted(name for name in variables if not name.startswith("__"))
    stems = {stem: words.like(stem) for stem in sorted(own)}
    names = {name: words.like(name, callable_=name in defined.callables) for name in plain}
    attributes = {name: words.like(name, callable_=name in defined.callables) for name in sorted(methods)}
    return Names(stems, {**names, **stems}, attributes, frozenset(stems[stem] for stem in own & defined.imported))


def apply_names(tree: ast.Module, names: Names) -> ast.Module:
    """The same tree with the new names, in place."""
    _Apply(names).visit(tree)
    return ast.fix_missing_locations(tree)


class _Defined(ast.NodeVisitor):
    """Collects what the program defines and what it takes from elsewhere."""

    def __init__(self, own: set[str]) -> None:
        self._own = own
        self.variables: set[str] = set()
        self.callables: set[str] = set()
        self.attributes: set[str] = set()
        self.foreign_attributes: set[str] = set()
        self.fields: set[str] = set()
        self.imported: set[str] = set()
        self._classes: set[str] = set()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """A class: its methods and attributes are ours only if its bases are."""
        self.variables.add(node.name)
        self._classes.add(node.name)
        ours = all(isinstance(base, ast.Name) and base.id in self._classes for base in node.bases)
        found = {item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
        self.callables |= found
        stored = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) and _is_self(n)}
        (self.attributes if ours else self.foreign_attributes).update(found | stored)
        self.fields |= {target.id for item in node.body for target in _targets(item)}
        for item in node.body:
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                self._arguments(item)
                for inner in item.body:
                    self.visit(inner)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """A function, its arguments and what is in it."""
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """The same for a coroutine function."""
        self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Arguments of a lambda."""
        self.variables |= {argument.arg for argument in _all_arguments(node.args)}
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        """A variable that is given a value."""
        if isinstance(node.ctx, ast.Store):
            self.variables.add(node.id)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """``except ... as name``."""
        if node.name:
            self.variables.add(node.name)
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """What comes from another file of the program is not foreign."""
        if node.module not in self._own:
            self.generic_visit(node)

    def visit_alias(self, node: ast.alias) -> None:
        """An imported name."""
        self.imported.add((node.asname or node.name).split(".")[0])

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.variables.add(node.name)
        self.callables.add(node.name)
        self._arguments(node)
        self.generic_visit(node)

    def _arguments(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.variables |= {argument.arg for argument in _all_arguments(node.args)}


class _Apply(ast.NodeTransformer):
    """Puts the new names in place of the old ones."""

    def __init__(self, names: Names) -> None:
        self._n = names

    def visit(self, node: ast.AST) -> ast.AST:
        """Children first, then the node's own name."""
        if isinstance(node, ast.ClassDef):
            self._methods(node)
        elif isinstance(node, ast.Call):
            self._keywords(node)
        self.generic_visit(node)
        self._rename(node)
        return node

    def _rename(self, node: ast.AST) -> None:
        names = self._n.names
        match node:
            case ast.Name():
                node.id = names.get(node.id, node.id)
            case ast.FunctionDef() | ast.AsyncFunctionDef() if not getattr(node, "is_method", False):
                node.name = names.get(node.name, node.name)
            case ast.ClassDef():
                node.name = names.get(node.name, node.name)
            case ast.arg():
                node.arg = names.get(node.arg, node.arg)
            case ast.ExceptHandler(name=str()):
                node.name = names.get(node.name or "", node.name)
            case ast.Global() | ast.Nonlocal():
                node.names = [names.get(name, name) for name in node.names]
            case ast.Attribute():
                node.attr = self._attribute(node)
            case ast.ImportFrom(module=str() as module) if module in self._n.stems:
                node.module = self._n.stems[module]
                for alias in node.names:
                    alias.name = names.get(alias.name, alias.name)
            case ast.Import():
                for alias in node.names:
                    alias.name = self._n.stems.get(alias.name, alias.name)
            case ast.Constant(value=str() as said):
                node.value = self._n.text(said)

    def _attribute(self, node: ast.Attribute) -> str:
        if isinstance(node.value, ast.Name) and node.value.id in self._n.modules:
            return self._n.names.get(node.attr, node.attr)
        return self._n.attributes.get(node.attr, node.attr)

    def _methods(self, node: ast.ClassDef) -> None:
        for item in node.body:
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                item.is_method = True  # type: ignore[union-attr]
                item.name = self._n.attributes.get(item.name, item.name)

    def _keywords(self, node: ast.Call) -> None:
        """Keywords of our own functions and methods only; others belong to a library."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in self._n.attributes or name in self._n.names:
            for word in node.keywords:
                word.arg = self._n.names.get(word.arg or "", word.arg)


def _is_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def _targets(item: ast.stmt) -> Iterable[ast.Name]:
    found = item.targets if isinstance(item, ast.Assign) else [item.target] if isinstance(item, ast.AnnAssign) else []
    return [target for target in found if isinstance(target, ast.Name)]


def _all_arguments(arguments: ast.arguments) -> list[ast.arg]:
    extra = [one for one in (arguments.vararg, arguments.kwarg) if one]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]
