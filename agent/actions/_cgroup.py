"""cgroups of either version: where a target's own one lies, and which files bound it."""

from __future__ import annotations

import os

from agent.dataclass import dataclass
from agent.host import procs, procstat
from agent.host.reach import WillNot
from agent.model import Target

SHARED = ("/", "/init.scope", "/system.slice", "/user.slice", "/machine.slice", "/kubepods", "/docker", "/lxc")
CONTROLLERS = frozenset({"memory", "cpu", "blkio", "freezer"})
PERIOD_US = 100_000


@dataclass(frozen=True)
class Knob:
    """One file and what is to stand in it."""

    path: str
    value: str

    def read(self) -> str:
        """What stands there."""
        with open(self.path) as file:
            return file.read().strip()

    def write(self) -> None:
        """Put it there. OSError if the kernel refuses."""
        with open(self.path, "w") as file:
            file.write(self.value)

    def holds(self) -> bool:
        """Whether it stands there, by the first line; the kernel rounds to pages, systemd to a tenth of a percent of a core."""
        have, wanted = self.read().partition("\n")[0].split(), self.value.split()
        return len(have) >= len(wanted) and all(map(_alike, have[-len(wanted) :], wanted))

    def tighter(self) -> bool:
        """Whether what stands there bounds more than what is to: a limit that somebody set is not to be loosened."""
        have, wanted = self.read().partition("\n")[0].split(), self.value.split()
        pairs = zip(have[-len(wanted) :], wanted, strict=False)
        return any(h.isdecimal() and w.isdecimal() and int(h) < int(w) for h, w in pairs)


def _alike(have: str, wanted: str) -> bool:
    if have.isdecimal() and wanted.isdecimal():
        return abs(int(have) - int(wanted)) <= int(wanted) / 100
    return have == wanted


def of(target: Target, wanted: frozenset[str] = CONTROLLERS) -> dict[str, str]:
    """Controller → folder of the target's own cgroup ("" for v2), for those ``wanted``. WillNot if it has none of its own."""
    paths = _paths(target)
    found = {}
    for name, root in _roots().items():
        path = paths.get(name, "")
        if name in wanted | {""} and path and path not in SHARED and ".." not in path.split("/") and os.path.isdir(root + path):
            found[name] = root + path
    if not found:
        raise WillNot(f"{target.name or 'it'} has no cgroup of its own")
    if target.pid is not None:
        mine = set(procs.tree(target.pid))
        for folder in found.values():
            if others := sorted(_members(folder) - mine):
                raise WillNot(f"{folder} also holds process {others[0]} and would bound it too")
    return found


def _paths(target: Target) -> dict[str, str]:
    """Controller → path; a process may lie in other places for other controllers of version 1."""
    if target.pid is None:
        return dict.fromkeys(_roots(), target.cgroup or "")
    found: dict[str, str] = {}
    for line in procstat.optional(target.pid, "cgroup", "/proc").decode(errors="replace").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def _roots() -> dict[str, str]:
    """Controller → where its hierarchy is mounted; "" is version 2."""
    found: dict[str, str] = {}
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            _, place, kind, options = line.split()[:4]
            if kind == "cgroup2":
                found[""] = place
            elif kind == "cgroup":
                found |= {name: place for name in options.split(",") if name in CONTROLLERS}
    return found


def knobs(folders: dict[str, str], *, memory: float = 0, cpus: float = 0, io_weight: int = 0) -> list[Knob]:
    """The files to write for these limits, in the version the controllers are in."""
    v2, found = folders.get("", ""), []
    if memory:
        v1 = folders.get("memory")
        path = f"{v1}/memory.soft_limit_in_bytes" if v1 else f"{v2}/memory.high"
        found.append(Knob(path, f"{memory:.0f}"))
    if cpus:
        v1, quota = folders.get("cpu"), f"{cpus * PERIOD_US:.0f}"
        found.append(Knob(f"{v1}/cpu.cfs_quota_us", quota) if v1 else Knob(f"{v2}/cpu.max", f"{quota} {PERIOD_US}"))
    if io_weight:
        v1 = folders.get("blkio")
        found.append(Knob(f"{v1}/blkio.bfq.weight", str(io_weight)) if v1 else Knob(f"{v2}/io.weight", f"default {io_weight}"))
    return found


def _members(folder: str) -> set[int]:
    try:
        with open(f"{folder}/cgroup.procs") as file:
            return {int(line) for line in file}
    except OSError:
        return set()
