"""Conformance: what nvidia-ml-py gets from every function and every version of a structure, for a board whose state is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.sim.board import call_names
from agent.sim.change import cut
from agent.sim.gpu import GpuSim
from tests.fakes.nvmlclient import NvmlClient

GIB = 1 << 30
FIRST = "GPU-81ccb6f6-7f8b-53e6-8313-9cb9ef6a3d95"
SETTLED: dict[str, Any] = {
    "utilization.gpu": 91, "utilization.memory": 40, "utilization.encoder": 5, "utilization.decoder": 6, "utilization.jpeg": 7,
    "utilization.optical_flow": 8, "memory.other": 2 * GIB, "bar1.used": "1GiB", "temperature.gpu": 66, "temperature.memory": 71,
    "temperature.margin": 21,
    "nvlink.links.3.errors.recovery_ok": 2, "nvlink.links.3.errors.recovery_failed": 1,
    "power.usage": 512.5, "power.limit": 650, "power.enforced_limit": 640, "clocks.graphics": 1800,
    "clocks.sm": 1801, "clocks.memory": 3201, "clocks.video": 1500, "clocks.set.sm": 1700, "throttle.idle": 0,
    "throttle.sw_power_cap": 1, "ecc.volatile.corrected.dram": 3, "ecc.volatile.uncorrected.sram": 1,
    "ecc.aggregate.corrected.dram": 30, "ecc.aggregate.uncorrected.dram": 2, "retired.single_bit": 2, "retired.double_bit": 1,
    "retired.pending": True, "remap.corrected": 4, "remap.uncorrected": 2, "remap.pending": True, "remap.failed": False,
    "remap.histogram.max": 638, "remap.histogram.high": 2, "pcie.generation": 4, "pcie.width": 8, "pcie.replays": 17,
    "pcie.errors.l0_to_recovery": 9, "pcie.transmit": 1e6, "pcie.receive": 2e6, "nvlink.errors.crc_flit": 5,
    "nvlink.links.3.errors.crc_flit": 7, "nvlink.links.3.errors.replay": 11, "nvlink.links.4.state": "down",
    "nvlink.links.5.remote": "gpu", "nvlink.errors.symbol": 2, "fabric.state": "in-progress", "fabric.status": 0,
    "fabric.health": 2, "fabric.clique": 7, "fabric.summary": "unhealthy",
    "fabric.cluster": "00112233-4455-6677-8899-aabbccddeeff", "recovery_action": "gpu-reset", "fan": 44, "fans": 2,
    "processes.41.memory": "4GiB", "processes.41.sm": 50, "processes.41.memory_activity": 20, "processes.42.memory": "1GiB",
    "processes.42.type": "graphics", "processes.43.memory": "2GiB", "processes.43.type": "mps", "processes.43.encoder": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def known(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GpuSim, NvmlClient]]:
    """A host whose GPU 0 has a known value in every figure, and its client."""
    sim = GpuSim.create(tmp_path_factory.mktemp("known") / "gpu.json", compiled)
    sim.set(0, SETTLED)
    client = NvmlClient(sim.environment())
    yield sim, client
    client.close()


@pytest.fixture
def settled(known: tuple[GpuSim, NvmlClient]) -> NvmlClient:
    """The client."""
    return known[1]


D = "h(0)"
CALLS: list[tuple[str, Any]] = [
    ("N.nvmlSystemGetDriverVersion()", "580.95.05"),
    ("N.nvmlSystemGetNVMLVersion()", "13.580.95.05"),
    ("N.nvmlSystemGetCudaDriverVersion()", 13000),
    ("N.nvmlSystemGetCudaDriverVersion_v2()", 13000),
    ("N.nvmlSystemGetDriverBranch().branch", "r580"),
    ("N.nvmlSystemGetHicVersion()", []),
    ("N.nvmlUnitGetCount()", 0),
    ("N.nvmlErrorString(15)", "GPU is lost"),
    ("N.nvmlDeviceGetCount()", 8),
    (f"N.nvmlDeviceGetName({D})", "NVIDIA H200"),
    (f"N.nvmlDeviceGetUUID({D})", FIRST),
    (f"N.nvmlDeviceGetIndex(by_uuid('{FIRST}'))", 0),
    ("N.nvmlDeviceGetIndex(N.nvmlDeviceGetHandleByPciBusId('00000000:28:00.0'))", 2),
    ("N.nvmlDeviceGetIndex(N.nvmlDeviceGetHandleBySerial('1650000000003'))", 3),
    (f"N.nvmlDeviceGetIndex(N.nvmlDeviceGetHandleByUUIDV(b'{FIRST}', N.NVML_UUID_TYPE_ASCII))", 0),
    (f"N.nvmlDeviceGetIndex(N.nvmlDeviceGetHandleByUUIDV(bytes.fromhex('{FIRST[4:].replace('-', '')}'), 2))", 0),
    (f"N.nvmlDeviceGetSerial({D})", "1650000000000"),
    (f"N.nvmlDeviceGetMinorNumber({D})", 0),
    (f"N.nvmlDeviceGetPciInfo({D}).busId", "00000000:18:00.0"),
    (f"N.nvmlDeviceGetPciInfo_v3({D}).busIdLegacy", "0000:18:00.0"),
    (f"N.nvmlDeviceGetPciInfo({D}).pciDeviceId", 0x233510DE),
    (f"filled(N.nvmlLib.nvmlDeviceGetPciInfo_v2, N.nvmlPciInfo_v2_t, {D}).bus", 0x18),
    (f"filled(N.nvmlLib.nvmlDeviceGetPciInfoExt, N.nvmlPciInfoExt_v1_t, {D}, version=N.nvmlPciInfoExt_v1).baseClass", 3),
    (f"N.nvmlDeviceGetBrand({D})", 13),
    (f"N.nvmlDeviceGetBoardId({D})", 0x1800),
    (f"N.nvmlDeviceGetMultiGpuBoard({D})", 0),
    (f"N.nvmlDeviceGetBoardPartNumber({D})", "900-2G520-0000-000"),
    (f"N.nvmlDeviceGetVbiosVersion({D})", "96.00.99.00.01"),
    (f"N.nvmlDeviceGetInforomVersion({D}, 1)", "2.1"),
    (f"N.nvmlDeviceGetInforomImageVersion({D})", "G520.0200.00.05"),
    (f"N.nvmlDeviceGetInforomConfigurationChecksum({D})", 0x5EED0018),
    (f"N.nvmlDeviceValidateInforom({D})", None),
    (f"N.nvmlDeviceGetArchitecture({D})", 9),
    (f"N.nvmlDeviceGetBusType({D})", 2),
    (f"N.nvmlDeviceGetIrqNum({D})", 124),
    (f"N.nvmlDeviceGetNumGpuCores({D})", 16896),
    (f"N.nvmlDeviceGetMemoryBusWidth({D})", 6144),
    (f"N.nvmlDeviceGetPowerSource({D})", 0),
    (f"N.nvmlDeviceGetAddressingMode({D})", 0),
    (f"N.nvmlDeviceGetNumaNodeId({D})", 0),
    (f"N.nvmlDeviceGetCudaComputeCapability({D})", [9, 0]),
    (f"N.nvmlDeviceGetComputeMode({D})", 0),
    (f"N.nvmlDeviceGetPersistenceMode({D})", 1),
    (f"N.nvmlDeviceGetDisplayMode({D})", 0),
    (f"N.nvmlDeviceGetDisplayActive({D})", 0),
    (f"N.nvmlDeviceGetVirtualizationMode({D})", 0),
    (f"N.nvmlDeviceGetAccountingMode({D})", 0),
    (f"N.nvmlDeviceGetGspFirmwareVersion({D})", "580.95.05"),
    (f"N.nvmlDeviceGetGspFirmwareMode({D})", [1, 1]),
    (f"N.nvmlDeviceGetModuleId({D})", 1),
    (f"N.nvmlDeviceGetMigMode({D})", [0, 0]),
    (f"N.nvmlDeviceGetMaxMigDeviceCount({D})", 7),
    (f"filled(N.nvmlLib.nvmlDeviceIsMigDeviceHandle, N.c_uint, {D}).value", 0),
    (f"N.nvmlDeviceGetUtilizationRates({D})", {"gpu": 91, "memory": 40}),
    (f"N.nvmlDeviceGetEncoderUtilization({D})", [5, 167000]),
    (f"N.nvmlDeviceGetDecoderUtilization({D})", [6, 167000]),
    (f"N.nvmlDeviceGetJpgUtilization({D})", [7, 167000]),
    (f"N.nvmlDeviceGetOfaUtilization({D})", [8, 167000]),
    (f"N.nvmlDeviceGetSamples({D}, 1, 0)[1][-1].sampleValue.uiVal", 91),
    (f"len(N.nvmlDeviceGetSamples({D}, 0, 0)[1])", 20),
    (f"N.nvmlDeviceGetMemoryInfo({D})", {"total": 141 * GIB, "free": 141 * GIB - 9 * GIB - GIB // 2, "used": 9 * GIB + GIB // 2}),
    (f"N.nvmlDeviceGetMemoryInfo({D}, version=N.nvmlMemory_v2).used", 9 * GIB),
    (f"N.nvmlDeviceGetMemoryInfo({D}, version=N.nvmlMemory_v2).reserved", GIB // 2),
    (f"N.nvmlDeviceGetBAR1MemoryInfo({D})", {"bar1Total": 256 * GIB, "bar1Free": 255 * GIB, "bar1Used": GIB}),
    (f"[p.pid for p in N.nvmlDeviceGetComputeRunningProcesses({D})]", [41]),
    (f"[p.pid for p in N.nvmlDeviceGetComputeRunningProcesses_v2({D})]", [41]),
    (
        f"N.nvmlDeviceGetComputeRunningProcesses_v3({D})",
        [{"pid": 41, "usedGpuMemory": 4 * GIB, "gpuInstanceId": 2**32 - 1, "computeInstanceId": 2**32 - 1}],
    ),
    (f"[p.usedGpuMemory for p in N.nvmlDeviceGetGraphicsRunningProcesses({D})]", [GIB]),
    (f"[p.pid for p in N.nvmlDeviceGetGraphicsRunningProcesses_v2({D})]", [42]),
    (f"[p.pid for p in N.nvmlDeviceGetMPSComputeRunningProcesses({D})]", [43]),
    (f"[p.pid for p in N.nvmlDeviceGetMPSComputeRunningProcesses_v2({D})]", [43]),
    (f"[p.pid for p in N.nvmlDeviceGetRunningProcessDetailList({D}, N.nvmlProcessDetailList_v1, 3)]", [41, 42, 43]),
    (f"sorted((p.pid, p.smUtil, p.encUtil) for p in N.nvmlDeviceGetProcessUtilization({D}, 0))", [[41, 50, 0], [43, 0, 3]]),
    (f"sorted((p.pid, p.memUtil) for p in N.nvmlDeviceGetProcessesUtilizationInfo({D}, 0))", [[41, 20], [43, 0]]),
    (f"N.nvmlDeviceGetTemperature({D}, 0)", 66),
    (f"N.nvmlDeviceGetTemperatureV({D}, 0)", 66),
    (f"[N.nvmlDeviceGetTemperatureThreshold({D}, kind) for kind in (0, 1, 2, 3)]", [92, 87, 95, 85]),
    (f"N.nvmlDeviceGetMarginTemperature({D})", 21),
    (f"filled(N.nvmlLib.nvmlDeviceGetThermalSettings, N.c_nvmlGpuThermalSettings_t, {D}, 15).sensor[0].currentTemp", 66),
    (f"N.nvmlDeviceGetFanSpeed({D})", 44),
    (f"N.nvmlDeviceGetFanSpeed_v2({D}, 1)", 44),
    (f"N.nvmlDeviceGetTargetFanSpeed({D}, 0)", 44),
    (f"N.nvmlDeviceGetNumFans({D})", 2),
    (f"N.nvmlDeviceGetPowerUsage({D})", 512500),
    (f"N.nvmlDeviceGetPowerManagementMode({D})", 1),
    (f"N.nvmlDeviceGetPowerManagementLimit({D})", 650000),
    (f"N.nvmlDeviceGetPowerManagementLimitConstraints({D})", [200000, 700000]),
    (f"N.nvmlDeviceGetPowerManagementDefaultLimit({D})", 700000),
    (f"N.nvmlDeviceGetEnforcedPowerLimit({D})", 640000),
    (f"N.nvmlDeviceGetPowerState({D})", 0),
    (f"N.nvmlDeviceGetPerformanceState({D})", 0),
    (f"[N.nvmlDeviceGetClockInfo({D}, kind) for kind in range(4)]", [1800, 1801, 3201, 1500]),
    (f"[N.nvmlDeviceGetMaxClockInfo({D}, kind) for kind in range(4)]", [1980, 1980, 3201, 1545]),
    (f"N.nvmlDeviceGetMaxCustomerBoostClock({D}, 1)", 1980),
    (f"N.nvmlDeviceGetApplicationsClock({D}, 1)", 1700),
    (f"N.nvmlDeviceGetDefaultApplicationsClock({D}, 1)", 1980),
    (f"[N.nvmlDeviceGetClock({D}, 1, which) for which in range(4)]", [1801, 1700, 1980, 1980]),
    (f"N.nvmlDeviceGetSupportedMemoryClocks({D})", [3201]),
    (f"N.nvmlDeviceGetSupportedGraphicsClocks({D}, 3201)", [1980]),
    (f"N.nvmlDeviceGetCurrentClocksEventReasons({D})", 0x4),
    (f"N.nvmlDeviceGetCurrentClocksThrottleReasons({D})", 0x4),
    (f"N.nvmlDeviceGetSupportedClocksEventReasons({D})", 0x1FF),
    (f"N.nvmlDeviceGetSupportedClocksThrottleReasons({D})", 0x1FF),
    (f"N.nvmlDeviceGetEccMode({D})", [1, 1]),
    (f"N.nvmlDeviceGetDefaultEccMode({D})", [1]),
    (f"[N.nvmlDeviceGetTotalEccErrors({D}, kind, life) for kind in (0, 1) for life in (0, 1)]", [3, 30, 1, 2]),
    (f"N.nvmlDeviceGetDetailedEccErrors({D}, 0, 0).deviceMemory", 3),
    (f"[N.nvmlDeviceGetMemoryErrorCounter({D}, 1, 0, place) for place in (2, 7)]", [0, 1]),
    (f"filled(N.nvmlDeviceGetSramEccErrorStatus, N.c_nvmlEccSramErrorStatus_v1_t, {D}).volatileUncSecDed", 1),
    (f"len(N.nvmlDeviceGetRetiredPages({D}, 0))", 2),
    (f"len(N.nvmlDeviceGetRetiredPages({D}, 1))", 1),
    (f"N.nvmlDeviceGetRetiredPagesPendingStatus({D})", 1),
    (f"N.nvmlDeviceGetRemappedRows({D})", [4, 2, 1, 0]),
    (f"filled(N.nvmlDeviceGetRemappedRows_v2, N.c_nvmlRemappedRowsInfo_v2_t, {D}).uncActiveRemaps", 2),
    (f"N.nvmlDeviceGetRowRemapperHistogram({D}).high", 2),
    (f"[N.nvmlDeviceGetCurrPcieLinkGeneration({D}), N.nvmlDeviceGetMaxPcieLinkGeneration({D})]", [4, 5]),
    (f"N.nvmlDeviceGetGpuMaxPcieLinkGeneration({D})", 5),
    (f"[N.nvmlDeviceGetCurrPcieLinkWidth({D}), N.nvmlDeviceGetMaxPcieLinkWidth({D})]", [8, 16]),
    (f"N.nvmlDeviceGetPcieLinkMaxSpeed({D})", 5),
    (f"N.nvmlDeviceGetPcieSpeed({D})", 16000),
    (f"[N.nvmlDeviceGetPcieThroughput({D}, way) for way in (0, 1)]", [1000, 2000]),
    (f"N.nvmlDeviceGetPcieReplayCounter({D})", 17),
    (f"[N.nvmlDeviceGetNvLinkState({D}, link) for link in (0, 3, 4, 17)]", [1, 1, 0, 1]),
    (f"N.nvmlDeviceGetNvLinkVersion({D}, 0)", 6),
    (f"N.nvmlDeviceGetNvLinkCapability({D}, 0, 0)", 1),
    (f"[N.nvmlDeviceGetNvLinkErrorCounter({D}, link, N.NVML_NVLINK_ERROR_DL_CRC_FLIT) for link in (0, 1, 3)]", [5, 0, 7]),
    (f"N.nvmlDeviceGetNvLinkErrorCounter({D}, 3, N.NVML_NVLINK_ERROR_DL_REPLAY)", 11),
    (f"[N.nvmlDeviceGetNvLinkRemoteDeviceType({D}, link) for link in (0, 5)]", [2, 0]),
    (f"N.nvmlDeviceGetNvLinkRemotePciInfo({D}, 1).busId", "00000000:C1:00.0"),
    (f"filled(N.nvmlDeviceGetGpuFabricInfo, N.c_nvmlGpuFabricInfo_t, {D}).state", 2),
    (f"filled(N.nvmlDeviceGetGpuFabricInfoV, N.c_nvmlGpuFabricInfo_v2_t, {D}).cliqueId", 7),
    (f"filled(N.nvmlDeviceGetGpuFabricInfoV, N.c_nvmlGpuFabricInfo_v3_t, {D}).healthSummary", 2),
    (f"list(filled(N.nvmlDeviceGetGpuFabricInfoV, N.c_nvmlGpuFabricInfo_v3_t, {D}).clusterUuid)[:3]", [0, 0x11, 0x22]),
    ("N.nvmlDeviceGetTopologyCommonAncestor(h(0), h(1))", 40),
    ("N.nvmlDeviceOnSameBoard(h(0), h(0))", 1),
    (f"N.nvmlDeviceGetSupportedEventTypes({D}) & 8", 8),
]  # fmt: skip


def test_every_call_answers_what_the_state_says(settled: NvmlClient) -> None:
    """In NVML's own units and structures."""
    assert {ask: settled(ask) for ask, _ in CALLS} == dict(CALLS)


