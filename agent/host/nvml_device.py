"""One GPU in the process that calls NVML: what is asked of it in each tier, and what it was found not to support.

Only that process imports this module. Values are raw, in NVML's units; the agent converts and checks them.
"""

from __future__ import annotations

import time

import pynvml

from agent.host import nvml_wire as wire
from agent.host.nvml_asked import Asked, Moved, Tally
from agent.host.nvml_wire import Beacon

TYPE_CHECKING = False  # typing brings a MiB of modules
if TYPE_CHECKING:
    from typing import Any

    from agent.host.nvml_asked import Values

# nvmlDeviceGetFieldValues answers all of these in one call.
FAST_FIELDS = (82, 83, 74, 76, 269, 270, 271, 197, 198)
"""Memory temperature, energy, ns throttled (power cap, sync boost, software and hardware thermal, power brake), PCIe bytes."""
HEALTH_FIELDS = (29, 30, 31, 94, 38, 45, 52, 59, 160, 230)
"""Retired pages (single, double, pending), PCIe replays, NVLink sums (flit CRC, data CRC, replay, recovery, ECC), recovery."""
LINK_FIELDS = (208, 211, 215, 219, 221)
"""NVLink 5, each link: receive errors, link integrity, recoveries, effective errors, symbol errors."""
LINK_COUNT_FIELD = 91
MOST_LINKS = 36
MOST_INSTANCES = 64
"""More than the 7 of today's boards; counts are not believed beyond these."""
NOT_AVAILABLE = 2**64 - 1
SM_CLOCK, MEMORY_CLOCK = 1, 2
SRAM, DRAM, VOLATILE = 7, 2, 0
INFOROM_EVERY_S = 3600.0


