"""Importing one half of a package: its own ``__init__`` runs when a name of it is first asked for, not before.

aiohttp's imports its whole client, with the machine's certificates: half of what ``aiohttp.web`` costs a start (0.1 s, 4 MiB),
and the agent only serves. Everything else stays as it is: ``aiohttp.ClientSession`` is there for whoever asks.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, TypeVarTuple

from agent.host import spare

_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)


def lean(name: str, part: str) -> None:
    """Import the module ``part`` of package ``name`` and what it needs; nothing changes if the package is there already."""
    if name not in sys.modules:
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            sys.modules[name] = _package(spec)
    importlib.import_module(f"{name}.{part}")


def _type_variable(make: Any) -> Any:
    """As typing_extensions has it, but for the default, which only type checkers heed."""
    return lambda name, *bounds, default=None, **values: make(name, *bounds, **values)


_STAND_INS: dict[str, dict[str, Any]] = {
    "urllib.request": spare.called("urllib.request", "getproxies", "proxy_bypass"),
    "argparse": spare.called("argparse", "ArgumentParser"),
    "html": spare.called("html", "escape"),
    "typing_extensions": {"TypeVar": _type_variable(TypeVar), "TypeVarTuple": _type_variable(TypeVarTuple)},
}
"""What clients, command lines and pages about errors call; and what Pythons before 3.13 lack of typing."""


def lean_web() -> None:
    """The served half of aiohttp, without what only its other half calls: TLS if that waits to be asked for, the proxies of a
    client, a command line of its own, and the machine's types of files (it sends none)."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(spare.instead(_STAND_INS))
        stack.enter_context(_no_types())
        if spare.waiting("ssl"):
            stack.enter_context(spare.without("ssl"))
        lean("aiohttp", "web")


@contextlib.contextmanager
def _no_types() -> Iterator[None]:
    """mimetypes reads tables of the machine when it is first used: not in here, but again afterwards."""
    import mimetypes

    if mimetypes.inited:
        yield
        return
    mimetypes.init([])
    try:
        yield
    finally:
        mimetypes.inited = False


def _package(spec: ModuleSpec) -> ModuleType:
    package = module_from_spec(spec)

    def missing(wanted: str) -> Any:
        """A module of the package, or one of the names that its ``__init__`` makes."""
        if wanted == "__version__":
            return _version(spec)
        if wanted.startswith("__"):
            raise AttributeError(wanted)
        if find_spec(f"{spec.name}.{wanted}") is not None:
            return importlib.import_module(f"{spec.name}.{wanted}")
        del package.__dict__["__getattr__"]
        assert spec.loader is not None
        spec.loader.exec_module(package)
        return getattr(package, wanted)

    package.__dict__["__getattr__"] = missing
    return package


def _version(spec: ModuleSpec) -> str:
    """As the source of its ``__init__`` says."""
    found = _VERSION.search(Path(spec.origin or "").read_text(encoding="utf-8"))
    return found[1] if found else "unknown"
