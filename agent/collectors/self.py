"""What the agent itself costs."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable
from dataclasses import field
from typing import ClassVar

from agent.collectors._declare import counter, gauge, handles
from agent.dataclass import dataclass
from agent.host.procfs import KeptFile
from agent.model import Metric, Sample, Series

PAGE = os.sysconf("SC_PAGE_SIZE")


def parse_stat(raw: bytes) -> tuple[int, int]:
    """Threads and resident pages of a process's stat file; its name may hold spaces and brackets."""
    fields = raw[raw.rindex(b")") + 2 :].split(None, 22)
    return int(fields[17]), int(fields[21])


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    uses = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


@dataclass
class Collector:
    """Reads /proc/self and the scheduler's account of this process."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        counter("agent_cpu_seconds_total", "seconds", "CPU time of the agent's main process and of its children that have ended."),
        gauge("agent_resident_bytes", "bytes", "Memory of the agent's main process that is in RAM."),
        gauge("agent_open_fds", "", "Files and sockets the agent's main process holds open."),
        gauge("agent_threads", "", "Threads of the agent's main process."),
    )
    may_block: ClassVar[bool] = False

    interval: float = 1.0
    timeout: float = 1.0
    proc: str = "/proc"
    _stat: KeptFile = field(init=False, repr=False)
    _series: dict[str, Series] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._stat = KeptFile(f"{self.proc}/self/stat", 1024)
        self._series = handles(self.metrics)

    def collect(self) -> Iterable[Sample]:
        """The agent's own figures."""
        threads, pages = parse_stat(self._stat.read())
        values = (cpu_seconds(), float(pages * PAGE), float(self._open_files()), float(threads))
        return map(Sample, self._series.values(), values)

    def _open_files(self) -> int:
        """Linux gives the number as the folder's size since 6.2; before, that is 0 and the folder is listed."""
        folder = f"{self.proc}/self/fd"
        return os.stat(folder).st_size or len(os.listdir(folder)) - 1
