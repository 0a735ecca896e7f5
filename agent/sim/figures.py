"""Which NVML function gives which figure of a state, and in which unit."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from agent.sim.boards import LINK_ERRORS
from agent.sim.schema import CLOCKS, FABRICS, LISTS, LOCATIONS, RECOVERIES

if TYPE_CHECKING:
    from agent.sim.record import Meter

Call = tuple[str, tuple[Any, ...]]

NO_INSTANCE = 0xFFFFFFFF
_MILLI, _NANO = 1e-3, 1e-9
_ECC_PLACES = {"l1": 0, "l2": 1, "dram": 2, "registers": 3, "texture": 4, "shared": 5, "cbu": 6, "sram": 7}
_STANDING: Mapping[str, Call] = {
    "name": ("nvmlDeviceGetName", ()),
    "uuid": ("nvmlDeviceGetUUID", ()),
    "serial": ("nvmlDeviceGetSerial", ()),
    "vbios": ("nvmlDeviceGetVbiosVersion", ()),
    "part": ("nvmlDeviceGetBoardPartNumber", ()),
    "inforom": ("nvmlDeviceGetInforomImageVersion", ()),
    "gsp": ("nvmlDeviceGetGspFirmwareVersion", ()),
    "minor": ("nvmlDeviceGetMinorNumber", ()),
    "brand": ("nvmlDeviceGetBrand", ()),
    "architecture": ("nvmlDeviceGetArchitecture", ()),
    "cores": ("nvmlDeviceGetNumGpuCores", ()),
    "numa": ("nvmlDeviceGetNumaNodeId", ()),
    "persistence": ("nvmlDeviceGetPersistenceMode", ()),
    "display": ("nvmlDeviceGetDisplayActive", ()),
    "memory.bus_width": ("nvmlDeviceGetMemoryBusWidth", ()),
    "fans": ("nvmlDeviceGetNumFans", ()),
    "temperature.shutdown": ("nvmlDeviceGetTemperatureThreshold", (0,)),
    "temperature.slowdown": ("nvmlDeviceGetTemperatureThreshold", (1,)),
    "temperature.memory_max": ("nvmlDeviceGetTemperatureThreshold", (2,)),
    "temperature.gpu_max": ("nvmlDeviceGetTemperatureThreshold", (3,)),
    "pcie.generation_max": ("nvmlDeviceGetMaxPcieLinkGeneration", ()),
    "pcie.generation_device": ("nvmlDeviceGetGpuMaxPcieLinkGeneration", ()),
    "pcie.width_max": ("nvmlDeviceGetMaxPcieLinkWidth", ()),
    "mig.max": ("nvmlDeviceGetMaxMigDeviceCount", ()),
    **{f"clocks.max.{name}": ("nvmlDeviceGetMaxClockInfo", (kind,)) for kind, name in enumerate(CLOCKS)},
    **{f"clocks.set.{name}": ("nvmlDeviceGetApplicationsClock", (kind,)) for kind, name in enumerate(CLOCKS)},
    **{f"clocks.default.{name}": ("nvmlDeviceGetDefaultApplicationsClock", (kind,)) for kind, name in enumerate(CLOCKS)},
    **{
        f"ecc.{life}.{kind}.{place}": ("nvmlDeviceGetMemoryErrorCounter", (k, n, _ECC_PLACES[place]))
        for n, life in enumerate(("volatile", "aggregate"))
        for k, kind in enumerate(("corrected", "uncorrected"))
        for place in LOCATIONS
    },
}
_MOVING: Mapping[str, Call] = {
    "temperature.gpu": ("nvmlDeviceGetTemperature", (0,)),
    "fan": ("nvmlDeviceGetFanSpeed", ()),
    "performance": ("nvmlDeviceGetPerformanceState", ()),
    "pcie.generation": ("nvmlDeviceGetCurrPcieLinkGeneration", ()),
    "pcie.width": ("nvmlDeviceGetCurrPcieLinkWidth", ()),
    "pcie.replays": ("nvmlDeviceGetPcieReplayCounter", ()),
    **{f"clocks.{name}": ("nvmlDeviceGetClockInfo", (kind,)) for kind, name in enumerate(CLOCKS)},
}
_WATTS: Mapping[str, Call] = {
    "power.usage": ("nvmlDeviceGetPowerUsage", ()),
    "power.limit": ("nvmlDeviceGetPowerManagementLimit", ()),
    "power.default_limit": ("nvmlDeviceGetPowerManagementDefaultLimit", ()),
    "power.enforced_limit": ("nvmlDeviceGetEnforcedPowerLimit", ()),
}
_FIELDS: Mapping[int, tuple[str, float]] = {
    82: ("temperature.memory", 1), 74: ("throttle.sw_power_cap", _NANO), 76: ("throttle.sync_boost", _NANO),
    269: ("throttle.sw_thermal", _NANO), 270: ("throttle.hw_thermal", _NANO), 271: ("throttle.power_brake", _NANO),
    197: ("pcie.transmit", 1), 198: ("pcie.receive", 1), 138: ("nvlink.transmit", 1024), 139: ("nvlink.receive", 1024),
}  # fmt: skip
_STANDING_FIELDS: Mapping[int, str] = {
    29: "retired.single_bit", 30: "retired.double_bit", 31: "retired.pending", 91: "nvlink.count", 90: "nvlink.speed",
    187: "power.min_limit", 188: "power.max_limit", 193: "temperature.limits.shutdown", 194: "temperature.limits.slowdown",
    195: "temperature.limits.memory_max", 196: "temperature.limits.gpu_max", 169: "pcie.errors.l0_to_recovery",
    170: "c2c.count", 301: "remap.corrected_inactive", 302: "remap.uncorrected_inactive",
}  # fmt: skip
_MILLIWATTS = {"power.min_limit", "power.max_limit"}
COUNTERS = frozenset(path for path, _ in _FIELDS.values() if path != "temperature.memory")
"""Figures that NVML gives as sums: what is recorded is their growth a second."""


def put(gpu: dict[str, Any], path: str, value: Any) -> None:
    """Lay a value down at its path; entries of lists are made when first spoken of."""
    for name, (known_by, _) in LISTS.items():
        if path.startswith(f"{name}."):
            number, _, path = path[len(name) + 1 :].partition(".")
            entries = _down(gpu, name, list)
            gpu = next((entry for entry in entries if entry[known_by] == int(number)), {known_by: int(number)})
            if gpu not in entries:
                entries.append(gpu)
            break
    *above, last = path.split(".")
    _down(gpu, ".".join(above), dict)[last] = value


def _down(at: dict[str, Any], path: str, kind: type) -> Any:
    words = path.split(".") if path else []
    for number, word in enumerate(words):
        if at.get(word) is None:
            at[word] = kind() if number == len(words) - 1 else {}
        at = at[word]
    return at


def standing(meter: Meter, handle: Any) -> dict[str, Any]:
    """What does not move: identity, limits, what has been counted so far."""
    found = {path: meter.ask(name, handle, *args) for path, (name, args) in _STANDING.items()}
    for field, value in meter.fields(handle, tuple(_STANDING_FIELDS)).items():
        path = _STANDING_FIELDS[field]
        found[path] = value * _MILLI if path in _MILLIWATTS else value
    pci = meter.ask("nvmlDeviceGetPciInfo", handle)
    if pci is not None:
        found["pci"] = f"{pci.domain & 0xFFFF:04x}:{pci.bus:02x}:{pci.device:02x}.0"
        found |= {"device_id": pci.pciDeviceId, "subsystem_id": pci.pciSubSystemId}
    return found | _memory_health(meter, handle) | _links(meter, handle, found.get("nvlink.count") or 0) | _modes(meter, handle)


def _memory_health(meter: Meter, handle: Any) -> dict[str, Any]:
    ecc, rows = meter.ask("nvmlDeviceGetEccMode", handle), meter.ask("nvmlDeviceGetRemappedRows", handle)
    histogram = meter.ask("nvmlDeviceGetRowRemapperHistogram", handle)
    found: dict[str, Any] = {"ecc.enabled": bool(ecc[0]) if ecc else None, "ecc.pending": bool(ecc[1]) if ecc else None}
    if rows:
        found |= {"remap.corrected": rows[0], "remap.uncorrected": rows[1]}
        found |= {"remap.pending": bool(rows[2]), "remap.failed": bool(rows[3])}
    if histogram is not None:
        found |= {f"remap.histogram.{name}": getattr(histogram, name) for name in ("max", "high", "partial", "low", "none")}
    return found


def _links(meter: Meter, handle: Any, count: int) -> dict[str, Any]:
    found: dict[str, Any] = {"nvlink.count": count, "nvlink.links": []}
    for link in range(count):
        if not meter.ask("nvmlDeviceGetNvLinkState", handle, link):
            found[f"nvlink.links.{link}.state"] = "down"
        for kind, name in enumerate(LINK_ERRORS[:4]):
            if errors := meter.ask("nvmlDeviceGetNvLinkErrorCounter", handle, link, kind):
                found[f"nvlink.links.{link}.errors.{name}"] = errors
    if count:
        found["nvlink.version"] = meter.ask("nvmlDeviceGetNvLinkVersion", handle, 0)
    return found


def _modes(meter: Meter, handle: Any) -> dict[str, Any]:
    import pynvml

    mig, capability = meter.ask("nvmlDeviceGetMigMode", handle), meter.ask("nvmlDeviceGetCudaComputeCapability", handle)
    found: dict[str, Any] = {"mig.mode": bool(mig[0]) if mig else None, "mig.instances": _instances(meter, handle, mig)}
    if capability:
        found |= {"compute_capability.major": capability[0], "compute_capability.minor": capability[1]}
    fabric = pynvml.c_nvmlGpuFabricInfo_v2_t()
    if meter.ask("nvmlDeviceGetGpuFabricInfoV", handle, pynvml.byref(fabric)) == 0:
        found |= {"fabric.state": FABRICS[fabric.state % 4], "fabric.status": fabric.status, "fabric.clique": fabric.cliqueId}
        found["fabric.health"] = fabric.healthMask
    action = meter.fields(handle, (230,)).get(230, 0)
    return found | {"recovery_action": RECOVERIES[action] if action < len(RECOVERIES) else "none"}


def _instances(meter: Meter, handle: Any, mig: Any) -> list[dict[str, Any]]:
    found = []
    for slot in range(meter.ask("nvmlDeviceGetMaxMigDeviceCount", handle) or 0 if mig and mig[0] else 0):
        if (one := meter.ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, slot)) is None:
            continue
        about, memory = meter.ask("nvmlDeviceGetAttributes", one), meter.ask("nvmlDeviceGetMemoryInfo", one)
        entry = {"uuid": meter.ask("nvmlDeviceGetUUID", one), "name": meter.ask("nvmlDeviceGetName", one)}
        entry["gpu_instance"] = meter.ask("nvmlDeviceGetGpuInstanceId", one)
        entry["compute_instance"] = meter.ask("nvmlDeviceGetComputeInstanceId", one)
        if about is not None and memory is not None:
            owned = sum(process.usedGpuMemory or 0 for process in meter.ask("nvmlDeviceGetComputeRunningProcesses", one) or ())
            entry |= {"slices": about.gpuInstanceSliceCount, "sm": about.multiprocessorCount}
            entry |= {"total": memory.total, "other": max(0, memory.used - owned)}
        found.append(entry)
    return found


def moving(meter: Meter, handle: Any) -> dict[str, float]:
    """What moves, at this moment; counters as they stand."""
    found = {path: meter.ask(name, handle, *args) for path, (name, args) in _MOVING.items()}
    found |= {path: _times(meter.ask(name, handle, *args), _MILLI) for path, (name, args) in _WATTS.items()}
    found |= {_FIELDS[field][0]: value * _FIELDS[field][1] for field, value in meter.fields(handle, tuple(_FIELDS)).items()}
    load, memory = meter.ask("nvmlDeviceGetUtilizationRates", handle), meter.ask("nvmlDeviceGetMemoryInfo", handle, 0x02000028)
    for name, call in (("encoder", "nvmlDeviceGetEncoderUtilization"), ("decoder", "nvmlDeviceGetDecoderUtilization")):
        found[f"utilization.{name}"] = _first(meter.ask(call, handle))
    if load is not None:
        found |= {"utilization.gpu": load.gpu, "utilization.memory": load.memory}
    bar1 = meter.ask("nvmlDeviceGetBAR1MemoryInfo", handle)
    if bar1 is not None:
        found |= {"bar1.total": bar1.bar1Total, "bar1.used": bar1.bar1Used}
    processes = _processes(meter, handle)
    if memory is not None:
        owned = sum(value for path, value in processes.items() if path.endswith(".memory"))
        found |= {"memory.total": memory.total, "memory.reserved": memory.reserved, "memory.other": max(0, memory.used - owned)}
    return {path: value for path, value in (found | processes).items() if value is not None} | _idle(meter, handle)


def _processes(meter: Meter, handle: Any) -> dict[str, float]:
    found: dict[str, float] = {}
    for call in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
        for one in meter.ask(call, handle) or ():
            found[f"processes.{one.pid}.memory"] = one.usedGpuMemory or 0
            if one.gpuInstanceId != NO_INSTANCE:
                found |= {f"processes.{one.pid}.gpu_instance": one.gpuInstanceId}
                found |= {f"processes.{one.pid}.compute_instance": one.computeInstanceId}
    for one in meter.ask("nvmlDeviceGetProcessUtilization", handle, 0) or ():
        if f"processes.{one.pid}.memory" in found:
            found[f"processes.{one.pid}.sm"] = one.smUtil
    return found


def _idle(meter: Meter, handle: Any) -> dict[str, float]:
    reasons = meter.ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
    if reasons is None:
        return {}
    bits = {"throttle.idle": 0x1, "throttle.app_clocks": 0x2, "throttle.hw_slowdown": 0x8}
    return {path: float(bool(reasons & bit)) for path, bit in bits.items()}


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _first(pair: Any) -> Any:
    return pair[0] if pair else None


def rates(samples: list[tuple[float, float]], path: str) -> list[tuple[float, float]]:
    """Growth a second between one sample and the next; shares of time never above 1."""
    most = 1.0 if path.startswith("throttle.") else float("inf")
    pairs = pairwise(samples)
    return [(at, min(most, max(0.0, (after - value) / (then - at)))) for (at, value), (then, after) in pairs if then > at]
