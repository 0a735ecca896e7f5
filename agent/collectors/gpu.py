"""GPUs as NVML sees them: load, memory, power, clocks, throttling, and the processes on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from agent.collectors._gpu_metrics import GPU_METRICS
from agent.errors import Unavailable
from agent.model import Event, Metric, Sample


@dataclass
class Collector:
    """Load, memory, temperature, power, clocks and processes of every GPU."""

    metrics: ClassVar[tuple[Metric, ...]] = GPU_METRICS
    may_block: ClassVar[bool] = True

    interval: float = 5.0
    timeout: float = 8.0

    def collect(self) -> Iterable[Sample | Event]:
        """Unavailable where there is no NVML."""
        raise Unavailable("NVML is not asked yet")
