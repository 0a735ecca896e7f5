"""Every key of a GPU in the state file: what it means and how it is written. ``nvml/keys.h`` has the same paths for the C side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from agent.dataclass import dataclass
from agent.sim.boards import LINK_ERRORS

Unit = Literal[
    "text", "flag", "word", "count", "percent", "share", "bytes", "watts", "celsius", "mhz", "bytes/s", "mbit/s", "number"
]


@dataclass(frozen=True)
class Key:
    """One figure. ``words`` are what it may be written as; ``grows`` marks one whose sum over time is reported as a counter."""

    unit: Unit
    says: str
    words: tuple[str, ...] = ()
    grows: bool = False


CONDITIONS = ("ok", "lost", "reset-required")
LOCATIONS = ("dram", "sram", "l1", "l2", "registers", "texture", "shared", "cbu")
REASONS = (
    "idle", "app_clocks", "sw_power_cap", "hw_slowdown", "sync_boost", "sw_thermal", "hw_thermal", "power_brake", "display_clocks",
)  # fmt: skip
PCIE_ERRORS = (
    "l0_to_recovery", "correctable", "naks_received", "receiver", "bad_tlp", "naks_sent", "bad_dllp", "non_fatal", "fatal",
    "unsupported_request", "lcrc", "lane",
)  # fmt: skip
CLOCKS = ("graphics", "sm", "memory", "video")
FABRICS = ("not-supported", "not-started", "in-progress", "completed")
HEALTHS = ("not-supported", "healthy", "unhealthy", "limited-capacity")
RECOVERIES = ("none", "gpu-reset", "node-reboot", "drain-p2p", "drain-and-reset")
MODES = ("default", "prohibited", "exclusive-process")
TYPES = ("compute", "graphics", "mps")

_TEXTS = {
    "name": "product name", "uuid": "GPU-…", "serial": "serial number", "vbios": "VBIOS version", "part": "board part number",
    "inforom": "InfoROM image version", "pci": "PCI address dddd:bb:dd.f", "gsp": "GSP firmware version, empty without GSP",
    "fabric.cluster": "UUID of the NVLink cluster",
}  # fmt: skip
_FLAGS = {
    "present": "false: gone from the bus; the indexes of those behind it move", "persistence": "persistence mode",
    "display": "a display is attached", "ecc.enabled": "ECC mode", "ecc.pending": "ECC mode after the next reboot",
    "ecc.sram_threshold_exceeded": "too many SRAM errors: time to replace the board", "retired.pending": "pages wait for a reboot",
    "remap.pending": "rows wait for a reset", "remap.failed": "a row could not be remapped", "mig.mode": "cut into instances",
    "mig.pending": "MIG mode after the next reset",
}  # fmt: skip
_COUNTS = {
    "minor": "number of /dev/nvidiaN", "device_id": "PCI device and vendor id", "subsystem_id": "PCI subsystem id",
    "brand": "NVML's brand number", "architecture": "NVML's architecture number", "cores": "CUDA cores",
    "compute_capability.major": "compute capability", "compute_capability.minor": "compute capability",
    "memory.bus_width": "memory bus width in bits", "numa": "NUMA node", "module": "module id", "performance": "P-state",
    "virtualization": "virtualisation mode", "addressing": "addressing mode", "fans": "how many fans",
    "retired.single_bit": "pages retired for repeated single-bit errors",
    "retired.double_bit": "pages retired for double-bit errors", "remap.corrected": "rows remapped for corrected errors",
    "remap.uncorrected": "rows remapped for uncorrected errors", "remap.corrected_inactive": "remappings not active yet",
    "remap.uncorrected_inactive": "remappings not active yet", "pcie.generation": "PCIe generation now",
    "pcie.generation_max": "highest generation of GPU and slot", "pcie.generation_device": "highest generation of the GPU",
    "pcie.width": "PCIe lanes now", "pcie.width_max": "most PCIe lanes", "pcie.replays": "PCIe replays",
    "nvlink.count": "NVLinks of this board", "nvlink.version": "NVML's NVLink version number", "c2c.count": "chip-to-chip links",
    "c2c.state": "state of the chip-to-chip links", "fabric.status": "NVML code of the fabric's registration, 0 is good",
    "fabric.clique": "clique id", "fabric.health": "health mask", "mig.max": "most instances, 0: no MIG",
}  # fmt: skip

GPU: dict[str, Key] = {
    **{path: Key("text", says) for path, says in _TEXTS.items()},
    **{path: Key("flag", says) for path, says in _FLAGS.items()},
    **{path: Key("count", says) for path, says in _COUNTS.items()},
    "condition": Key("word", "lost: every call fails with GPU_IS_LOST; reset-required: with RESET_REQUIRED", CONDITIONS),
    "compute_mode": Key("word", "compute mode", MODES),
    **{
        f"utilization.{name}": Key("percent", f"share of time the {what} was busy, 0 to 100")
        for name, what in {
            "gpu": "GPU", "memory": "memory interface", "encoder": "video encoder", "decoder": "video decoder",
            "jpeg": "JPEG engine", "optical_flow": "optical-flow engine",
        }.items()
    },
    "memory.total": Key("bytes", "device memory"),
    "memory.reserved": Key("bytes", "what driver and firmware keep"),
    "memory.other": Key("bytes", "in use beyond what the processes own up to"),
    "bar1.total": Key("bytes", "BAR1 window"),
    "bar1.used": Key("bytes", "BAR1 in use"),
    **{
        f"temperature.{name}": Key("celsius", says)
        for name, says in {
            "gpu": "GPU temperature", "memory": "memory temperature", "slowdown": "slows down at", "shutdown": "switches off at",
            "gpu_max": "highest for full speed", "memory_max": "highest of the memory", "margin": "distance to the limit",
        }.items()
    },
    **{f"temperature.limits.{name}": Key("celsius", f"distance to the limit at which it is {what}; null before Hopper")
       for name, what in {"shutdown": "switched off", "slowdown": "slowed down", "memory_max": "too hot for the memory",
                          "gpu_max": "too hot for full speed"}.items()},
    "fan": Key("percent", "fan speed; null: no fan"),
    "power.usage": Key("watts", "power draw; its sum is the energy counter", grows=True),
    **{f"power.{name}": Key("watts", f"power: {name.replace('_', ' ')}") for name in (
        "limit", "default_limit", "min_limit", "max_limit", "enforced_limit")},
    **{f"clocks.{name}": Key("mhz", f"{name} clock") for name in CLOCKS},
    **{f"clocks.max.{name}": Key("mhz", f"highest {name} clock") for name in CLOCKS},
    **{f"clocks.set.{name}": Key("mhz", f"{name} clock that applications asked for") for name in CLOCKS},
    **{f"clocks.default.{name}": Key("mhz", f"{name} clock by default") for name in CLOCKS},
    **{f"throttle.{name}": Key("share", f"share of time clocks are held back: {name}", grows=True) for name in REASONS},
    **{f"ecc.{life}.{kind}.{place}": Key("count", f"{life} {kind} errors in {place}")
       for life in ("volatile", "aggregate") for kind in ("corrected", "uncorrected") for place in LOCATIONS},
    **{f"remap.histogram.{name}": Key("count", f"memory banks with {name} spare rows left")
       for name in ("max", "high", "partial", "low", "none")},
    "pcie.transmit": Key("bytes/s", "sent over PCIe; its sum is a counter", grows=True),
    "pcie.receive": Key("bytes/s", "received over PCIe; its sum is a counter", grows=True),
    **{f"pcie.errors.{name}": Key("count", f"PCIe: {name}") for name in PCIE_ERRORS},
    "nvlink.speed": Key("mbit/s", "speed of one link"),
    "nvlink.transmit": Key("bytes/s", "sent over all links; its sum is a counter", grows=True),
    "nvlink.receive": Key("bytes/s", "received over all links; its sum is a counter", grows=True),
    **{f"nvlink.errors.{name}": Key("count", f"NVLink errors: {name}") for name in LINK_ERRORS},
    "fabric.state": Key("word", "registration with the fabric manager", FABRICS),
    "fabric.summary": Key("word", "health of the fabric", HEALTHS),
    "recovery_action": Key("word", "what the driver recommends", RECOVERIES),
}  # fmt: skip

PROCESS: Mapping[str, Key] = {
    "type": Key("word", "compute, graphics or mps", TYPES),
    "memory": Key("bytes", "device memory"),
    "sm": Key("percent", "share of the SMs"),
    "memory_activity": Key("percent", "share of the memory interface"),
    "encoder": Key("percent", "share of the encoder"),
    "decoder": Key("percent", "share of the decoder"),
    "gpu_instance": Key("count", "MIG GPU instance"),
    "compute_instance": Key("count", "MIG compute instance"),
}

LINK: Mapping[str, Key] = {
    "state": Key("word", "state of one link", ("down", "up", "sleep")),
    "remote": Key("word", "what is at its other end", ("gpu", "switch")),
    **{f"errors.{name}": Key("count", f"errors of one link: {name}") for name in LINK_ERRORS},
}

INSTANCE: Mapping[str, Key] = {
    "uuid": Key("text", "MIG-…"),
    "name": Key("text", "name with the profile"),
    "compute_instance": Key("count", "id of the compute instance"),
    "slices": Key("count", "slices of the GPU"),
    "sm": Key("count", "multiprocessors"),
    "total": Key("bytes", "memory of the instance"),
    "other": Key("bytes", "in use beyond its processes"),
}

LISTS: Mapping[str, tuple[str, Mapping[str, Key]]] = {
    "processes": ("pid", PROCESS),
    "nvlink.links": ("link", LINK),
    "mig.instances": ("gpu_instance", INSTANCE),
}
"""Lists inside a GPU: what an entry is known by, and its keys."""


def key_of(path: str) -> Key | None:
    """The key of a path such as ``temperature.gpu`` or ``processes.4711.memory``; None for none."""
    if path in GPU:
        return GPU[path]
    for name, (_, keys) in LISTS.items():
        if path.startswith(f"{name}."):
            rest = path[len(name) + 1 :].partition(".")
            return keys.get(rest[2]) if rest[0].isdigit() else None
    return None


def every_path() -> tuple[str, ...]:
    """All paths, with ``N`` for the place in a list."""
    inside = [f"{name}.N.{path}" for name, (_, keys) in LISTS.items() for path in keys]
    return (*GPU, *inside)
