"""What a case needs of the host; a missing need means skipped, with the reason, never passed."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping

from agent.drill.case import Case
from agent.drill.pythons import base_python, environment
from agent.errors import Unavailable
from agent.host import bundles
from agent.host.lane import aside
from agent.host.procfs import read_once
from agent.host.run import run

INSTALLABLE = frozenset({"aiohttp", "flask", "gunicorn"})
"""Small packages that are installed for a workload on demand; larger ones (torch, numpy) must be there already."""
_FEW_CORES = 8


async def missing_need(case: Case, pythons: Collection[str], *, simulator: bool = False) -> str:
    """Why the case cannot be held here, or ``""``."""
    for need in case.needs:
        if need == "gpu-sim" and simulator:
            continue
        if why := await _missing(need, pythons):
            return why
    return ""


def packages_of(case: Case) -> tuple[str, ...]:
    """What must be installed for the workload."""
    return tuple(sorted({*case.packages, *(need for need in case.needs if need in INSTALLABLE)}))


async def workload_python(case: Case, drawn: str, pythons: Mapping[str, str]) -> str:
    """The interpreter to run the workload with: as drawn, else as needed, else the agent's own base, in a bare environment.

    A large package that is installed in the base interpreter is used from there.
    """
    for need in case.needs:
        if await _is_library(need):
            return await aside(base_python)
    wanted = drawn or next((need for need in case.needs if need.startswith("py3.")), "")
    return await environment(pythons.get(wanted, "") or await aside(base_python), packages_of(case))


async def memray_for(minor: str) -> None:
    """Have memray ready for a target of this minor, fetched if need be; Unavailable (the case is skipped) where there is none."""
    state = bundles.host_state()
    if minor not in bundles.MINORS:
        raise Unavailable(f"memray does not support Python {minor}")
    if minor in await aside(lambda: bundles.missing(state)):
        await bundles.build(state, minor)


async def _missing(need: str, pythons: Collection[str]) -> str:
    if need in _CHECKS:
        return await aside(_CHECKS[need])
    if need.startswith("py3."):
        return "" if need in pythons else f"no Python {need[2:]} at hand"
    if need in INSTALLABLE or await aside(lambda: _program(need)) or await _importable(need):
        return ""
    return f"needs {need}, which is neither a program nor a package here"


def _program(name: str) -> bool:
    """On PATH, or beside our interpreter as our own tools are."""
    beside = os.path.join(os.path.dirname(sys.executable), name)
    return os.access(beside, os.X_OK) or shutil.which(name) is not None


async def _is_library(need: str) -> bool:
    if need in _CHECKS or need in INSTALLABLE or need.startswith("py3.") or await aside(lambda: _program(need)):
        return False
    return await _importable(need)


async def _importable(name: str) -> bool:
    if not name.isidentifier():
        return False
    try:
        python = await aside(base_python)
        code = f"import importlib.util as u, sys; sys.exit(u.find_spec({name!r}) is None)"
        return (await run([python, "-I", "-c", code], timeout=20)).rc == 0
    except Unavailable:
        return False


def _root() -> str:
    return "" if os.geteuid() == 0 else "needs root"


def _cgroup(version: int) -> Callable[[], str]:
    def check() -> str:
        unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
        return "" if unified == (version == 2) and os.path.isdir("/sys/fs/cgroup") else f"needs cgroup v{version}"

    return check


def _pressure() -> str:
    return "" if os.path.exists("/proc/pressure/cpu") else "the kernel keeps no pressure figures (PSI)"


def _spare_core() -> str:
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return "" if cores - load >= 1 else f"no core is idle (load {load:.1f} on {cores} cores)"


def _few_cores() -> str:
    cores = os.cpu_count() or 1
    return "" if cores <= _FEW_CORES else f"would burn all {cores} cores of this host; held on at most {_FEW_CORES}"


def _disk_tmp() -> str:
    """The temporary folder must lie on a disk, not in memory."""
    place = os.path.realpath(tempfile.gettempdir())
    mounts = [line.split() for line in read_once("/proc/self/mounts", 1 << 20).decode("utf-8", "replace").splitlines()]
    under = [m for m in mounts if place == m[1] or place.startswith(m[1].rstrip("/") + "/")]
    kind = max(under, key=lambda m: len(m[1]))[2] if under else ""
    return f"{place} lies in memory ({kind}); set TMPDIR to a disk" if kind in ("tmpfs", "ramfs") else ""


def _simulator() -> str:
    return "this run has no GPU simulator"


_CHECKS: Mapping[str, Callable[[], str]] = {
    "root": _root,
    "cgroup-v1": _cgroup(1),
    "cgroup-v2": _cgroup(2),
    "psi": _pressure,
    "spare-core": _spare_core,
    "few-cores": _few_cores,
    "disk-tmp": _disk_tmp,
    "gpu-sim": _simulator,
}
