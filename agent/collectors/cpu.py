"""The host's processors: time by kind, load, context switches, forks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import field
from typing import ClassVar

from agent.collectors._declare import counter, gauge, handles
from agent.collectors._kept import KeptSource
from agent.dataclass import dataclass
from agent.model import Metric, Sample

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
FALLING = ("host_cpu_idle_seconds_total", "host_cpu_iowait_seconds_total", "host_cpu_steal_seconds_total")
"""The kernel lets these step back a little (proc(5) on iowait); a counter that falls would read as a restart."""


def parse_stat(raw: bytes) -> dict[str, float]:
    """Values of /proc/stat. Guest time is part of user time, interrupt time is counted as system time."""
    user, nice, system, idle, iowait, irq, softirq, steal = (int(t) / TICKS_PER_SECOND for t in raw[4:250].split(None, 8)[:8])
    _, switches, _, boot, _, forks, _, running, _, blocked = raw[raw.rindex(b"\nctxt ") :].split(None, 10)[:10]
    user, system = user + nice, system + irq + softirq
    return {
        "host_cpus": float(raw.count(b"\ncpu")),
        "host_cpu_busy_seconds_total": user + system,
        "host_cpu_user_seconds_total": user,
        "host_cpu_system_seconds_total": system,
        "host_cpu_iowait_seconds_total": iowait,
        "host_cpu_steal_seconds_total": steal,
        "host_cpu_idle_seconds_total": idle,
        "host_context_switches_total": float(switches),
        "host_forks_total": float(forks),
        "host_procs_running": float(running),
        "host_procs_blocked": float(blocked),
        "host_boot_time_seconds": float(boot),
    }


def parse_loadavg(raw: bytes) -> dict[str, float]:
    """The one-minute load of /proc/loadavg."""
    return {"host_load1": float(raw[: raw.index(b" ")])}


@dataclass
class Collector:
    """Reads /proc/stat and /proc/loadavg."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        gauge("host_cpus", "", "Processors that are online."),
        counter("host_cpu_busy_seconds_total", "seconds", "Time the processors worked, all of them summed: user and system time."),
        counter("host_cpu_user_seconds_total", "seconds", "Time in programs, niced and guest time included."),
        counter("host_cpu_system_seconds_total", "seconds", "Time in the kernel, interrupts included."),
        counter("host_cpu_iowait_seconds_total", "seconds", "Idle time while a task of that processor waited for a disk."),
        counter("host_cpu_steal_seconds_total", "seconds", "Time the hypervisor gave to others although this machine wanted it."),
        counter("host_cpu_idle_seconds_total", "seconds", "Time with nothing to do, waiting for disks not included."),
        gauge("host_load1", "", "Tasks that run, want to run or wait uninterruptibly; mean of about a minute."),
        counter("host_context_switches_total", "", "Switches from one task to another."),
        counter("host_forks_total", "", "Processes and threads ever started."),
        gauge("host_procs_running", "", "Tasks that run or want to run at this moment."),
        gauge("host_procs_blocked", "", "Tasks that wait for a disk at this moment."),
        gauge("host_boot_time_seconds", "seconds", "When the machine was booted, in Unix seconds."),
    )
    may_block: ClassVar[bool] = False

    interval: float = 1.0
    timeout: float = 1.0
    proc: str = "/proc"
    _highest: dict[str, float] = field(init=False, repr=False, default_factory=dict)
    _sources: tuple[KeptSource, KeptSource] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        series = handles(self.metrics)
        self._sources = (
            KeptSource(f"{self.proc}/stat", self._parse_stat, series),
            KeptSource(f"{self.proc}/loadavg", parse_loadavg, series),
        )

    def collect(self) -> Iterable[Sample]:
        """Host processor figures."""
        stat, load = self._sources
        return stat.read() + load.read()

    def _parse_stat(self, raw: bytes) -> dict[str, float]:
        values = parse_stat(raw)
        highest = self._highest
        for name in FALLING:
            values[name] = highest[name] = max(values[name], highest.get(name, 0.0))
        return values
