"""Modules that a daemon's imports ask for and the daemon never, or hardly ever, uses: here they come when something asks for them.

OpenSSL is the largest: asyncio and hashlib load it with 5 MiB, for TLS that an agent without https receivers never speaks and for
hashes that Python has itself. Everything stays there for whoever asks: the first look at a name of a module brings all of it.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

_HASHES = (("_md5", "_sha1", "_sha256", "_sha512", "_sha3", "_blake2"), ("_md5", "_sha1", "_sha2", "_sha3", "_blake2"))
_RARE = ("shutil", "attr.validators")
"""Imported by others for work that a running agent has seldom or never: files to move, checked classes."""
_FIPS = Path("/proc/sys/crypto/fips_enabled")
_waiting: set[str] = set()
_loading = threading.RLock()


class SSLSocket:
    """For ``isinstance`` as long as there is no ssl, and so no socket of it: asyncio asks that of each socket it connects."""


def openssl() -> None:
    """Do without OpenSSL until TLS is spoken. Before asyncio and hashlib are imported; where they are, nothing changes."""
    if "hashlib" not in sys.modules and not _fips() and any(all(map(find_spec, names)) for names in _HASHES):
        with without("_hashlib"):
            importlib.import_module("hashlib")
            importlib.import_module("hmac")
    if "asyncio" not in sys.modules:
        later("ssl", SSLSocket=SSLSocket)
        later("asyncio.sslproto")


def rare() -> None:
    """Do without what libraries import for rare work: together 0.6 MiB."""
    for name in _RARE:
        later(name)


def later(name: str, **until: Any) -> None:
    """Import a module when a name of it is first asked for that is not among ``until``. A module that is there stays as it is."""
    spec = None if name in sys.modules else _spec(name)
    if spec is None or spec.loader is None:
        return
    module, loader = module_from_spec(spec), spec.loader

    def missing(wanted: str) -> Any:
        """All of the module, once; threads that ask meanwhile wait for it."""
        if wanted.startswith("__"):
            raise AttributeError(wanted)
        with _loading:
            if name in _waiting:
                _waiting.discard(name)  # a module may look at itself while it is made
                try:
                    loader.exec_module(module)
                except BaseException:
                    _waiting.add(name)
                    raise
                del module.__dict__["__getattr__"]
        try:
            return module.__dict__[wanted]
        except KeyError:
            raise AttributeError(f"module '{name}' has no attribute '{wanted}'") from None

    module.__dict__.update(until, __getattr__=missing)
    _waiting.add(name)
    sys.modules[name] = module


def waiting(name: str) -> bool:
    """Whether nobody asked for this one yet."""
    return name in _waiting


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Whatever the block imports finds none of these, as on a machine without them. Those that are loaded stay."""
    before = {name: sys.modules.get(name) for name in names if name not in sys.modules or name in _waiting}
    sys.modules.update(dict.fromkeys(before))  # type: ignore[arg-type]
    try:
        yield
    finally:
        _restore(before)


@contextlib.contextmanager
def instead(stand_ins: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Whatever the block imports gets stand-ins for these names of these modules; another name brings the module itself."""
    before: dict[str, ModuleType | None] = {name: None for name in stand_ins if name not in sys.modules}
    for name in before:
        module = ModuleType(name)
        module.__dict__.update(stand_ins[name], __getattr__=_real(name))
        sys.modules[name] = module
    try:
        yield
    finally:
        _restore(before)


def called(module: str, *functions: str) -> dict[str, Any]:
    """Stand-ins for functions of a module; one that is called brings it."""
    return {function: _stand_in(module, function) for function in functions}


def _stand_in(module: str, function: str) -> Any:
    def stand_in(*args: Any, **values: Any) -> Any:
        return getattr(importlib.import_module(module), function)(*args, **values)

    stand_in.__name__ = stand_in.__qualname__ = function
    return stand_in


def _real(module: str) -> Any:
    def other(wanted: str) -> Any:
        if wanted.startswith("__"):
            raise AttributeError(wanted)
        stand_in = sys.modules.pop(module, None)
        try:
            return getattr(importlib.import_module(module), wanted)
        finally:
            if stand_in is not None:
                sys.modules[module] = stand_in

    return other


def _restore(before: dict[str, ModuleType | None]) -> None:
    for name, module in before.items():
        if module is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = module


def _spec(name: str) -> ModuleSpec | None:
    """Where a module is, its package not being imported."""
    package, _, _ = name.rpartition(".")
    if not package:
        return find_spec(name)
    found = find_spec(package)
    return None if found is None else PathFinder.find_spec(name, found.submodule_search_locations)


def _fips() -> bool:
    """Whether this host wants no hashes but OpenSSL's."""
    try:
        return _FIPS.read_bytes().strip() == b"1"
    except OSError:
        return False
