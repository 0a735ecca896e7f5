"""NVML's raw answers as values in base units; what cannot be true is unknown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SENTINELS = frozenset((2**32 - 1, 2**64 - 1, 2**63 - 1, 2**63 - 14, 2**31 - 1, 2**31 - 16))
"""What NVML and DCGM write where they have no value: all bits set, and DCGM's "blank" (9223372036854775794, 2147483632)."""
MOST_BYTES = 2**50
MOST_POWER_MW, MOST_CLOCK_MHZ, MOST_DEGREES = 20_000_000, 20_000, 150
THROTTLE = {
    # reason: (bit of the clocks event reasons, field that counts its nanoseconds)
    "app_clocks": (0x2, None),
    "sw_power_cap": (0x4, "74"),
    "hw_slowdown": (0x8, None),
    "sync_boost": (0x10, "76"),
    "sw_thermal": (0x20, "269"),
    "hw_thermal": (0x40, "270"),
    "power_brake": (0x80, "271"),
}
NVLINK_ERRORS = {
    # type: NVML fields that add up to it (sums over links), NVLink 5 field
    "crc": (("38", "45"), None),
    "replay": (("52",), None),
    "recovery": (("59",), "215"),
    "ecc": (("160",), None),
    "receive": ((), "208"),
    "integrity": ((), "211"),
    "effective": ((), "219"),
    "symbol": ((), "221"),
}


def number(raw: Any, most: float, least: float = 0) -> float | None:
    """The value, or None if it is missing, a sentinel, or out of the range a real one can have."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or raw in SENTINELS or not least <= raw <= most:
        return None
    return float(raw)


def scaled(raw: Any, factor: float, most: float, least: float = 0) -> float | None:
    """The same, times ``factor``."""
    value = number(raw, most, least)
    return None if value is None else value * factor


def memory(raw: Mapping[str, Any], prefix: str) -> dict[str, float | None]:
    """Total, used, free; used never more than there is."""
    total = number(raw.get("total"), MOST_BYTES, 1)
    most = MOST_BYTES if total is None else total
    return {
        f"{prefix}_total_bytes": total,
        f"{prefix}_used_bytes": number(raw.get("used"), most),
        f"{prefix}_free_bytes": number(raw.get("free"), most),
    }


def load(raw: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, float | None]:
    """Values of the ``gpu`` collector by metric name; None where the GPU does not tell. A temperature of 0 or less is a margin."""
    fields: Mapping[str, Any] = raw.get("fields") or {}
    return {
        "gpu_utilization_ratio": scaled(raw.get("util"), 0.01, 100),
        "gpu_memory_activity_ratio": scaled(raw.get("memutil"), 0.01, 100),
        **memory(raw, "gpu_memory"),
        "gpu_memory_reserved_bytes": number(raw.get("reserved"), MOST_BYTES),
        "gpu_bar1_total_bytes": number(raw.get("bar1"), MOST_BYTES, 1),
        "gpu_bar1_used_bytes": number(raw.get("bar1_used"), MOST_BYTES),
        "gpu_temperature_celsius": number(raw.get("temp"), MOST_DEGREES, 1),
        "gpu_memory_temperature_celsius": number(fields.get("82"), MOST_DEGREES, 1),
        "gpu_power_watts": scaled(raw.get("power"), 1e-3, MOST_POWER_MW),
        "gpu_power_limit_watts": scaled(raw.get("limit"), 1e-3, MOST_POWER_MW, 1),
        "gpu_power_limit_default_watts": scaled(facts.get("limit_default"), 1e-3, MOST_POWER_MW, 1),
        "gpu_energy_joules_total": scaled(fields.get("83"), 1e-3, 2**60),
        "gpu_clock_sm_hertz": scaled(raw.get("sm"), 1e6, MOST_CLOCK_MHZ),
        "gpu_clock_memory_hertz": scaled(raw.get("mem"), 1e6, MOST_CLOCK_MHZ),
        "gpu_clock_sm_max_hertz": scaled(facts.get("sm_max"), 1e6, MOST_CLOCK_MHZ, 1),
        "gpu_clock_memory_max_hertz": scaled(facts.get("mem_max"), 1e6, MOST_CLOCK_MHZ, 1),
        "gpu_pcie_transmit_bytes_total": number(fields.get("197"), 2**63),
        "gpu_pcie_receive_bytes_total": number(fields.get("198"), 2**63),
        "gpu_encoder_utilization_ratio": scaled(raw.get("enc"), 0.01, 100),
        "gpu_decoder_utilization_ratio": scaled(raw.get("dec"), 0.01, 100),
    }


class Throttled:
    """Seconds a GPU's clocks were held down, by reason: the driver's own counter where it has one, else the time between two
    readings that both showed the reason's bit."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counted: set[str] = set()
        self._before: tuple[float, int] | None = None

    def read(self, raw: Mapping[str, Any], now: float, longest: float) -> dict[str, float]:
        """Sums by reason. A gap longer than ``longest`` seconds adds nothing: nobody saw what was."""
        fields: Mapping[str, Any] = raw.get("fields") or {}
        bits = raw.get("reasons")
        bits = int(bits) if isinstance(bits, int) and 0 <= bits < 2**32 - 1 else None
        gap, held = 0.0, 0
        if bits is not None and self._before is not None:
            gap, held = now - self._before[0], bits & self._before[1]
        self._before = None if bits is None else (now, bits)
        found = {}
        for reason, (bit, field) in THROTTLE.items():
            counted = scaled(fields.get(field), 1e-9, 2**63) if field else None
            if counted is not None and reason not in self._sums:
                self._counted.add(reason)
                found[reason] = counted
            elif bits is not None and reason not in self._counted:
                spent = gap if held & bit and gap <= longest else 0.0
                found[reason] = self._sums[reason] = self._sums.get(reason, 0.0) + spent
        return found


