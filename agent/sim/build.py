"""Compiles the simulated library with gcc on first use and keeps it: one folder per state of the sources."""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from agent.errors import AgentError, Unavailable
from agent.host.lane import aside
from agent.host.run import run
from agent.host.text import clean

SONAME = "libnvidia-ml.so.1"
SOURCES = Path(__file__).resolve().parent / "nvml"
FLAGS = ("-std=gnu11", "-O2", "-g", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror")
KEEP_S = 30 * 86400.0
_COMPILE_S = 180.0


def cache_home(env: Mapping[str, str], root: bool) -> Path:
    """Where compiled libraries are kept: below ``$XDG_CACHE_HOME``, else ``/var/cache`` for root or ``~/.cache``."""
    base = env.get("XDG_CACHE_HOME") or ("/var/cache" if root else os.path.join(env.get("HOME") or "/tmp", ".cache"))
    return Path(base) / "anfl-agent" / "sim"


def fingerprint() -> str:
    """Changes whenever a source, a flag or the kind of machine does."""
    digest = hashlib.sha256(" ".join((*FLAGS, platform.machine(), platform.libc_ver()[1])).encode())
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:20]


async def library(cache: Path | None = None) -> Path:
    """The folder with the compiled ``libnvidia-ml.so.1``: the value for ``LD_LIBRARY_PATH``.

    Raises Unavailable where there is no gcc, AgentError where it fails.
    """
    home = cache or cache_home(os.environ, os.geteuid() == 0)
    folder = home / await aside(fingerprint)
    if not await aside((folder / SONAME).is_file):
        await _build(folder)
    return folder


async def _build(folder: Path) -> None:
    """Built beside its place and renamed into it, so that nobody ever loads half a library."""
    place = await aside(lambda: _workplace(folder.parent))
    try:
        await compile_to(place / SONAME)
        await aside(lambda: _put(place, folder))
        await aside(lambda: _forget(folder))
    finally:
        await asyncio.shield(aside(lambda: shutil.rmtree(place, ignore_errors=True)))


def _workplace(home: Path) -> Path:
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o755)
        place = Path(tempfile.mkdtemp(prefix=".build-", dir=home))
        place.chmod(0o755)
    except OSError as error:
        raise AgentError(f"cannot write to {home}: {error.strerror}", help="set XDG_CACHE_HOME to a writable folder") from None
    return place


def _put(place: Path, folder: Path) -> None:
    try:
        place.rename(folder)
    except OSError:
        if not (folder / SONAME).is_file():  # else somebody else was faster, with the same result
            raise


def _forget(folder: Path) -> None:
    """Libraries of older sources: nobody runs from there, every state has a copy beside it."""
    for other in folder.parent.iterdir():
        if other != folder and time.time() - other.stat().st_mtime > KEEP_S:
            shutil.rmtree(other, ignore_errors=True)


async def compile_to(target: Path, *extra: str) -> None:
    """Compile the sources to ``target``; ``extra`` flags such as sanitizers come last."""
    sources = sorted(str(path) for path in await aside(lambda: list(SOURCES.glob("*.c"))))
    linking = (f"-Wl,-soname,{SONAME}", f"-Wl,--version-script={SOURCES / 'exports.map'}")
    try:
        done = await run(["gcc", *FLAGS, *linking, "-o", str(target), *sources, *extra, "-lm", "-lpthread"], timeout=_COMPILE_S)
    except Unavailable as lacking:
        help = "install gcc and the C library's headers, e.g. 'apt install gcc libc6-dev' or 'dnf install gcc glibc-devel'"
        raise Unavailable("the GPU simulator is compiled on first use, and there is no gcc", help=help) from lacking
    if done.rc != 0:
        said = next((line for line in done.err.decode("utf-8", "replace").splitlines() if "error" in line), "no message")
        why = "took too long" if done.timed_out else clean(said, 300)
        raise AgentError(f"the GPU simulator could not be compiled: {why}", help="are the C library's headers installed?")