class Device(Asked):
    """One GPU."""

    def __init__(self, handle: Any, index: int, beacon: Beacon, tally: Tally) -> None:
        super().__init__(handle, index, beacon, tally)
        self.uuid = str(self.ask("nvmlDeviceGetUUID") or "")
        self._mig: list[tuple[Asked, Values]] = []
        self._mig_on: int | None = None
        self._links = -1
        self._since = 0
        self._inforom: tuple[float, int] | None = None

    def facts(self) -> Values:
        """What does not change while the driver is loaded."""
        pci = self.first(("nvmlDeviceGetPciInfo_v3",), ("nvmlDeviceGetPciInfo",))
        self._follow_mig()
        return {
            "uuid": self.uuid,
            "pci": _text(pci.busId) if pci is not None else "",
            "name": _text(self.ask("nvmlDeviceGetName")),
            "vbios": _text(self.ask("nvmlDeviceGetVbiosVersion")),
            "sm_max": self.ask("nvmlDeviceGetMaxClockInfo", SM_CLOCK),
            "mem_max": self.ask("nvmlDeviceGetMaxClockInfo", MEMORY_CLOCK),
            "limit_default": self.ask("nvmlDeviceGetPowerManagementDefaultLimit"),
            "gen_max": self.ask("nvmlDeviceGetMaxPcieLinkGeneration"),
            "width_max": self.ask("nvmlDeviceGetMaxPcieLinkWidth"),
            "app_default": self.ask("nvmlDeviceGetDefaultApplicationsClock", SM_CLOCK),
        }

    def fast(self, processes: bool) -> Values:
        """Load, memory, temperature, power, clocks, throttling; with ``processes`` who is on it."""
        if self.ask("nvmlDeviceGetUUID") not in (self.uuid, None):
            raise Moved
        load = self.ask("nvmlDeviceGetUtilizationRates")
        bar1 = self.ask("nvmlDeviceGetBAR1MemoryInfo")
        encoder, decoder = self.ask("nvmlDeviceGetEncoderUtilization"), self.ask("nvmlDeviceGetDecoderUtilization")
        found: Values = {
            "util": load.gpu if load is not None else None,
            "memutil": load.memory if load is not None else None,
            **_memory(self),
            "bar1": bar1.bar1Total if bar1 is not None else None,
            "bar1_used": bar1.bar1Used if bar1 is not None else None,
            "temp": self.first(("nvmlDeviceGetTemperatureV", 0), ("nvmlDeviceGetTemperature", 0)),
            "power": self.ask("nvmlDeviceGetPowerUsage"),
            "limit": self.first(("nvmlDeviceGetEnforcedPowerLimit",), ("nvmlDeviceGetPowerManagementLimit",)),
            "sm": self.ask("nvmlDeviceGetClockInfo", SM_CLOCK),
            "mem": self.ask("nvmlDeviceGetClockInfo", MEMORY_CLOCK),
            "reasons": self.first(("nvmlDeviceGetCurrentClocksEventReasons",), ("nvmlDeviceGetCurrentClocksThrottleReasons",)),
            "enc": encoder[0] if encoder else None,
            "dec": decoder[0] if decoder else None,
            "fields": self.fields(FAST_FIELDS),
        }
        if self._mig:
            found["mig"] = [{**about, **_memory(instance)} for instance, about in self._mig]
        if processes:
            found["procs"], found["putil"] = self._processes(), self._process_load()
        return found

    def health(self) -> Values:
        """Errors, links, modes."""
        self._follow_mig()
        mode, fields = self.ask("nvmlDeviceGetEccMode"), self.fields(HEALTH_FIELDS)
        ecc = {}
        for kind, code in (("corrected", 0), ("uncorrected", 1)):
            ecc[f"{kind} total"] = self.ask("nvmlDeviceGetTotalEccErrors", code, VOLATILE)
            ecc[f"{kind} sram"] = self.ask("nvmlDeviceGetMemoryErrorCounter", code, VOLATILE, SRAM)
            ecc[f"{kind} dram"] = self.ask("nvmlDeviceGetMemoryErrorCounter", code, VOLATILE, DRAM)
        return {
            "ecc_mode": mode[0] if mode else None,
            "ecc": ecc,
            "fields": fields,
            "replays": None if "94" in fields else self.ask("nvmlDeviceGetPcieReplayCounter"),
            "rows": self.ask("nvmlDeviceGetRemappedRows"),
            "links": self._link_states(),
            "link_errors": self._link_errors(),
            "gen": self.ask("nvmlDeviceGetCurrPcieLinkGeneration"),
            "width": self.ask("nvmlDeviceGetCurrPcieLinkWidth"),
            "persistence": self.ask("nvmlDeviceGetPersistenceMode"),
            "mig_mode": self._mig_on,
            "fabric": self._fabric(),
            "app": self.ask("nvmlDeviceGetApplicationsClock", SM_CLOCK),
            "inforom": self._inforom_valid(),
        }

    # ------------------------------------------------------------------------------------------ parts

    def _follow_mig(self) -> None:
        """Handles of the MIG instances; a change of mode changes what is supported."""
        mode = self.ask("nvmlDeviceGetMigMode")
        on = mode[0] if mode else None
        if on != self._mig_on:
            self._mig_on = on
            self.forget()
        self._mig = []
        slots = self.ask("nvmlDeviceGetMaxMigDeviceCount") or 0 if on else 0
        for slot in range(min(slots, MOST_INSTANCES)):
            code, handle = self._make("nvmlDeviceGetMigDeviceHandleByIndex", slot)
            if code == wire.INVALID_ARGUMENT:
                break
            if handle is None:  # an empty slot is no lasting refusal: instances are made while we run
                continue
            instance = Asked(handle, self.index, self._beacon, self._tally)
            about = {
                "uuid": _text(instance.ask("nvmlDeviceGetUUID")),
                "name": _text(instance.ask("nvmlDeviceGetName")),
                "gi": instance.ask("nvmlDeviceGetGpuInstanceId"),
                "ci": instance.ask("nvmlDeviceGetComputeInstanceId"),
            }
            self._mig.append((instance, about))

    def _processes(self) -> list[list[int | None]]:
        """Pid, bytes (None where the driver cannot tell) and kind of each process, once."""
        found: dict[tuple[int, int], list[int | None]] = {}
        for kind, name in (("C", "Compute"), ("M", "MPSCompute"), ("G", "Graphics")):
            versions = [(f"nvmlDeviceGet{name}RunningProcesses_v{n}",) for n in (3, 2)]
            for process in self.first(*versions) or ():
                used = process.usedGpuMemory if process.usedGpuMemory != NOT_AVAILABLE else None
                found.setdefault((process.pid, process.gpuInstanceId), [process.pid, used, ord(kind)])
        return list(found.values())

    def _process_load(self) -> list[list[int]]:
        """Pid and per cent of the newest sample of each process; NOT_FOUND means that there is none yet."""
        newest: dict[int, Any] = {}
        for sample in self._call(("load",), "nvmlDeviceGetProcessUtilization", self._since) or ():
            if sample.pid not in newest or sample.timeStamp >= newest[sample.pid].timeStamp:
                newest[sample.pid] = sample
        self._since = max([self._since, *(s.timeStamp for s in newest.values())])
        return [[pid, s.smUtil] for pid, s in newest.items()]

    def _link_states(self) -> dict[str, int] | None:
        if self._links < 0:
            said = self.fields((LINK_COUNT_FIELD,)).get(str(LINK_COUNT_FIELD), MOST_LINKS)
            self._links = int(said) if 0 <= said <= MOST_LINKS else MOST_LINKS
        states: dict[str, int] = {}
        for link in range(self._links):
            state = self.ask("nvmlDeviceGetNvLinkState", link)
            if state is not None:
                states[str(link)] = state
            elif link == 0 and ("nvmlDeviceGetNvLinkState", 0) in self._refused:
                self._links = 0
                break
        return states

    def _link_errors(self) -> Values:
        """Sums over the links of NVLink 5 counters, by field id."""
        sums: Values = {}
        for field in LINK_FIELDS:
            found = self.fields(tuple((field, link) for link in range(self._links)))
            if found:
                sums[str(field)] = sum(found.values())
        return sums

    def _fabric(self) -> list[int] | None:
        """State and status of the NVSwitch fabric; the newest struct the driver knows."""
        for struct, call in (
            ("c_nvmlGpuFabricInfo_v3_t", "nvmlDeviceGetGpuFabricInfoV"),
            ("c_nvmlGpuFabricInfo_v2_t", "nvmlDeviceGetGpuFabricInfoV"),
            ("c_nvmlGpuFabricInfo_t", "nvmlDeviceGetGpuFabricInfo"),
        ):
            make = getattr(pynvml, struct, None)
            if make is None:
                continue
            about = make()
            if self._call(("fabric", struct), call, pynvml.byref(about)) is not None:
                return [about.state, about.status]
            if ("fabric", struct) not in self._refused:
                break
        return None

    def _inforom_valid(self) -> int | None:
        """1 or 0; read seldom, for it is read from flash."""
        now = time.monotonic()
        if self._inforom is None or now - self._inforom[0] > INFOROM_EVERY_S:
            code, _ = self._make("nvmlDeviceValidateInforom")
            self._inforom = now, {0: 1, wire.CORRUPTED_INFOROM: 0}.get(code, -1)
        return self._inforom[1] if self._inforom[1] >= 0 else None


def _memory(asked: Asked) -> Values:
    memory = asked.first(("nvmlDeviceGetMemoryInfo", pynvml.nvmlMemory_v2), ("nvmlDeviceGetMemoryInfo",))
    if memory is None:
        return {}
    return {"total": memory.total, "used": memory.used, "free": memory.free, "reserved": getattr(memory, "reserved", None)}


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw or "")