OLD = [
    ("raw('nvmlInit')", None),
    ("raw('nvmlInit_v2')", None),
    ("raw('nvmlShutdown')", None),
    ("counted('nvmlDeviceGetCount')", 8),
    ("N.nvmlDeviceGetUUID(handle('nvmlDeviceGetHandleByIndex', 0))", FIRST),
    ("N.nvmlDeviceGetUUID(handle('nvmlDeviceGetHandleByPciBusId', b'0000:18:00.0'))", FIRST),
    ("filled(N.nvmlLib.nvmlDeviceGetPciInfo, N.nvmlPciInfo_v2_t, h(0)).bus", 0x18),
    ("filled(N.nvmlLib.nvmlDeviceGetAttributes, N.c_nvmlDeviceAttributes, m(7, 0)).gpuInstanceSliceCount", 3),
    ("N.nvmlDeviceGetAttributes(m(7, 0)).gpuInstanceSliceCount", 3),
    ("N.nvmlDeviceGetGpuInstanceId(m(7, 0)) + N.nvmlDeviceGetComputeInstanceId(m(7, 0))", 1),
    ("N.nvmlDeviceGetUUID(N.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(m(7, 0))) == N.nvmlDeviceGetUUID(h(7))", True),
    ("counted('nvmlDeviceGetComputeRunningProcesses', h(0), after=(None,))", 1),
    ("counted('nvmlDeviceGetGraphicsRunningProcesses', h(0), after=(None,))", 1),
    ("counted('nvmlDeviceGetMPSComputeRunningProcesses', h(0), after=(None,))", 1),
    ("counted('nvmlDeviceGetRetiredPages_v2', h(0), 0, after=(None, None))", 2),
    ("filled(N.nvmlLib.nvmlDeviceGetNvLinkRemotePciInfo, N.nvmlPciInfo_t, h(0), 0).bus", 0xC0),
]
"""Functions that only older clients call, or that need an instance."""
BEYOND = {"nvmlEventSetCreate", "nvmlEventSetFree", "nvmlEventSetWait", "nvmlEventSetWait_v2", "nvmlDeviceRegisterEvents"}
"""Tried in test_events.py."""


