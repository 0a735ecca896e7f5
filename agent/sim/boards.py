"""What a healthy, idle GPU of each model looks like: figures from the makers' data sheets, idle values as such boards show them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from agent.dataclass import dataclass

GIB = 1 << 30
_CLOCK_DOMAINS = ("graphics", "sm", "memory", "video")


_HOPPER = 9
_LIMITS = {"shutdown": -8, "slowdown": -2, "memory_max": 0, "gpu_max": 0}


@dataclass(frozen=True)
class Board:
    """One model. Memory and BAR1 in GiB, power in watts, clocks in MHz, NVLink speed in Mbit/s a link."""

    name: str
    architecture: int
    compute: tuple[int, int]
    memory: int
    bus_width: int
    cores: int
    device_id: int
    power: tuple[int, int, int, int]
    """Idle, minimum, default and maximum."""
    clocks: tuple[int, int, int]
    """Highest SM, memory and video."""
    idle_clocks: tuple[int, int, int]
    generation: int
    links: int = 0
    link_version: int = 0
    link_speed: int = 0
    mig: int = 0
    fabric: bool = False
    remaps: bool = True
    ecc: bool = True
    memory_temperature: bool = True
    fans: int = 0
    brand: int = 13
    bar1: int = 128


BOARDS: Mapping[str, Board] = {
    "h200": Board(
        "NVIDIA H200", 9, (9, 0), 141, 6144, 16896, 0x233510DE,
        (76, 200, 700, 700), (1980, 3201, 1545), (345, 3201, 765), 5,
        18, 6, 26562, 7, True, bar1=256,
    ),
    "h100": Board(
        "NVIDIA H100 80GB HBM3", 9, (9, 0), 80, 5120, 16896, 0x233010DE,
        (70, 200, 700, 700), (1980, 2619, 1545), (345, 2619, 765), 5,
        18, 6, 26562, 7, True,
    ),
    "b200": Board(
        "NVIDIA B200", 10, (10, 0), 180, 7680, 18944, 0x290110DE,
        (140, 200, 1000, 1000), (1965, 3996, 1965), (120, 3996, 585), 6,
        18, 7, 53125, 7, True, bar1=256,
    ),
    "a100": Board(
        "NVIDIA A100-SXM4-80GB", 7, (8, 0), 80, 5120, 6912, 0x20B210DE,
        (60, 100, 400, 400), (1410, 1593, 1290), (210, 1593, 585), 4,
        12, 5, 25000, 7, True,
    ),
    "v100": Board(
        "Tesla V100-SXM2-32GB", 5, (7, 0), 32, 4096, 5120, 0x1DB510DE,
        (42, 150, 300, 300), (1530, 877, 1372), (135, 877, 555), 3,
        6, 3, 25781, remaps=False, bar1=32, brand=2,
    ),
    "l40s": Board(
        "NVIDIA L40S", 8, (8, 9), 48, 384, 18176, 0x26B910DE,
        (33, 100, 350, 350), (2520, 9001, 1965), (210, 405, 1185), 4,
        memory_temperature=False, bar1=64,
    ),
    "l4": Board(
        "NVIDIA L4", 8, (8, 9), 24, 192, 7424, 0x27B810DE,
        (16, 40, 72, 72), (2040, 6251, 1770), (210, 405, 1185), 4,
        memory_temperature=False, bar1=32,
    ),
    "rtx4090": Board(
        "NVIDIA GeForce RTX 4090", 8, (8, 9), 24, 384, 16384, 0x268410DE,
        (21, 10, 450, 600), (3105, 10501, 2415), (210, 405, 1185), 4,
        remaps=False, ecc=False, memory_temperature=False, fans=2, brand=5, bar1=32,
    ),
}  # fmt: skip


def gpu(model: str, number: int) -> dict[str, Any]:
    """The state of an idle GPU of a model; ``number`` gives it its own UUID, serial number and PCI address."""
    board = BOARDS[model]
    return {
        "board": model,
        **_identity(board, number),
        "present": True,
        "condition": "ok",
        "persistence": True,
        "compute_mode": "default",
        "display": False,
        "performance": 0,
        "virtualization": 0,
        "utilization": {"gpu": 0, "memory": 0, "encoder": 0, "decoder": 0, "jpeg": 0, "optical_flow": 0},
        "memory": {"total": board.memory * GIB, "reserved": GIB // 2, "other": 0, "bus_width": board.bus_width},
        "bar1": {"total": board.bar1 * GIB, "used": 1 << 20},
        "temperature": {
            "gpu": 34, "memory": 38 if board.memory_temperature else None, "slowdown": 87, "shutdown": 92, "gpu_max": 85,
            "memory_max": 95, "margin": None, "limits": dict(_LIMITS) if board.architecture >= _HOPPER else None,
        },
        "fan": 30 if board.fans else None,
        "fans": board.fans,
        "power": _power(board),
        "clocks": _clocks(board),
        "throttle": {
            "idle": 1, "app_clocks": 0, "sw_power_cap": 0, "hw_slowdown": 0, "sync_boost": 0, "sw_thermal": 0, "hw_thermal": 0,
            "power_brake": 0, "display_clocks": 0,
        },
        **_memory_health(board),
        "pcie": _pcie(board),
        "nvlink": _nvlink(board),
        "fabric": _fabric(board),
        "recovery_action": "none",
        "mig": {"mode": False if board.mig else None, "max": board.mig, "instances": []},
        "processes": [],
        "unsupported": [],
    }  # fmt: skip


def _identity(board: Board, number: int) -> dict[str, Any]:
    unique = uuid.uuid5(uuid.NAMESPACE_OID, f"{board.name}/{number}")
    return {
        "name": board.name,
        "uuid": f"GPU-{unique}",
        "pci": f"0000:{0x18 + 8 * number:02x}:00.0",
        "minor": number,
        "serial": f"165{number:010d}",
        "vbios": "96.00.99.00.01",
        "inforom": "G520.0200.00.05",
        "part": "900-2G520-0000-000",
        "gsp": "580.95.05",
        "device_id": board.device_id,
        "subsystem_id": 0x18BE10DE,
        "brand": board.brand,
        "architecture": board.architecture,
        "cores": board.cores,
        "compute_capability": {"major": board.compute[0], "minor": board.compute[1]},
        "numa": number // 4,
        "module": number + 1,
        "addressing": 0,
    }


def _power(board: Board) -> dict[str, Any]:
    idle, least, default, most = board.power
    limits = {"limit": default, "default_limit": default, "min_limit": least, "max_limit": most, "enforced_limit": default}
    return {"usage": idle, **limits}


def _clocks(board: Board) -> dict[str, Any]:
    def domains(figures: tuple[int, int, int]) -> dict[str, Any]:
        return dict(zip(_CLOCK_DOMAINS, (figures[0], *figures), strict=True))

    highest = domains(board.clocks)
    return {**domains(board.idle_clocks), "max": highest, "set": highest, "default": highest}


def _memory_health(board: Board) -> dict[str, Any]:
    def counts() -> dict[str, int]:
        return {"dram": 0, "sram": 0} if board.remaps else {"dram": 0, "l1": 0, "l2": 0, "registers": 0, "texture": 0}

    def both() -> dict[str, dict[str, int]]:
        return {"corrected": counts(), "uncorrected": counts()}

    retires = board.ecc and not board.remaps
    rows = {"corrected": 0, "uncorrected": 0, "pending": False, "failed": False, "corrected_inactive": 0, "uncorrected_inactive": 0}
    histogram = {"max": 640, "high": 0, "partial": 0, "low": 0, "none": 0}
    return {
        "ecc": {
            "enabled": board.ecc or None, "pending": board.ecc or None, "volatile": both(), "aggregate": both(),
            "sram_threshold_exceeded": False,
        },
        "retired": {"single_bit": 0, "double_bit": 0, "pending": False} if retires else None,
        "remap": {**rows, "histogram": histogram} if board.remaps else None,
    }  # fmt: skip


def _pcie(board: Board) -> dict[str, Any]:
    errors = (
        "l0_to_recovery",
        "correctable",
        "naks_received",
        "receiver",
        "bad_tlp",
        "naks_sent",
        "bad_dllp",
        "non_fatal",
        "fatal",
    )
    return {
        "generation": board.generation if board.links else 1, "generation_max": board.generation,
        "generation_device": board.generation, "width": 16, "width_max": 16, "transmit": 0, "receive": 0, "replays": 0,
        "errors": dict.fromkeys((*errors, "fatal", "unsupported_request", "lcrc", "lane"), 0),
    }  # fmt: skip


LINK_ERRORS = (
    "replay", "recovery", "crc_flit", "crc_data", "ecc", "malformed", "buffer_overrun", "receive", "receive_remote",
    "receive_general", "integrity", "discards", "recovery_ok", "recovery_failed", "effective", "symbol",
)  # fmt: skip


def _nvlink(board: Board) -> dict[str, Any]:
    return {
        "count": board.links, "version": board.link_version, "speed": board.link_speed, "transmit": 0, "receive": 0,
        "errors": dict.fromkeys(LINK_ERRORS, 0), "links": [],
    }  # fmt: skip


def _fabric(board: Board) -> dict[str, Any]:
    if not board.fabric:
        return {"state": "not-supported", "status": 3, "clique": 0, "cluster": "", "health": 0, "summary": "not-supported"}
    return {
        "state": "completed", "status": 0, "clique": 0, "cluster": "00000000-0000-0000-0000-000000000000", "health": 2,
        "summary": "healthy",
    }  # fmt: skip
