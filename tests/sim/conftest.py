"""One compiled library for all tests, one client process a module; every test begins with eight healthy GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.sim.gpu import GpuSim
from tests.fakes import gpusim
from tests.fakes.nvmlclient import NvmlClient


@pytest.fixture(scope="session")
def compiled() -> Path:
    """The folder with the library."""
    return gpusim.compiled()


@pytest.fixture(scope="module")
def shared(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GpuSim, NvmlClient]]:
    """A host and a client that stay for all tests of a module."""
    sim = GpuSim.create(tmp_path_factory.mktemp("sim") / "gpu.json", compiled)
    client = NvmlClient(sim.environment())
    yield sim, client
    client.close()


@pytest.fixture
def sim(shared: tuple[GpuSim, NvmlClient], compiled: Path) -> GpuSim:
    """Eight healthy, idle H200."""
    return GpuSim.create(shared[0].path, compiled)


@pytest.fixture
def nvml(sim: GpuSim, shared: tuple[GpuSim, NvmlClient]) -> NvmlClient:
    """A client that has been running since before the test."""
    return shared[1]


@pytest.fixture
def another(sim: GpuSim) -> Iterator[Callable[..., NvmlClient]]:
    """Starts further clients of the same host."""
    started: list[NvmlClient] = []

    def start(init: bool = True) -> NvmlClient:
        started.append(NvmlClient(sim.environment(), init))
        return started[-1]

    yield start
    for client in started:
        client.close()