def health(raw: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str], float | None]]:
    """Values of the ``gpu_health`` collector: metric, labels besides the GPU's own, value. NVLink states come elsewhere."""
    fields: Mapping[str, Any] = raw.get("fields") or {}
    for key, count in (raw.get("ecc") or {}).items():
        kind, _, location = key.partition(" ")
        yield "gpu_ecc_errors_total", {"type": kind, "location": location}, number(count, 2**62)
    for cause, field in (("sbe", "29"), ("dbe", "30")):
        yield "gpu_retired_pages", {"cause": cause}, number(fields.get(field), 2**20)
    rows = raw.get("rows") or (None, None, None, None)
    for kind, count in zip(("corrected", "uncorrected"), rows, strict=False):
        yield "gpu_remapped_rows", {"type": kind}, number(count, 2**20)
    for kind, (sums, each) in NVLINK_ERRORS.items():
        found = [fields.get(f) for f in sums] + [(raw.get("link_errors") or {}).get(each)]
        counts = [c for c in (number(f, 2**62) for f in found) if c is not None]
        yield "gpu_nvlink_errors_total", {"type": kind}, sum(counts) if counts else None
    app, default = raw.get("app"), facts.get("app_default")
    plain = {
        "gpu_ecc_mode": number(raw.get("ecc_mode"), 1),
        "gpu_retired_pages_pending": number(fields.get("31"), 1),
        "gpu_remap_pending": number(rows[2], 1),
        "gpu_remap_failed": number(rows[3], 1),
        "gpu_pcie_generation": number(raw.get("gen"), 16, 1),
        "gpu_pcie_generation_max": number(facts.get("gen_max"), 16, 1),
        "gpu_pcie_width": number(raw.get("width"), 64, 1),
        "gpu_pcie_width_max": number(facts.get("width_max"), 64, 1),
        "gpu_pcie_replays_total": number(fields.get("94", raw.get("replays")), 2**62),
        "gpu_persistence_mode": number(raw.get("persistence"), 1),
        "gpu_mig_mode": number(raw.get("mig_mode"), 1),
        "gpu_fabric_state": number((raw.get("fabric") or (None, None))[0], 3),
        "gpu_fabric_status": number((raw.get("fabric") or (None, None))[1], 999),
        "gpu_inforom_valid": number(raw.get("inforom"), 1),
        "gpu_recovery_action": number(fields.get("230"), 4),
        "gpu_clock_sm_limit_hertz": scaled(app, 1e6, MOST_CLOCK_MHZ, 1) if app != default else None,
    }
    for name, value in plain.items():
        yield name, {}, value
