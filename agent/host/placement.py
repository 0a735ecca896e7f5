"""Where a process lives, told from its cgroup path and environment alone: unit, container, pod, batch job. No API is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent.dataclass import dataclass
from agent.host.text import clean

_UNIT = re.compile(r"^[^/]+\.(?:service|scope|socket|mount|swap)$")
_LONG_ID = re.compile(
    r"(?:^|[-:/.])([0-9a-f]{64})(?:\.scope)?(?:/|$)"
)  # docker-ID.scope, crio-ID.scope, cri-containerd-ID.scope, /docker/ID
_NAMED = re.compile(r"(?:lxc\.payload[./]|/lxc/|/machine\.slice/machine-)([^/]+?)(?:\.scope)?(?:/|$)")
_POD = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})")
_SLURM = re.compile(r"/job_(\d+)(?:/|$)")
_JOB_VARIABLES = ("SLURM_JOB_ID", "SLURM_JOBID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID")
CONTAINER_DIGITS = 12
"""Digits of a container id that are kept: what ``docker ps`` shows and every runtime accepts."""


@dataclass(frozen=True)
class Place:
    """The surroundings of a process; None where it has none or none can be told."""

    cgroup: str = "/"
    unit: str | None = None
    container: str | None = None
    pod: str | None = None
    job: str | None = None


def cgroup_path(text: bytes) -> str:
    """The cgroup that accounts for the process's memory, from ``/proc/PID/cgroup``.

    Unified (v2) hosts have one path. Hybrid and v1 hosts keep the limits in the memory controller, so its path is taken.
    """
    unified = memory = named = ""
    for line in text.split(b"\n"):
        head, _, path = line.partition(b"::") if line.startswith(b"0::") else (b"", b"", b"")
        if head:
            unified = clean(path, 512)
            continue
        _, _, rest = line.partition(b":")
        controllers, _, path = rest.partition(b":")
        if b"memory" in controllers.split(b","):
            memory = clean(path, 512)
        elif controllers == b"name=systemd":
            named = clean(path, 512)
    return memory or unified or named or "/"


def unit_path(text: bytes) -> str:
    """The path systemd knows the process by: the unified one, or on v1 hosts that of ``name=systemd``."""
    paths: dict[bytes, bytes] = {}
    for line in text.split(b"\n"):
        _, _, rest = line.partition(b":")
        controllers, _, path = rest.partition(b":")
        paths[controllers] = path
    for key in (b"name=systemd", b""):
        if paths.get(key, b"/") not in (b"/", b""):
            return clean(paths[key], 512)
    return cgroup_path(text)


def place(text: bytes, environ: Mapping[str, str] | None = None) -> Place:
    """The surroundings told by the text of ``/proc/PID/cgroup`` and, where it can be read, the environment."""
    environ = environ or {}
    path, known = cgroup_path(text), unit_path(text)
    both = f"{known}\n{path}"
    job = _SLURM.search(path) or _SLURM.search(known)
    pod = _POD.search(both)
    return Place(
        cgroup=path,
        unit=_unit(known) or _unit(path),
        container=_container(known) or _container(path),
        pod=pod[1].replace("_", "-") if pod else _pod_name(environ),
        job=job[1] if job else next((environ[name] for name in _JOB_VARIABLES if environ.get(name)), None),
    )


def environment(raw: bytes) -> dict[str, str]:
    """The variables this module asks for, from ``/proc/PID/environ``; the rest may hold secrets and is not kept."""
    found: dict[str, str] = {}
    for item in raw.split(b"\0"):
        name, _, value = item.partition(b"=")
        if name in _WANTED:
            found[name.decode()] = clean(value, 128)
    return found


_WANTED = frozenset(name.encode() for name in (*_JOB_VARIABLES, "KUBERNETES_SERVICE_HOST", "HOSTNAME", "POD_NAME"))


def _unit(path: str) -> str | None:
    """The innermost unit on the path: ``/user.slice/user@1000.service/app.slice/x.scope`` is ``x.scope``."""
    return next((part for part in reversed(path.split("/")) if _UNIT.match(part)), None)


def _container(path: str) -> str | None:
    if found := _LONG_ID.findall(path):
        return str(found[-1][:CONTAINER_DIGITS])
    named = _NAMED.search(path)
    return named[1] if named else None


def _pod_name(environ: Mapping[str, str]) -> str | None:
    if "KUBERNETES_SERVICE_HOST" not in environ:
        return None
    return environ.get("POD_NAME") or environ.get("HOSTNAME")