def test_no_function_of_the_library_is_left_out(known: tuple[GpuSim, NvmlClient]) -> None:
    """The board has counted a call of each; older versions answer like the new ones."""
    sim, client = known
    with sim.change() as state:
        cut(state["gpus"][7], [3])
    assert {ask: client(ask) for ask, _ in OLD} == dict(OLD)
    for ask, _ in CALLS:
        client(ask)
    for unsupported in ("raw('nvmlDeviceGetDriverModel', h(0), None, None)", "N.nvmlDeviceGetDriverModel_v2(h(0))"):
        assert client.error(unsupported) == 3
    assert client.error("N.nvmlDeviceGetConfComputeMemSizeInfo(h(0))") == 3
    client("fields(0, 82), N.nvmlSystemGetProcessName(1)")
    client("N.nvmlDeviceGetTotalEnergyConsumption(h(0)), N.nvmlDeviceGetViolationStatus(h(0), 0)")
    assert set(call_names()) - set(sim.calls()) == BEYOND


FIELDS: dict[int, int] = {
    1: 1, 3: 3, 4: 1, 5: 30, 6: 2, 11: 3, 12: 0, 22: 30, 23: 2, 29: 2, 30: 1, 31: 1, 32: 5, 35: 7, 38: 12, 45: 0, 49: 11, 52: 11,
    59: 0, 82: 71, 90: 26562, 91: 18, 94: 17, 96: 0, 142: 4, 143: 2, 144: 1, 145: 0, 147: 18, 160: 0, 164: 26562, 165: 1, 166: 6,
    169: 9, 185: 512500, 186: 512500, 187: 200000, 188: 700000, 189: 700000, 190: 640000, 192: 650000, 193: 2**32 - 8,
    194: 2**32 - 2, 195: 0, 196: 0, 208: 0, 211: 0, 215: 0, 219: 0, 221: 2, 226: 0, 227: 0, 230: 1, 301: 0, 302: 0, 305: 638,
    306: 0,
}  # fmt: skip


