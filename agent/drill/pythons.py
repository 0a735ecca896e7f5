"""Interpreters for patients: the ones at hand, each in a small environment of its own that has nothing of the agent's.

An environment is made once per interpreter and set of packages and is kept in the user's cache folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from agent.errors import Unavailable
from agent.host.lane import aside
from agent.host.run import run

MINORS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
_ASK = "import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix)"
_INSTALL_S = 180.0


async def find_pythons() -> Mapping[str, str]:
    """``py3.9`` → path, for every CPython at hand that starts; looks beside our own base interpreter, at pyenv and on PATH."""
    found: dict[str, str] = {}
    for minor in MINORS:
        for path in await aside(partial(_candidates, minor)):
            if await _is_base(path, minor):
                found[f"py{minor}"] = path
                break
    return found


def base_python() -> str:
    """The interpreter behind the environment that the agent runs in."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    path = os.path.join(sys.base_prefix, "bin", name)
    return path if os.access(path, os.X_OK) else os.path.realpath(sys.executable)


def _candidates(minor: str) -> list[str]:
    name = f"python{minor}"
    beside = glob.glob(os.path.join(os.path.dirname(sys.base_prefix), "*", "bin", name))
    pyenv = glob.glob(os.path.expanduser(f"~/.pyenv/versions/*/bin/{name}"))
    paths = [os.path.join(folder, name) for folder in os.get_exec_path()]
    own = [base_python()] if base_python().endswith(name) else []
    return [path for path in dict.fromkeys([*own, *sorted(beside), *sorted(pyenv), *paths]) if os.access(path, os.X_OK)]


async def _is_base(path: str, minor: str) -> bool:
    """True if the interpreter starts (a pyenv shim may not) and is not one inside somebody's environment."""
    with contextlib.suppress(Unavailable):
        done = await run([path, "-I", "-S", "-c", _ASK], timeout=10)
        said = done.out.decode("utf-8", "replace").split(maxsplit=1)
        if done.rc != 0 or len(said) != 2 or said[0] != minor:
            return False
        return await aside(lambda: _lies_in(path, said[1].strip()))
    return False


def _lies_in(path: str, prefix: str) -> bool:
    """An interpreter inside somebody's environment has a base prefix elsewhere."""
    return os.path.abspath(path).startswith(prefix.rstrip("/") + "/")


def cache_folder() -> Path:
    """Where environments are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "anfl-agent" / "drill"


async def environment(python: str, packages: Sequence[str] = (), cache: Path | None = None) -> str:
    """The interpreter of a kept environment with just ``packages``; :class:`Unavailable` if it cannot be made (no network)."""
    home = await aside(lambda: (cache or cache_folder()) / _key(python, packages))
    if not await aside(lambda: _ready(home)):
        await _make(python, sorted(packages), home)
    return str(home / "bin" / "python")


def _key(python: str, packages: Sequence[str]) -> str:
    return hashlib.sha256("\n".join([os.path.realpath(python), *sorted(packages)]).encode()).hexdigest()[:16]


def _ready(home: Path) -> bool:
    home.parent.mkdir(parents=True, exist_ok=True)
    return (home / "bin" / "python").exists()


def _publish(draft: Path, home: Path) -> None:
    """Give the finished draft its name; where another drill was faster, its work is used."""
    with contextlib.suppress(OSError):
        draft.rename(home)


async def _make(python: str, packages: Sequence[str], home: Path) -> None:
    """Built under another name first, so that a broken or half-made one is never used."""
    draft = Path(await aside(lambda: tempfile.mkdtemp(prefix=".draft-", dir=home.parent)))
    try:
        await _checked([python, "-I", "-m", "venv", *([] if packages else ["--without-pip"]), str(draft)], "an environment")
        if packages:
            pip = [str(draft / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
            await _checked(pip, ", ".join(packages))
        await aside(lambda: _publish(draft, home))
    finally:
        await asyncio.shield(aside(lambda: shutil.rmtree(draft, ignore_errors=True)))


async def _checked(argv: Sequence[str], what: str) -> None:
    done = await run(argv, timeout=_INSTALL_S)
    if done.rc != 0:
        said = (done.err or done.out).decode("utf-8", "replace").strip().splitlines()
        raise Unavailable(f"{what} could not be installed for the workload: {said[-1] if said else f'exit {done.rc}'}")
