"""memray for every Python a target may run: one folder per CPython minor, built beforehand, copied into place whole.

For our own minor a bundle comes from our own packages; the others come from wheels, and only building them needs the network
(``doctor --fix``) or a folder of wheels. memray imports rich and typing_extensions, which it needs for its reports only;
stand-ins in the bundle (used where the target has none of its own, and taken out of its ``sys.modules`` again) spare the target
6 MB and the time to import them.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile

from agent.config import state_home
from agent.errors import Unavailable
from agent.host.lane import aside
from agent.host.run import run
from agent.host.text import clean

MINORS = ("3.9", "3.10", "3.11", "3.12", "3.13")
STAND_INS = {
    "rich/__init__.py": "def print(*args, **kwargs):\n    pass\n",
    "rich/progress.py": "class Progress:\n    pass\n\n\nclass SpinnerColumn:\n    pass\n",
    "typing_extensions.py": "from typing import TypedDict\n",
}
NOT_NEEDED = ("__pycache__", "_test_utils*", "templates", "commands", "*.pyi", "*.pyx", "*.dist-info", "bin")
PIP_S = 180.0


@functools.cache
def version() -> str:
    """The version of memray that reads the captures, and so the one that must write them."""
    import importlib.metadata  # 0.7 MiB, and only a deep look asks

    return importlib.metadata.version("memray")


def path(state_dir: str, minor: str) -> str:
    """Where the bundle for a minor such as ``3.11`` is, or would be."""
    return os.path.join(state_dir, "bundles", f"cp{minor.replace('.', '')}-{version()}")


def host_state() -> str:
    """The state folder of an agent without a configuration: bundles there serve every agent of this user."""
    return state_home(os.environ, os.geteuid() == 0)


def own_minor() -> str:
    """The agent's own minor."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def find(state_dir: str, minor: str) -> str:
    """The bundle's folder, made from our own packages if the minor is ours; :class:`Unavailable` with the mend otherwise."""
    folder = path(state_dir, minor)
    for there in (folder, path(host_state(), minor)):
        if os.path.isdir(there):
            return there
    if minor != own_minor():
        raise Unavailable(f"there is no memray for Python {minor} on this host", help="run `anfl-agent doctor --fix` to fetch it")
    part = _begin(folder)
    try:
        _copy_own(part)
        return _publish(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def missing(state_dir: str) -> list[str]:
    """Minors that no bundle is there for; our own is made when needed."""
    return [minor for minor in MINORS if minor != own_minor() and not os.path.isdir(path(state_dir, minor))]


def injector(bundle: str) -> str:
    """The library a debugger loads into the target; the same for every minor."""
    return os.path.join(bundle, "memray", "_inject.abi3.so")


async def build(state_dir: str, minor: str, wheels: str | None = None) -> str:
    """Fetch the bundle for a minor, from a folder of ``wheels`` if one is given; its folder appears whole or not at all."""
    folder = await aside(lambda: path(state_dir, minor))
    if await aside(lambda: os.path.isdir(folder)):
        return folder
    part = await aside(lambda: _begin(folder))
    try:
        await _pip(part, minor, wheels)
        return await aside(lambda: _finish(part, folder))
    finally:
        await aside(lambda: shutil.rmtree(part, ignore_errors=True))


def _finish(part: str, folder: str) -> str:
    for name in sorted(os.listdir(part)):
        if name not in ("memray", "memray.libs"):
            _remove(os.path.join(part, name))
    _trim(os.path.join(part, "memray"))
    return _publish(part, folder)


async def _pip(part: str, minor: str, wheels: str | None) -> None:
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--no-compile", "--target", part]
    argv += ["--python-version", minor, "--implementation", "cp", "--disable-pip-version-check", "--no-input"]
    argv += ["--no-index", "--find-links", wheels] if wheels else []
    done = await run([*argv, f"memray=={version()}"], timeout=PIP_S)
    if done.rc != 0:
        lines = done.err.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise Unavailable(
            f"memray for Python {minor} could not be fetched: {clean(lines[-1], 300)}",
            help=f"where there is a network: pip download --no-deps --only-binary=:all: --python-version {minor} "
            f"memray=={version()}; then name that folder",
        )


def _copy_own(part: str) -> None:
    """From where it is installed, not where this process has it from: one that was itself looked at has it from a bundle that is
    gone."""
    import importlib.metadata

    try:
        package = str(importlib.metadata.distribution("memray").locate_file("memray"))
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable("our own memray is missing", help=f"{sys.executable} -m pip install memray") from None
    shutil.copytree(package, os.path.join(part, "memray"), ignore=shutil.ignore_patterns(*NOT_NEEDED[1:]))
    if os.path.isdir(package + ".libs"):
        shutil.copytree(package + ".libs", os.path.join(part, "memray.libs"))


def _begin(folder: str) -> str:
    os.makedirs(os.path.dirname(folder), mode=0o755, exist_ok=True)
    return tempfile.mkdtemp(prefix=".part-", dir=os.path.dirname(folder))


def _trim(folder: str) -> None:
    skip = shutil.ignore_patterns(*NOT_NEEDED)
    for where, folders, files in os.walk(folder, topdown=False):
        for name in skip(where, [*folders, *files]):
            _remove(os.path.join(where, name))


def _remove(victim: str) -> None:
    if os.path.isdir(victim):
        shutil.rmtree(victim)
    else:
        os.unlink(victim)


def _publish(part: str, folder: str) -> str:
    for name, text in STAND_INS.items():
        os.makedirs(os.path.dirname(os.path.join(part, name)), exist_ok=True)
        with open(os.path.join(part, name), "w", encoding="utf-8") as file:
            file.write(text)
    os.chmod(part, 0o755)
    try:
        os.rename(part, folder)
    except OSError:
        if not os.path.isdir(folder):  # someone else was faster
            raise
    return folder