def test_every_field_value_says_the_same_in_one_call(settled: NvmlClient) -> None:
    """With a code of its own: 3 for what this board does not have (chip-to-chip links, L1 errors) and for what nobody knows."""
    ids = [*FIELDS, 7, 170, 999999]
    got = settled(f"fields(0, *{ids})")
    assert {int(field): value for field, value in got.items()} == {**FIELDS, 7: -3, 170: -3, 999999: -3}


def test_a_field_of_one_link_is_asked_for_by_its_scope(settled: NvmlClient) -> None:
    """All ones is the sum; a link past the last is an invalid argument."""
    scopes = "[(163, 0), (163, 3), (163, 0xFFFFFFFF), (165, 4), (163, 18), (215, 3), (215, 2)]"
    got = settled(f"[(v.nvmlReturn, v.value.ullVal) for v in N.nvmlDeviceGetFieldValues(h(0), {scopes})]")
    assert got == [[0, 5], [0, 7], [0, 12], [0, 0], [2, 0], [0, 3], [0, 0]]


def test_distances_to_a_limit_may_be_below_zero(settled: NvmlClient) -> None:
    """As signed integers."""
    ask = "[(v.valueType, v.value.siVal) for v in N.nvmlDeviceGetFieldValues(h(0), [193, 194, 195, 196])]"
    assert settled(ask) == [[5, -8], [5, -2], [5, 0], [5, 0]]


def test_counters_are_sums_of_figures_over_time(settled: NvmlClient) -> None:
    """Energy of the power, nanoseconds of a throttle reason, bytes of the PCIe traffic; never backwards."""
    calls = "N.nvmlDeviceGetTotalEnergyConsumption(h(0)), N.nvmlDeviceGetViolationStatus(h(0), 0).violationTime"
    ask = f"(fields(0, 83, 74, 197, 198, 270), {calls})"
    first, energy, throttled = settled(ask)
    settled("__import__('time').sleep(0.2)")
    second, later, longer = settled(ask)
    grown = {field: second[field] - first[field] for field in first}
    seconds = grown["74"] / 1e9
    assert seconds > 0.15
    assert grown["83"] == pytest.approx(512500 * seconds, rel=0.02)
    assert (grown["197"], grown["198"]) == (pytest.approx(1e6 * seconds, rel=0.02), pytest.approx(2e6 * seconds, rel=0.02))
    assert grown["270"] == 0
    assert later - energy == pytest.approx(512500 * seconds, rel=0.05)
    assert longer - throttled == pytest.approx(1e9 * seconds, rel=0.05)
