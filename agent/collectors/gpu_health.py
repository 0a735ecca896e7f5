"""What wears out or breaks on a GPU: memory errors, links, PCIe, fabric, and GPUs that are missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from agent.collectors._gpu_metrics import HEALTH_METRICS
from agent.errors import Unavailable
from agent.model import Event, Metric, Sample


@dataclass
class Collector:
    """Errors, links, modes and the count of GPUs."""

    metrics: ClassVar[tuple[Metric, ...]] = HEALTH_METRICS
    may_block: ClassVar[bool] = True

    interval: float = 30.0
    timeout: float = 20.0

    def collect(self) -> Iterable[Sample | Event]:
        """Unavailable where there is no NVML."""
        raise Unavailable("NVML is not asked yet")
