"""Simulated GPUs for tests that need NVML: compiled once, one state file a test."""

from __future__ import annotations

import asyncio
import os
import shutil
from functools import cache
from pathlib import Path

import pytest

from agent.sim import build
from agent.sim.board import Board
from agent.sim.change import cut, gpus_of, set_figure
from agent.sim.gpu import GpuSim
from agent.sim.verbs import clear, inject


@cache
def compiled() -> Path:
    """The folder with the simulated library; the test is skipped where there is no compiler."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    return asyncio.run(build.library())


class Host:
    """A host with simulated GPUs, and words to change it by."""

    def __init__(self, folder: Path, gpus: int = 2, board: str = "h200") -> None:
        self.sim = GpuSim.create(folder / "gpu.json", compiled(), gpus=gpus, board=board)

    @property
    def library(self) -> str:
        """The folder to load NVML from."""
        return str(self.sim.library)

    @property
    def file(self) -> str:
        """The library itself."""
        return str(self.sim.library / build.SONAME)

    @property
    def env(self) -> dict[str, str]:
        """For the process that calls NVML."""
        return {**os.environ, **self.sim.environment()}

    def uuid(self, gpu: int) -> str:
        """Of the GPU with that number in the file."""
        return str(self.sim.read()["gpus"][gpu]["uuid"])

    def break_(self, verb: str, said: object = None) -> None:
        """A fault, such as ``break_("hang", {"gpu": 1})``."""
        with self.sim.change() as state:
            inject(state, verb, said)

    def calls(self) -> dict[str, int]:
        """How often each function was called so far, by any process."""
        with Board(self.sim.path) as board:
            return board.calls()

    def cut(self, gpu: int, slices: list[int]) -> None:
        """MIG: cut it into instances; none: whole again."""
        with self.sim.change() as state:
            cut(state["gpus"][gpu], slices)

    def mend(self) -> None:
        """No fault any more."""
        with self.sim.change() as state:
            clear(state)

    def put(self, gpu: object, **figures: object) -> None:
        """Give a GPU other figures; a name's underscores stand for the dots of its path."""
        with self.sim.change() as state:
            for one in gpus_of(state, gpu):
                for name, value in figures.items():
                    set_figure(state, one, name.replace("__", "."), value)
