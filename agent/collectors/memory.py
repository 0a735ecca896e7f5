"""The host's memory: what is there, what is left, and how hard the kernel works to find some."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import field
from typing import ClassVar

from agent.collectors._declare import counter, gauge, handles
from agent.collectors._kept import KeptSource, Numbers
from agent.dataclass import dataclass
from agent.model import Metric, Sample

PAGE = os.sysconf("SC_PAGE_SIZE")
MEMINFO = Numbers(
    {
        "host_memory_total_bytes": b"\nMemTotal:",
        "host_memory_free_bytes": b"\nMemFree:",
        "host_memory_available_bytes": b"\nMemAvailable:",
        "host_memory_cached_bytes": b"\nCached:",
        "host_memory_dirty_bytes": b"\nDirty:",
        "host_memory_writeback_bytes": b"\nWriteback:",
        "host_memory_shmem_bytes": b"\nShmem:",
        "host_memory_slab_unreclaimable_bytes": b"\nSUnreclaim:",
        "host_swap_total_bytes": b"\nSwapTotal:",
        "host_swap_free_bytes": b"\nSwapFree:",
    },
    1024,
)
EVENTS = Numbers(
    {
        "host_page_faults_major_total": b"\npgmajfault ",
        "host_oom_kills_total": b"\noom_kill ",
        "host_direct_reclaim_pages_total": b"\npgscan_direct ",
    }
)
SWAPPED = Numbers({"host_swap_in_bytes_total": b"\npswpin ", "host_swap_out_bytes_total": b"\npswpout "}, PAGE)
REFAULTS = Numbers({"anon": b"\nworkingset_refault_anon ", "file": b"\nworkingset_refault_file "})
REFAULTS_BEFORE_5_9 = Numbers({"all": b"\nworkingset_refault "})


def parse_meminfo(raw: bytes) -> dict[str, float]:
    """Values of /proc/meminfo, in bytes."""
    return MEMINFO.pick(b"\n" + raw)


def parse_vmstat(raw: bytes) -> dict[str, float]:
    """Values of /proc/vmstat; what this kernel does not count is left out."""
    raw = b"\n" + raw
    values = EVENTS.pick(raw) | SWAPPED.pick(raw)
    refaults = REFAULTS.pick(raw) or REFAULTS_BEFORE_5_9.pick(raw)
    if refaults:
        values["host_workingset_refaults_total"] = sum(refaults.values())
    return values


@dataclass
class Collector:
    """Reads /proc/meminfo and /proc/vmstat."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        gauge("host_memory_total_bytes", "bytes", "Memory of the machine that the kernel can use."),
        gauge("host_memory_free_bytes", "bytes", "Memory nobody uses, caches neither."),
        gauge("host_memory_available_bytes", "bytes", "Memory a new program could have without swapping, as the kernel reckons."),
        gauge("host_memory_cached_bytes", "bytes", "Page cache, shared memory and tmpfs included."),
        gauge("host_memory_dirty_bytes", "bytes", "Page cache that still has to be written."),
        gauge("host_memory_writeback_bytes", "bytes", "Page cache that is being written now."),
        gauge("host_memory_shmem_bytes", "bytes", "Shared memory and tmpfs, /dev/shm included."),
        gauge("host_memory_slab_unreclaimable_bytes", "bytes", "Memory the kernel itself holds and cannot give back."),
        gauge("host_swap_total_bytes", "bytes", "Size of all swap areas."),
        gauge("host_swap_free_bytes", "bytes", "Swap that is not in use."),
        counter("host_page_faults_major_total", "", "Page faults that had to read a disk."),
        counter("host_swap_in_bytes_total", "bytes", "Memory read back from swap."),
        counter("host_swap_out_bytes_total", "bytes", "Memory written to swap."),
        counter("host_oom_kills_total", "", "Processes the kernel killed for want of memory, cgroup limits included."),
        counter("host_direct_reclaim_pages_total", "", "Pages scanned by processes that had to free memory before they got some."),
        counter("host_workingset_refaults_total", "", "Pages read again soon after they had been evicted: memory is too small."),
    )
    may_block: ClassVar[bool] = False

    interval: float = 1.0
    timeout: float = 1.0
    proc: str = "/proc"
    _sources: tuple[KeptSource, KeptSource] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        series = handles(self.metrics)
        self._sources = (
            KeptSource(f"{self.proc}/meminfo", parse_meminfo, series),
            KeptSource(f"{self.proc}/vmstat", parse_vmstat, series),
        )

    def collect(self) -> Iterable[Sample]:
        """Host memory figures."""
        meminfo, vmstat = self._sources
        return meminfo.read() + vmstat.read_if_there()
