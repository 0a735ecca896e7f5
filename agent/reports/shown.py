"""What a periodic report shows: which counters are errors, which levels are use, which trends have a limit."""

from __future__ import annotations

from agent.dataclass import dataclass
from agent.model import Column, Labels
from agent.reports.history import Grid, rates


@dataclass(frozen=True)
class ErrorCount:
    """A counter whose growth is trouble."""

    metric: str
    what: str


@dataclass(frozen=True)
class Use:
    """How much of something was in use: a gauge or a counter's rate, where ``over`` is a metric as a share of it, where ``left``
    the metric says what is left of it. ``chart``: drawn too."""

    metric: str
    what: str
    unit: str
    over: str = ""
    counter: bool = False
    left: bool = False
    chart: str = ""


@dataclass(frozen=True)
class Outlook:
    """A level that may reach a limit: 0 for what is left of something, a figure, or none. ``counter``: its rate is looked at."""

    metric: str
    what: str
    unit: str
    limit: float | None = None
    counter: bool = False


ERRORS = (
    ErrorCount("host_oom_kills_total", "processes killed for want of memory"),
    ErrorCount("kernel_events_total", "events in the kernel log"),
    ErrorCount("kernel_device_errors_total", "device errors in the kernel log"),
    ErrorCount("gpu_xid_total", "Xid errors"),
    ErrorCount("gpu_ecc_errors_total", "GPU memory errors"),
    ErrorCount("gpu_nvlink_errors_total", "NVLink errors"),
    ErrorCount("gpu_pcie_replays_total", "PCIe packets sent again"),
    ErrorCount("network_receive_errors_total", "network receive errors"),
    ErrorCount("network_transmit_errors_total", "network transmit errors"),
    ErrorCount("network_receive_drops_total", "packets dropped on receipt"),
    ErrorCount("network_transmit_drops_total", "packets dropped on sending"),
    ErrorCount("tcp_segments_retransmitted_total", "TCP segments sent again"),
    ErrorCount("tcp_listen_overflows_total", "connections turned away: queue full"),
    ErrorCount("nvml_timeouts_total", "NVML calls that did not come back"),
)

USES = (
    Use("host_cpu_busy_seconds_total", "CPU", "ratio", over="host_cpus", counter=True, chart="CPU and memory"),
    Use("host_memory_available_bytes", "memory", "ratio", over="host_memory_total_bytes", left=True, chart="CPU and memory"),
    Use("host_swap_free_bytes", "swap", "ratio", over="host_swap_total_bytes", left=True),
    Use("host_load1", "load", ""),
    Use("host_pressure_cpu_waiting_seconds_total", "time somebody waited for a CPU", "ratio", counter=True, chart="Pressure"),
    Use("host_pressure_memory_waiting_seconds_total", "time somebody waited for memory", "ratio", counter=True, chart="Pressure"),
    Use("host_pressure_io_waiting_seconds_total", "time somebody waited for a disk", "ratio", counter=True, chart="Pressure"),
    Use("disk_io_time_seconds_total", "disk busy", "ratio", counter=True, chart="Disks busy"),
    Use("disk_read_bytes_total", "disk reads", "bytes/second", counter=True),
    Use("disk_written_bytes_total", "disk writes", "bytes/second", counter=True),
    Use("filesystem_avail_bytes", "filesystem full", "ratio", over="filesystem_size_bytes", left=True, chart="Filesystems full"),
    Use("network_receive_bytes_total", "network received", "bytes/second", counter=True, chart="Network received"),
    Use("network_transmit_bytes_total", "network sent", "bytes/second", counter=True),
    Use("gpu_utilization_ratio", "GPU busy", "ratio", chart="GPUs busy"),
    Use("gpu_memory_free_bytes", "GPU memory", "ratio", over="gpu_memory_total_bytes", left=True, chart="GPU memory"),
    Use("gpu_temperature_celsius", "GPU temperature", "celsius", chart="GPU temperature"),
    Use("gpu_power_watts", "GPU power", "watts", chart="GPU power"),
)

REMAPS_MOST = 512.0
"""Rows an A100 or later can replace in all (NVIDIA GPU Memory Error Management)."""

OUTLOOKS = (
    Outlook("filesystem_avail_bytes", "room left on a filesystem", "bytes", 0.0),
    Outlook("filesystem_files_free", "inodes left on a filesystem", "", 0.0),
    Outlook("host_memory_available_bytes", "memory left", "bytes", 0.0),
    Outlook("host_swap_free_bytes", "swap left", "bytes", 0.0),
    Outlook("cgroup_memory_free_bytes", "memory left of a limit", "bytes", 0.0),
    Outlook("gpu_memory_free_bytes", "GPU memory left", "bytes", 0.0),
    Outlook("gpu_remapped_rows", "GPU memory rows replaced", "", REMAPS_MOST),
    Outlook("gpu_ecc_errors_total", "GPU memory errors per second", "1/second", counter=True),
    Outlook("gpu_temperature_celsius", "GPU temperature", "celsius"),
    Outlook("gpu_memory_temperature_celsius", "GPU memory temperature", "celsius"),
)
"""Temperatures have no limit here: boards differ, and the agent does not read theirs."""

OWN = (
    "agent_cpu_seconds_total",
    "agent_resident_bytes",
    "agent_collector_up",
    "agent_ticks_skipped_total",
    "host_boot_time_seconds",
)
NAMES = frozenset(
    {e.metric for e in ERRORS} | {u.metric for u in USES} | {u.over for u in USES if u.over} | {o.metric for o in OUTLOOKS} | {*OWN}
)


def level(grid: Grid, use: Use) -> dict[Labels, Column]:
    """The course of a use, by label set; where there is nothing it is a share of, such as swap, nothing."""
    found = {known: rates(column) if use.counter else column for known, column in grid.named(use.metric).items()}
    if not use.over:
        return found
    wholes = grid.named(use.over)
    return {known: share for known, column in found.items() if (share := _share(column, wholes.get(known), left=use.left)).times}


def _share(column: Column, whole: Column | None, *, left: bool) -> Column:
    times, values = column.times[:0], column.values[:0]
    sizes = dict(zip(whole.times, whole.values, strict=True)) if whole else {}
    for t, v in zip(column.times, column.values, strict=True):
        if (size := sizes.get(t, 0.0)) > 0.0:
            times.append(t)
            values.append(1.0 - v / size if left else v / size)
    return Column(times, values)
