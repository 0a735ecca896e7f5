"""Pressure stall information: time lost because processor, memory or disk was not to be had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from functools import partial
from typing import ClassVar

from agent.collectors._declare import counter, handles
from agent.collectors._kept import KeptSource
from agent.collectors._psi import parse_pressure
from agent.dataclass import dataclass
from agent.errors import Unavailable
from agent.model import Metric, Sample

RESOURCES = ("cpu", "memory", "io")
WAITING = "Time in which at least one task waited for "
STALLED = "Time in which all tasks that had work waited for "


def parse_host(resource: str, raw: bytes) -> dict[str, float]:
    """Values of one file of /proc/pressure by metric name."""
    return {f"host_pressure_{resource}_{what}_seconds_total": value for what, value in parse_pressure(raw).items()}


@dataclass
class Collector:
    """Reads /proc/pressure; absent where the kernel was built or booted without it."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        counter("host_pressure_cpu_waiting_seconds_total", "seconds", WAITING + "a processor."),
        counter("host_pressure_memory_waiting_seconds_total", "seconds", WAITING + "memory (reclaim, swap, refaults)."),
        counter("host_pressure_io_waiting_seconds_total", "seconds", WAITING + "a disk."),
        counter("host_pressure_cpu_stalled_seconds_total", "seconds", STALLED + "a processor; 0 for a whole host by definition."),
        counter("host_pressure_memory_stalled_seconds_total", "seconds", STALLED + "memory."),
        counter("host_pressure_io_stalled_seconds_total", "seconds", STALLED + "a disk."),
    )
    may_block: ClassVar[bool] = False

    interval: float = 1.0
    timeout: float = 1.0
    proc: str = "/proc"
    _sources: tuple[KeptSource, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        series = handles(self.metrics)
        self._sources = tuple(KeptSource(f"{self.proc}/pressure/{r}", partial(parse_host, r), series) for r in RESOURCES)

    def collect(self) -> Iterable[Sample]:
        """Host pressure; :class:`Unavailable` without PSI."""
        samples: list[Sample] = []
        try:
            for source in self._sources:
                samples += source.read()
        except OSError as error:  # ENOENT: not built in; EOPNOTSUPP: built in but off
            raise Unavailable(f"no pressure stall information: {error.strerror}", help="boot the kernel with psi=1") from None
        return samples
