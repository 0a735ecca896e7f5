"""One GPU in the collectors: its labels and the handles of its series."""

from __future__ import annotations

import time

from agent.collectors._board import Board
from agent.collectors._gpu_metrics import GPU, GPU_METRICS
from agent.collectors._gpu_people import People
from agent.collectors._gpu_values import Throttled
from agent.host.nvml_gpu import GpuState, address
from agent.host.text import clean
from agent.model import Labels, Series, labels


class Card:
    """One GPU with the handles of its series."""

    def __init__(self, state: GpuState, proc: str) -> None:
        self.labels = identity(state)
        self.series = {m.name: Series(m.name, self.labels) for m in GPU_METRICS if m.labels == GPU}
        self.figures = Board(self.labels)
        self.people = People(self.labels, proc)
        self.throttled = Throttled()
        self.reasons: dict[str, Series] = {}
        self.instances: dict[str, Labels] = {}
        self.info: tuple[str, Series] | None = None
        self.began = time.monotonic()


def identity(state: GpuState) -> Labels:
    """The labels that name a GPU."""
    return labels(gpu=state.index, uuid=clean(state.uuid, 96), pci=clean(address(state.pci), 24))
