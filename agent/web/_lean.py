"""Importing one half of a package: its own ``__init__`` runs when a name of it is first asked for, not before.

aiohttp's imports its whole client, with the machine's certificates: half of what ``aiohttp.web`` costs a start (0.1 s, 4 MiB),
and the agent only serves. Everything else stays as it is: ``aiohttp.ClientSession`` is there for whoever asks.
"""

from __future__ import annotations

import importlib
import re
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)


def lean(name: str, part: str) -> None:
    """Import the module ``part`` of package ``name`` and what it needs; nothing changes if the package is there already."""
    if name not in sys.modules:
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            sys.modules[name] = _package(spec)
    importlib.import_module(f"{name}.{part}")


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
