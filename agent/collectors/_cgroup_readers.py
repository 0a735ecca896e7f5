"""Readers of one cgroup, one per controller. Each keeps its files open; limits, which rarely change, are read by ``renew``.

``folders`` are the cgroup's own and those above it, innermost first: a limit anywhere above binds as well. Values go by metric
name. OSError means that the cgroup went away.
"""

from __future__ import annotations

import os
from typing import Protocol

from agent.collectors._dialect import Dialect, parse_limit
from agent.collectors._kept import number
from agent.collectors._psi import parse_pressure
from agent.host.procfs import KeptFile, read_once

Values = dict[str, float]
Folders = tuple[str, ...]


class Reader(Protocol):
    """What is read of one controller."""

    def renew(self) -> None:
        """Read the limits."""
        ...

    def read(self) -> Values:
        """Read the figures."""
        ...


def _there(folder: str, name: str) -> KeptFile | None:
    path = f"{folder}/{name}"
    return KeptFile(path) if os.path.exists(path) else None


class CpuTime:
    """CPU time used; ``moved`` tells whether any was used since the reading before."""

    def __init__(self, folders: Folders, dialect: Dialect) -> None:
        name, self._key, self._unit = dialect.usage
        self._file = _there(folders[0], name)
        self._raw = b""
        self.moved = True

    def renew(self) -> None:
        """No limit here."""

    def read(self) -> Values:
        """CPU seconds."""
        if self._file is None:
            return {}
        raw = self._file.read()
        self.moved = raw != self._raw
        self._raw = raw
        used = number(b"\n" + raw, self._key)
        return {} if used is None else {"cgroup_cpu_seconds_total": used * self._unit}


class CpuQuota:
    """The tightest CPU quota on the way up, and how often it was hit; without a quota nothing was ever throttled."""

    def __init__(self, folders: Folders, dialect: Dialect) -> None:
        self._folders = folders
        self._dialect = dialect
        self._cores: float | None = None
        self._at = ""
        self._file: KeptFile | None = None

    def renew(self) -> None:
        """Find the cgroup whose quota binds; the one itself where there is none."""
        quotas = [(cores, folder) for folder in self._folders if (cores := self._quota(folder)) is not None]
        self._cores, at = min(quotas, key=lambda quota: quota[0], default=(None, self._folders[0]))
        if at != self._at:
            self._at, self._file = at, _there(at, "cpu.stat")

    def _quota(self, folder: str) -> float | None:
        try:
            return self._dialect.quota(folder)
        except FileNotFoundError:  # the root cgroup has none
            return None

    def read(self) -> Values:
        """Quota, periods and throttling."""
        if self._file is None:
            return {}
        raw = b"\n" + self._file.read()
        key, unit = self._dialect.throttled
        values = {
            "cgroup_cpu_periods_total": float(number(raw, b"\nnr_periods ") or 0),
            "cgroup_cpu_throttled_periods_total": float(number(raw, b"\nnr_throttled ") or 0),
            "cgroup_cpu_throttled_seconds_total": (number(raw, key) or 0) * unit,
        }
        if self._cores is not None:
            values["cgroup_cpu_quota_cores"] = self._cores
        return values


class _Level:
    """Memory of one cgroup on the way up."""

    def __init__(self, folder: str, dialect: Dialect) -> None:
        self.folder = folder
        self.limit: int | None = None
        self.usage = KeptFile(f"{folder}/{dialect.memory}")
        self.stat = KeptFile(f"{folder}/memory.stat")
        self._key = dialect.inactive_file

    def read(self) -> tuple[int, int, bytes]:
        """Bytes in use, the working set among them, and the text of memory.stat."""
        usage, stat = int(self.usage.read()), b"\n" + self.stat.read()
        return usage, max(0, usage - (number(stat, self._key) or 0)), stat


class Memory:
    """Memory by kind, and what is left until the nearest limit on the way up.

    Page cache that is not in active use can be dropped at once, so it counts as left: else every job that reads files would
    seem to run out of memory.
    """

    def __init__(self, folders: Folders, dialect: Dialect, host_memory: int) -> None:
        self._dialect = dialect
        self._host = host_memory
        self._levels = [_Level(f, dialect) for f in folders if os.path.exists(f"{f}/{dialect.memory}")]
        self._own = self._levels[0] if self._levels and self._levels[0].folder == folders[0] else None
        self._oom = _there(folders[0], dialect.oom)

    def renew(self) -> None:
        """Read the limits; one at or above the host's memory binds nothing."""
        for level in self._levels:
            limit = parse_limit(read_once(f"{level.folder}/{self._dialect.memory_limit}"))
            level.limit = limit if limit is not None and limit < self._host else None

    def read(self) -> Values:
        """Memory figures."""
        if self._own is None:
            return {}
        usage, working, stat = self._own.read()
        kinds = (("cgroup_anonymous_bytes", self._dialect.anonymous), ("cgroup_file_bytes", self._dialect.file))
        values: Values = {"cgroup_memory_bytes": float(usage), "cgroup_working_set_bytes": float(working)}
        values |= {name: float(found) for name, key in kinds if (found := number(stat, key)) is not None}
        bounds = [(level.limit, working if level is self._own else level.read()[1]) for level in self._levels if level.limit]
        if bounds:
            values["cgroup_memory_limit_bytes"] = float(min(limit for limit, _ in bounds))
            values["cgroup_memory_free_bytes"] = float(max(0, min(limit - used for limit, used in bounds)))
        kills = number(b"\n" + self._oom.read(), b"\noom_kill ") if self._oom is not None else None
        return values if kills is None else values | {"cgroup_oom_kills_total": float(kills)}


class Pids:
    """Processes and threads, and the lowest limit on the way up; ``own`` is False where the count is of a wider cgroup."""

    def __init__(self, folders: Folders, own: bool) -> None:
        self._folders = folders
        self._file = _there(folders[0], "pids.current") if own else None
        self._limit: float | None = None

    def renew(self) -> None:
        """Read the limits."""
        files = (f"{folder}/pids.max" for folder in self._folders)
        limits = (parse_limit(read_once(path)) for path in files if os.path.exists(path))
        self._limit = min((float(limit) for limit in limits if limit is not None), default=None)

    def read(self) -> Values:
        """Number and limit."""
        values = {} if self._file is None else {"cgroup_pids": float(self._file.read())}
        return values if self._limit is None else values | {"cgroup_pids_limit": self._limit}


class Pressure:
    """Pressure stall information of a version 2 cgroup."""

    def __init__(self, folders: Folders) -> None:
        files = ((r, _there(folders[0], f"{r}.pressure")) for r in ("cpu", "memory", "io"))
        self._files = [(r, file) for r, file in files if file is not None and _readable(file)]

    def renew(self) -> None:
        """No limit here."""

    def read(self) -> Values:
        """Seconds in which at least one task of the cgroup waited."""
        waits = ((r, parse_pressure(file.read())) for r, file in self._files)
        return {f"cgroup_pressure_{r}_waiting_seconds_total": wait["waiting"] for r, wait in waits if "waiting" in wait}


def _readable(file: KeptFile) -> bool:
    """False where the kernel has the file but not the figures (EOPNOTSUPP)."""
    try:
        file.read()
    except OSError:
        return False
    return True
