"""Simulated GPUs for tests, drills and people: make a state file, change it while clients run, break it on purpose."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.errors import UsageError
from agent.host.lane import aside
from agent.sim import statefile
from agent.sim.board import Board
from agent.sim.boards import gpu
from agent.sim.build import SONAME
from agent.sim.change import gpus_of, set_figure
from agent.sim.statefile import MOST_GPUS, State
from agent.sim.verbs import clear, inject

DRIVER = "580.95.05"
SEEN = "gpus.json"
"""What an agent remembers of these GPUs, in the folder beside the state; new GPUs begin without a past."""


class GpuSim:
    """One simulated host. ``path`` is its state file; what else it needs lies beside it in ``<path>.d``."""

    def __init__(self, path: Path | str, compiled: Path) -> None:
        self.path = Path(path).absolute()
        self.compiled = compiled

    @classmethod
    def create(
        cls, path: Path | str, compiled: Path, *, gpus: int = 8, board: str = "h200", driver: str = DRIVER, cuda: int = 13000
    ) -> GpuSim:
        """A host of healthy, idle GPUs of one model; ``compiled`` is the folder that ``build.library()`` gave."""
        if not 0 <= gpus <= MOST_GPUS:
            raise UsageError(f"{gpus} GPUs", help=f"0 to {MOST_GPUS}")
        sim = cls(path, compiled)
        sim.path.parent.mkdir(parents=True, exist_ok=True)
        with Board(sim.path) as page:
            page.forget()
        (sim.proc.parent / SEEN).unlink(missing_ok=True)
        sim.write(
            {
                "schema": statefile.SCHEMA,
                "since": round(time.time(), 3),
                "driver": {"version": driver, "library": driver, "loaded": True, "cuda": cuda},
                "gpus": [gpu(board, number) for number in range(gpus)],
                "faults": [],
                "events": [],
            }
        )
        return sim

    @property
    def library(self) -> Path:
        """The folder for ``LD_LIBRARY_PATH``; the library's file name carries its version, as a driver's does."""
        return Path(f"{self.path}.d") / "lib"

    @property
    def proc(self) -> Path:
        """What stands for ``/proc`` as far as ``driver/nvidia`` goes."""
        return Path(f"{self.path}.d") / "proc"

    def environment(self) -> dict[str, str]:
        """What a client's environment must say."""
        return {"LD_LIBRARY_PATH": str(self.library), "ANFL_SIM_GPU": str(self.path), "ANFL_SIM_PROC": str(self.proc)}

    def read(self) -> State:
        """The state as it is now."""
        return statefile.read(self.path)

    def write(self, state: State) -> None:
        """Put a whole state in force."""
        statefile.write(self.path, state)
        self._install(state["driver"])
        self._driver_files(state)

    def install(self) -> None:
        """Put the library and the driver's files beside the state, where it was copied or recorded without them."""
        state = self.read()
        self._install(state["driver"])
        self._driver_files(state)

    @contextlib.contextmanager
    def change(self) -> Iterator[State]:
        """The state to change; in force when the block is left without an error."""
        with statefile.alone(self.path):
            state = self.read()
            yield state
            self.write(state)

    async def apply(self, do: Callable[[State], None]) -> None:
        """The same from the event loop, which it does not block."""

        def now() -> None:
            with self.change() as state:
                do(state)

        await aside(now)

    def set(self, gpus: Any, figures: Mapping[str, Any]) -> None:
        """Figures of GPUs by path: ``set(0, {"temperature.gpu": 91, "power.usage": "ramp 70..700 over 1m"})``."""
        with self.change() as state:
            for one in gpus_of(state, gpus):
                for path, value in figures.items():
                    set_figure(state, one, path, value)

    def fault(self, verb: str, **said: Any) -> list[str]:
        """Break something (see :data:`agent.sim.verbs.VERBS`); the ids to clear it by."""
        with self.change() as state:
            return inject(state, verb, said)

    def clear(self, *ids: str) -> None:
        """Take faults back, all or these."""
        with self.change() as state:
            clear(state, list(ids))

    def calls(self) -> dict[str, int]:
        """How often each function has been called by all clients together."""
        with Board(self.path) as board:
            return board.calls()

    def hits(self, fault_id: str) -> int:
        """How often a fault has been met."""
        with Board(self.path) as board:
            return board.hits(fault_id)

    def _install(self, driver: Mapping[str, Any]) -> None:
        """The library on disk, as an installer leaves it: a file with its version in its name, and a link to it."""
        self.library.mkdir(parents=True, exist_ok=True)
        name = f"libnvidia-ml.so.{driver['library']}"
        link = self.library / SONAME
        if link.is_symlink() and os.readlink(link) == name and _same(self.compiled / SONAME, self.library / name):
            return
        fresh = self.library / f".{name}"
        shutil.copy2(self.compiled / SONAME, fresh)
        fresh.replace(self.library / name)
        beside = self.library / f".{SONAME}"
        beside.unlink(missing_ok=True)
        beside.symlink_to(name)
        beside.replace(link)

    def _driver_files(self, state: State) -> None:
        folder = self.proc / "driver" / "nvidia"
        if not state["driver"].get("loaded", True):
            shutil.rmtree(folder, ignore_errors=True)
            return
        present = {str(one["pci"]): one for one in state["gpus"] if one.get("present", True)}
        (folder / "gpus").mkdir(parents=True, exist_ok=True)
        for gone in {entry.name for entry in (folder / "gpus").iterdir()} - set(present):
            shutil.rmtree(folder / "gpus" / gone)
        for pci, one in present.items():
            (folder / "gpus" / pci).mkdir(exist_ok=True)
            _put(folder / "gpus" / pci / "information", _information(pci, one))
        _put(folder / "version", _version(str(state["driver"]["version"])))


def _same(compiled: Path, installed: Path) -> bool:
    """A copy keeps the time of what it was copied from."""
    try:
        one, other = compiled.stat(), installed.stat()
    except FileNotFoundError:
        return False
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _put(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}")
    beside.write_text(text)
    beside.replace(path)


def _version(version: str) -> str:
    return (
        f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build  (simulated)\n"
        "GCC version:  gcc version 12.2.0\n"
    )


def _information(pci: str, gpu: Mapping[str, Any]) -> str:
    return (
        f"Model: \t\t {gpu.get('name')}\nIRQ:   \t\t 100\nGPU UUID: \t {gpu.get('uuid')}\nVideo BIOS: \t {gpu.get('vbios')}\n"
        f"Bus Type: \t PCIe\nDMA Size: \t 52 bits\nDMA Mask: \t 0xfffffffffffff\nBus Location: \t {pci}\n"
        f"Device Minor: \t {gpu.get('minor')}\nGPU Firmware: \t {gpu.get('gsp') or 'N/A'}\nGPU Excluded:\t No\n"
    )
