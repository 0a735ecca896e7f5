"""Conformance: wrong arguments, boards that lack things, MIG instances, and what the library exports."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest

from agent.sim.board import call_names
from agent.sim.boards import BOARDS
from agent.sim.change import cut
from agent.sim.gpu import GpuSim
from tests.fakes.nvmlclient import NvmlClient

GIB = 1 << 30


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        ("filled(N.nvmlDeviceGetGpuFabricInfoV, N.c_nvmlGpuFabricInfo_v2_t, h(0), version=0x01000020)", 25),
        ("filled(N.nvmlLib.nvmlDeviceGetMemoryInfo_v2, N.c_nvmlMemory_v2_t, h(0), version=0x03000028)", 25),
        ("filled(N.nvmlLib.nvmlDeviceGetTemperatureV, N.c_nvmlTemperature_v1_t, h(0), version=7)", 25),
        ("filled(N.nvmlLib.nvmlDeviceGetProcessesUtilizationInfo, N.c_nvmlProcessesUtilizationInfo_v1_t, h(0), version=7)", 25),
        ("h(8)", 2),
        ("by_uuid('GPU-none')", 6),
        ("N.nvmlDeviceGetHandleByPciBusId('0000:99:00.0')", 6),
        ("N.nvmlDeviceGetHandleByPciBusId('nonsense')", 2),
        ("raw('nvmlDeviceGetPowerUsage', None, ctypes.byref(N.c_uint()))", 2),
        ("raw('nvmlDeviceGetPowerUsage', ctypes.c_void_p(8), ctypes.byref(N.c_uint()))", 2),
        ("raw('nvmlDeviceGetPowerUsage', h(0), None)", 2),
        ("N.nvmlDeviceGetTemperature(h(0), 5)", 2),
        ("N.nvmlDeviceGetNvLinkState(h(0), 18)", 2),
        ("raw('nvmlDeviceGetName', h(0), ctypes.create_string_buffer(4), 4)", 7),
        ("N.nvmlSystemGetProcessName(2**22 + 1)", 6),
        ("N.nvmlDeviceGetDriverModel(h(0))", 3),
        ("N.nvmlDeviceGetConfComputeMemSizeInfo(h(0))", 3),
    ],
)
def test_wrong_arguments_are_told_as_nvml_does(nvml: NvmlClient, call: str, wrong: int) -> None:
    """Never a crash, whatever the pointer."""
    assert nvml.error(call) == wrong


def test_what_a_board_does_not_have_is_not_supported(sim: GpuSim, nvml: NvmlClient) -> None:
    """null in the state; H200 have no fans, remapped rows instead of retired pages and no L1 counters."""
    sim.set(1, {"temperature.memory": None, "utilization.encoder": None})
    for call in ("GetFanSpeed(h(0))", "GetRetiredPagesPendingStatus(h(0))", "GetMemoryErrorCounter(h(0), 0, 0, 0)"):
        assert nvml.error(f"N.nvmlDevice{call}") == 3
    assert nvml("fields(1, 82)") == {"82": -3}
    assert nvml.error("N.nvmlDeviceGetEncoderUtilization(h(1))") == 3


def test_instances_of_a_cut_gpu_have_handles_memory_and_processes_of_their_own(sim: GpuSim, nvml: NvmlClient) -> None:
    """The whole GPU has no utilisation and no remapped rows then, and still lists all processes."""
    with sim.change() as state:
        cut(state["gpus"][2], [3, 2, 1])
    sim.set(
        2, {"processes.7.memory": "8GiB", "processes.7.gpu_instance": 2, "processes.7.compute_instance": 0, "processes.7.sm": 5}
    )
    assert nvml("N.nvmlDeviceGetMigMode(h(2))") == [1, 1]
    assert nvml("[N.nvmlDeviceGetName(m(2, k)) for k in range(3)]")[1] == "NVIDIA H200 MIG 2g.35gb"
    assert nvml("N.nvmlDeviceGetUUID(m(2, 1))").startswith("MIG-")
    assert nvml("(N.nvmlDeviceGetGpuInstanceId(m(2, 1)), N.nvmlDeviceGetComputeInstanceId(m(2, 1)))") == [2, 0]
    assert nvml("N.nvmlDeviceGetMemoryInfo(m(2, 1)).used") == 8 * GIB
    assert nvml("N.nvmlDeviceGetMemoryInfo(m(2, 1), version=N.nvmlMemory_v2).total") == 141 * GIB // 4 - GIB // 8
    assert nvml("[[p.pid for p in N.nvmlDeviceGetComputeRunningProcesses(x)] for x in (h(2), m(2, 1), m(2, 0))]") == [[7], [7], []]
    assert nvml("N.nvmlDeviceGetAttributes(m(2, 1)).gpuInstanceSliceCount") == 2
    assert nvml("N.nvmlDeviceGetUUID(N.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(m(2, 1)))") == nvml("N.nvmlDeviceGetUUID(h(2))")
    assert nvml("filled(N.nvmlLib.nvmlDeviceIsMigDeviceHandle, N.c_uint, m(2, 0)).value") == 1
    assert nvml("N.nvmlDeviceGetIndex(by_uuid(N.nvmlDeviceGetUUID(m(2, 1))))") == 1
    whole = (
        "GetUtilizationRates(h(2))",
        "GetProcessUtilization(h(2), 0)",
        "GetRemappedRows(h(2))",
        "GetMigDeviceHandleByIndex(h(0), 0)",
    )
    assert [nvml.error(f"N.nvmlDevice{call}") for call in whole] == [3, 3, 3, 3]
    assert nvml.error("N.nvmlDeviceGetMigDeviceHandleByIndex(h(2), 3)") == 6
    assert nvml.error("N.nvmlDeviceGetPowerUsage(m(2, 0))") == 3


@pytest.mark.parametrize("board", BOARDS)
def test_every_board_comes_up(compiled: Path, sim: GpuSim, nvml: NvmlClient, board: str) -> None:
    """With none, one and sixteen GPUs."""
    for count in (0, 1, 16):
        GpuSim.create(sim.path, compiled, gpus=count, board=board)
        assert nvml("N.nvmlDeviceGetCount()") == count
    assert nvml("len({N.nvmlDeviceGetUUID(h(i)) for i in range(16)})") == 16
    assert nvml("N.nvmlDeviceGetName(h(15))") == BOARDS[board].name


def test_the_library_exports_its_list_of_functions_and_nothing_else(sim: GpuSim) -> None:
    """All that the agent itself calls are among them."""
    library = ctypes.CDLL(str(sim.library / "libnvidia-ml.so.1"))
    assert all(hasattr(library, name) for name in call_names())
    assert not hasattr(library, "load_host")
    root = Path(__file__).resolve().parents[2]
    used = {name for path in root.glob("agent/host/nvml*.py") for name in re.findall(r'"(nvml[A-Z]\w+)"', path.read_text())}
    assert used
    assert used <= {*call_names(), "nvmlErrorString"}
