"""Where cgroups lie on this host: version 1, version 2 or both, told from the mount table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import field

from agent.dataclass import dataclass
from agent.host.mounts import Mount

CONTROLLERS = ("cpu", "cpuacct", "memory", "pids")
UNIFIED = ""
"""Key of version 2's one tree, as in ``0::/path``."""


@dataclass(frozen=True)
class Tree:
    """One mounted tree; ``root`` is the cgroup that its top folder shows (not ``/`` inside some containers)."""

    mountpoint: str
    root: str = "/"

    def folders(self, path: str) -> tuple[str, ...]:
        """Folders of a cgroup and of all above it, innermost first; none if it cannot be seen from here."""
        path = path.rstrip("/")
        if self.root != "/":
            if path != self.root and not path.startswith(self.root + "/"):
                return ()
            path = path[len(self.root) :]
        parts = path.split("/")
        if ".." in parts:  # outside of our cgroup namespace
            return ()
        return tuple(self.mountpoint + "/".join(parts[:n]) for n in range(len(parts), 0, -1))


@dataclass(frozen=True)
class Hierarchy:
    """The trees by controller; a controller that version 1 holds is not to be had in version 2."""

    unified: Tree | None = None
    legacy: Mapping[str, Tree] = field(default_factory=dict)

    def folders(self, controller: str, paths: Mapping[str, str]) -> tuple[str, ...]:
        """Folders for one controller of a process whose cgroup ``paths`` are these, innermost first; none if it has none."""
        tree = self.legacy.get(controller) or self.unified
        key = controller if controller in self.legacy else UNIFIED
        found = tree.folders(paths[key]) if tree is not None and key in paths else ()
        return found if found and os.path.isdir(found[0]) else ()


def find_hierarchy(mounts: Iterable[Mount]) -> Hierarchy:
    """The cgroup trees among these mounts; of a tree that is mounted twice, the more complete one."""
    unified: Tree | None = None
    legacy: dict[str, Tree] = {}
    for mount in mounts:
        tree = Tree(mount.mountpoint, mount.root)
        if mount.fstype == "cgroup2" and (unified is None or len(tree.root) < len(unified.root)):
            unified = tree
        elif mount.fstype == "cgroup":
            for controller in mount.super_options & frozenset(CONTROLLERS):
                known = legacy.get(controller)
                if known is None or len(tree.root) < len(known.root):
                    legacy[controller] = tree
    return Hierarchy(unified, legacy)


def parse_membership(raw: bytes) -> dict[str, str]:
    """Cgroup paths of a process by controller, from /proc/PID/cgroup; version 2's path is under ``UNIFIED``."""
    paths: dict[str, str] = {}
    for line in raw.split(b"\n"):
        number, _, rest = line.partition(b":")
        controllers, _, path = rest.partition(b":")
        if number == b"0" and not controllers:
            paths[UNIFIED] = os.fsdecode(path)
        for controller in controllers.decode("ascii", "replace").split(",") if controllers else ():
            paths[controller] = os.fsdecode(path)
    return paths


def is_wider(path: str, label: str) -> bool:
    """True if the cgroup at ``path`` holds more than the one called ``label``: its figures are not those of ``label``."""
    return path != label and (path == "/" or label.startswith(path + "/"))
