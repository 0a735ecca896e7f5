"""The cgroups of the watched processes: CPU and its quota, memory and its limit, processes, pressure. Version 1, 2 and both."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import ClassVar

from agent.collectors._board import Board
from agent.collectors._cgroup_readers import CpuQuota, CpuTime, Memory, Pids, Pressure, Reader
from agent.collectors._declare import counter, gauge
from agent.collectors._dialect import V1, V2
from agent.collectors._hierarchy import CONTROLLERS, UNIFIED, Hierarchy, find_hierarchy, is_wider, parse_membership
from agent.collectors._kept import number
from agent.dataclass import dataclass
from agent.errors import Unavailable
from agent.host.mounts import read_mounts
from agent.host.placement import cgroup_path
from agent.host.procfs import read_once
from agent.model import ENTITY_ENDED, Event, Item, Metric, labels

RENEW_EVERY = 10
"""Limits are read again, and a cgroup that used no CPU is looked at in full, every so many readings."""
BUSY_EVERY = 2
"""One that did use some is looked at in full every so many readings: memory.stat takes as long as all else together."""
RETRY_EVERY = 30
"""A cgroup without a folder is looked for again after so many readings."""
GONE = frozenset((errno.ENODEV, errno.ENOENT))
"""What files of a removed cgroup answer, kept open or opened again."""


class Group:
    """One watched cgroup with its readers."""

    def __init__(
        self,
        label: str,
        paths: Mapping[str, str],
        time_: CpuTime | None = None,
        pressure: Pressure | None = None,
        others: Sequence[Reader] = (),
    ) -> None:
        self.labels = labels(cgroup=label)
        self.paths = paths
        self._time = time_
        self._pressure = pressure
        self._others = others
        self._boards = (Board(self.labels), Board(self.labels))  # what is read each time, and what only when it may have moved
        self._age = 0
        self._due = False  # it used CPU after the last look in full

    def read(self) -> Iterable[Board]:
        """Figures now; OSError once the cgroup is gone. One that used no CPU keeps its figures, but its tasks may still wait."""
        always, others = self._boards
        always.replace(_read(self._time, self._pressure))
        renew = self.renews
        self._due = self._due or self._time is None or self._time.moved
        if renew or (self._due and self._age % BUSY_EVERY == 0):
            self._due = False
            if renew:
                for reader in self._others:
                    reader.renew()
            others.replace(_read(*self._others))
        self._age += 1
        return [board for board in self._boards if board.series]

    @property
    def renews(self) -> bool:
        """True if the next reading reads the limits too."""
        return self._age % RENEW_EVERY == 0

    @property
    def due(self) -> bool:
        """True if nothing was found of it and it is time to look again."""
        return self._time is None and self._pressure is None and not self._others and self._age >= RETRY_EVERY


def _read(*readers: Reader | None) -> dict[str, float]:
    return {name: figure for reader in readers if reader is not None for name, figure in reader.read().items()}


@dataclass
class Collector:
    """Reads the cgroups that :meth:`watch` names, and those of the setting ``paths`` whoever lives there.

    The label ``cgroup`` is the path :func:`agent.host.placement.cgroup_path` gives for a process: the memory controller's on
    version 1 and mixed hosts, the unified one on version 2.
    """

    metrics: ClassVar[tuple[Metric, ...]] = (
        counter("cgroup_cpu_seconds_total", "seconds", "CPU time of all processes in the cgroup.", "cgroup"),
        counter("cgroup_cpu_periods_total", "", "Periods counted by the CPU quota that binds the cgroup.", "cgroup"),
        counter("cgroup_cpu_throttled_periods_total", "", "Periods in which that quota ran out.", "cgroup"),
        counter(
            "cgroup_cpu_throttled_seconds_total", "seconds", "Time its tasks were kept waiting by that quota, summed.", "cgroup"
        ),
        gauge("cgroup_cpu_quota_cores", "", "Cores it may use: the lowest quota on the way up; no series without one.", "cgroup"),
        gauge("cgroup_memory_bytes", "bytes", "Memory in use, page cache included.", "cgroup"),
        gauge("cgroup_memory_limit_bytes", "bytes", "Lowest memory limit on the way up; no series without one.", "cgroup"),
        gauge(
            "cgroup_memory_free_bytes", "bytes", "Left until the nearest memory limit; idle page cache counts as left.", "cgroup"
        ),
        gauge("cgroup_working_set_bytes", "bytes", "Memory in use without idle page cache.", "cgroup"),
        gauge("cgroup_anonymous_bytes", "bytes", "Heaps, stacks and other memory without a file behind it.", "cgroup"),
        gauge("cgroup_file_bytes", "bytes", "Page cache charged to the cgroup, tmpfs and shared memory included.", "cgroup"),
        counter("cgroup_oom_kills_total", "", "Processes of the cgroup killed for want of memory.", "cgroup"),
        gauge("cgroup_pids", "", "Processes and threads in the cgroup.", "cgroup"),
        gauge("cgroup_pids_limit", "", "Lowest limit on their number on the way up; no series without one.", "cgroup"),
        counter("cgroup_pressure_cpu_waiting_seconds_total", "seconds", "Time in which a task waited for a processor.", "cgroup"),
        counter("cgroup_pressure_memory_waiting_seconds_total", "seconds", "Time in which a task waited for memory.", "cgroup"),
        counter("cgroup_pressure_io_waiting_seconds_total", "seconds", "Time in which a task waited for a disk.", "cgroup"),
    )
    may_block: ClassVar[bool] = False

    interval: float = 1.0
    timeout: float = 2.0
    paths: tuple[str, ...] = ()
    proc: str = "/proc"
    _wanted: Mapping[str, int] = field(init=False, repr=False, default_factory=dict)
    _groups: dict[str, Group] = field(init=False, repr=False, default_factory=dict)
    _hierarchy: Hierarchy | None = field(init=False, repr=False, default=None)
    _host_memory: int = field(init=False, repr=False, default=0)

    def watch(self, groups: Mapping[str, int]) -> None:
        """Watch these cgroups from the next reading on: label -> pid of a process in it (0 if none is known).

        Version 1 may keep a process in differently named cgroups for CPU and memory; the pid tells which belong together.
        """
        self._wanted = dict(groups)

    def collect(self) -> Iterable[Item]:
        """Figures of the watched cgroups; ``entity_ended`` for one that was removed; :class:`Unavailable` without cgroups."""
        if self._hierarchy is None:
            self._hierarchy = self._find()
        wanted = dict.fromkeys(self.paths, 0) | dict(self._wanted)
        for label in self._groups.keys() - wanted.keys():
            del self._groups[label]
        items: list[Item] = []
        for label, pid in wanted.items():
            group = self._groups[label] = self._group(self._hierarchy, label, pid)
            try:
                items += group.read()
            except OSError as error:
                self._groups[label] = Group(label, group.paths)
                if error.errno in GONE:
                    items.append(Event(time.time(), ENTITY_ENDED, group.labels))
        return items

    def _find(self) -> Hierarchy:
        found = find_hierarchy(read_mounts(self.proc))
        if found.unified is None and not found.legacy:
            raise Unavailable("no cgroups are mounted", help="mount /sys/fs/cgroup, or give the agent's container a view of it")
        total = number(b"\n" + read_once(f"{self.proc}/meminfo"), b"\nMemTotal:")
        self._host_memory = (total or 0) * 1024 or 1 << 60
        return found

    def _group(self, hierarchy: Hierarchy, label: str, pid: int) -> Group:
        """The kept group, or a new one if its process was moved to other cgroups or its folders may have come."""
        group = self._groups.get(label)
        if group is not None and not group.due:
            paths = self._membership(label, pid) if group.renews else None
            if paths is None or paths == group.paths:
                return group
        paths = self._membership(label, pid) or dict.fromkeys((UNIFIED, *CONTROLLERS), label)
        return self._attach(hierarchy, label, paths)

    def _membership(self, label: str, pid: int) -> dict[str, str] | None:
        """Paths by controller of the process; None if it is gone or lives elsewhere by now."""
        try:
            raw = read_once(f"{self.proc}/{pid}/cgroup") if pid else b""
        except OSError:
            return None
        return parse_membership(raw) if raw and cgroup_path(raw) == label else None

    def _attach(self, hierarchy: Hierarchy, label: str, paths: Mapping[str, str]) -> Group:
        """Find the folders of a cgroup. Figures of a wider one (CPU at ``/``, memory elsewhere) are not taken for its own."""
        folders = {c: hierarchy.folders(c, paths) for c in (*CONTROLLERS, UNIFIED)}
        old = {c: c in hierarchy.legacy for c in CONTROLLERS}
        own = {c: not is_wider(paths.get(c if old.get(c) else UNIFIED, label), label) for c in (*CONTROLLERS, UNIFIED)}
        usage = "cpuacct" if old["cpuacct"] else "cpu"
        time_ = CpuTime(folders[usage], V1 if old[usage] else V2) if folders[usage] and own[usage] else None
        others: list[Reader] = []
        if folders["cpu"]:
            others.append(CpuQuota(folders["cpu"], V1 if old["cpu"] else V2))
        if folders["memory"] and own["memory"]:
            others.append(Memory(folders["memory"], V1 if old["memory"] else V2, self._host_memory))
        if folders["pids"]:
            others.append(Pids(folders["pids"], own["pids"]))
        pressure = Pressure(folders[UNIFIED]) if folders[UNIFIED] and own[UNIFIED] else None
        return Group(label, paths, time_, pressure, others)
