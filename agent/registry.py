"""Plug-ins of a folder: the file name is the plug-in's name everywhere. One broken file is reported, not fatal."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

from agent.dataclass import dataclass


@dataclass(frozen=True)
class Broken:
    """A plug-in that could not be imported, and why."""

    name: str
    why: str


def names(package: ModuleType) -> list[str]:
    """Plug-in names of a package, sorted; files that start with an underscore are shared helpers, not plug-ins."""
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def load(package: ModuleType, attribute: str) -> tuple[dict[str, Callable[..., Any]], list[Broken]]:
    """Import every plug-in of ``package`` and return its ``attribute`` (``Collector``, ``Probe`` …) by name, and what broke."""
    found: dict[str, Callable[..., Any]] = {}
    broken: list[Broken] = []
    for name in names(package):
        try:
            found[name] = getattr(importlib.import_module(f"{package.__name__}.{name}"), attribute)
        except Exception as error:  # a plug-in may fail in any way; the others must still run
            broken.append(Broken(name, f"{type(error).__name__}: {error}"))
    return found, broken
