"""A simulated host as files: the library as an installer leaves it, what stands for /proc, what a client needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.errors import UsageError
from agent.host.nvml_driver import library_file, loaded_version, locate
from agent.sim.gpu import GpuSim
from tests.fakes.nvmlclient import NvmlClient


def test_the_library_is_found_by_its_folder_and_tells_its_version_by_its_name(sim: GpuSim) -> None:
    """As the agent looks for a real one."""
    path = locate(env=sim.environment())
    assert path == str(sim.library / "libnvidia-ml.so.1")
    found = library_file(path)
    assert found is not None
    assert found.version == "580.95.05"


def test_an_upgrade_is_another_file(sim: GpuSim) -> None:
    """With another version; the old file stays for those that have it mapped."""
    before = library_file(str(sim.library / "libnvidia-ml.so.1"))
    sim.fault("upgrade", version="590.44.01")
    after = library_file(str(sim.library / "libnvidia-ml.so.1"))
    assert before is not None
    assert after is not None
    assert before != after
    assert after.version == "590.44.01"
    assert os.path.exists(before.path)
    assert loaded_version(str(sim.proc)) == "590.44.01"


def test_a_recompiled_library_replaces_the_installed_one(sim: GpuSim, tmp_path: Path) -> None:
    """At the next change of the state."""
    (tmp_path / "libnvidia-ml.so.1").write_text("newer")
    newer = GpuSim(sim.path, tmp_path)
    newer.set(0, {"fan": None})
    assert (sim.library / "libnvidia-ml.so.1").read_text() == "newer"


def test_the_proc_folder_tells_the_driver_and_every_gpu(sim: GpuSim) -> None:
    """By PCI address, in the words of the driver."""
    assert loaded_version(str(sim.proc)) == "580.95.05"
    folders = sorted(sim.proc.glob("driver/nvidia/gpus/*/information"))
    assert len(folders) == 8
    assert folders[1].parent.name == "0000:20:00.0"
    said = dict(line.split(":", 1) for line in folders[1].read_text().splitlines())
    assert said["GPU UUID"].strip() == sim.read()["gpus"][1]["uuid"]
    assert said["Bus Location"].strip() == "0000:20:00.0"


def test_a_host_with_fewer_gpus_forgets_the_others(sim: GpuSim, compiled: Path) -> None:
    """Made anew in the same place, with nothing counted."""
    GpuSim.create(sim.path, compiled, gpus=1)
    assert len(list(sim.proc.glob("driver/nvidia/gpus/*"))) == 1
    assert sim.calls() == {}


@pytest.mark.parametrize("count", [-1, 17])
def test_there_is_room_for_sixteen(compiled: Path, tmp_path: Path, count: int) -> None:
    """Not for more."""
    with pytest.raises(UsageError, match="0 to 16"):
        GpuSim.create(tmp_path / "gpu.json", compiled, gpus=count)


def test_a_client_needs_nothing_but_the_environment(sim: GpuSim, nvml: NvmlClient) -> None:
    """Absolute paths, whatever folder it runs in."""
    assert all(os.path.isabs(value) for value in sim.environment().values())
    assert nvml("N.nvmlSystemGetDriverVersion()") == "580.95.05"
