"""What the raw answers of NVML mean: units, values that cannot be true, time throttled."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.collectors._gpu_values import SENTINELS, Throttled, health, load, memory, number, scaled
from agent.host.nvml_gpu import address

FACTS = {"limit_default": 700_000, "sm_max": 1980, "mem_max": 3201, "gen_max": 5, "width_max": 16, "app_default": 1980}


@pytest.mark.parametrize("garbage", [*sorted(SENTINELS), -1, -40, None, "N/A", True, float("nan"), 10**30])
def test_a_value_that_cannot_be_true_is_unknown(garbage: Any) -> None:
    """Sentinels leak out of drivers and exporters as figures; none may become a sample."""
    assert number(garbage, 100) is None


@given(st.one_of(st.integers(), st.floats(), st.none(), st.text(), st.booleans()))
def test_whatever_nvml_answers_a_share_lies_between_none_and_all(raw: Any) -> None:
    """No garbage makes a utilisation of 200 %."""
    value = scaled(raw, 0.01, 100)
    assert value is None or 0 <= value <= 1


@pytest.mark.parametrize(
    ("bus_id", "shown"),
    [
        ("00000000:18:00.0", "0000:18:00.0"),
        ("0000:C1:00.0", "0000:c1:00.0"),
        ("00010000:3B:00.0", "10000:3b:00.0"),
        ("", ""),
        ("garbage", ""),
        ("xyz:00:00.0", ""),
    ],
)
def test_a_pci_address_is_written_as_the_kernel_writes_it(bus_id: str, shown: str) -> None:
    """Four digits of domain, lower case: it must join with kernel-log records; a larger domain keeps its digits."""
    assert address(bus_id) == shown


def test_units_are_base_units() -> None:
    """Milliwatts, megahertz, millijoules and per cent do not leave this file."""
    raw = {
        "util": 73,
        "power": 412_500,
        "limit": 700_000,
        "sm": 1755,
        "temp": 61,
        "fields": {"82": 70, "83": 5_000, "197": 10, "198": 20},
    }
    values = load(raw, FACTS)
    assert values["gpu_utilization_ratio"] == pytest.approx(0.73)
    assert values["gpu_power_watts"] == pytest.approx(412.5)
    assert values["gpu_clock_sm_hertz"] == pytest.approx(1.755e9)
    assert values["gpu_clock_sm_max_hertz"] == pytest.approx(1.98e9)
    assert values["gpu_energy_joules_total"] == pytest.approx(5.0)
    assert values["gpu_memory_temperature_celsius"] == 70
    assert values["gpu_pcie_transmit_bytes_total"] == 10
    assert values["gpu_memory_total_bytes"] is None


@pytest.mark.parametrize("margin", [0, -3, 255])
def test_a_temperature_that_is_a_margin_is_dropped(margin: int) -> None:
    """Some boards answer the memory's temperature with 0, a negative margin or 255."""
    assert load({"fields": {"82": margin}}, {})["gpu_memory_temperature_celsius"] is None


def test_more_memory_used_than_there_is_is_unknown() -> None:
    """A garbled answer must not look like a full GPU."""
    found = memory({"total": 80 << 30, "used": 90 << 30, "free": 1 << 30}, "gpu_memory")
    assert found == {"gpu_memory_total_bytes": 80 << 30, "gpu_memory_used_bytes": None, "gpu_memory_free_bytes": 1 << 30}


def test_time_throttled_is_taken_from_the_drivers_own_counter() -> None:
    """It counts what happened between two readings too."""
    throttled = Throttled()
    assert throttled.read({"reasons": 0x4, "fields": {"74": 3_000_000_000}}, 0.0, 15.0)["sw_power_cap"] == 3.0


def test_without_a_counter_the_time_between_readings_that_show_the_reason_counts() -> None:
    """Power brake held over two readings of three, five seconds apart."""
    throttled = Throttled()
    sums = [throttled.read({"reasons": bits}, now, 15.0)["power_brake"] for now, bits in ((0, 0x80), (5, 0x80), (10, 0), (15, 0))]
    assert sums == [0, 5, 5, 5]


def test_a_gap_in_the_readings_counts_for_nothing() -> None:
    """Nobody saw what the clocks did while NVML hung."""
    throttled = Throttled()
    throttled.read({"reasons": 0x40}, 0.0, 15.0)
    assert throttled.read({"reasons": 0x40}, 600.0, 15.0)["hw_thermal"] == 0


def test_a_counter_that_is_missing_once_is_not_replaced_by_a_guess() -> None:
    """A sum that jumps between two sources would look like throttling."""
    throttled = Throttled()
    throttled.read({"reasons": 0, "fields": {"269": 10**9}}, 0.0, 15.0)
    assert "sw_thermal" not in throttled.read({"reasons": 0x20, "fields": {}}, 5.0, 15.0)


def shown(raw: dict[str, Any]) -> dict[tuple[str, ...], float | None]:
    """Health values by metric and label values."""
    return {(name, *more.values()): value for name, more, value in health(raw, FACTS)}


def test_errors_are_told_apart_by_type_and_place() -> None:
    """SRAM errors and DRAM errors mean different repairs."""
    found = shown({"ecc": {"uncorrected sram": 2, "uncorrected dram": None, "corrected total": 7}})
    assert found["gpu_ecc_errors_total", "uncorrected", "sram"] == 2
    assert found["gpu_ecc_errors_total", "uncorrected", "dram"] is None
    assert found["gpu_ecc_errors_total", "corrected", "total"] == 7


def test_nvlink_errors_of_old_and_new_links_have_one_name() -> None:
    """CRC errors of flits and data are one type; a link recovery is one whatever the generation."""
    assert shown({"fields": {"38": 2, "45": 3}})["gpu_nvlink_errors_total", "crc"] == 5
    assert shown({"link_errors": {"215": 4}})["gpu_nvlink_errors_total", "recovery"] == 4
    assert shown({})["gpu_nvlink_errors_total", "replay"] is None


def test_an_application_clock_counts_as_a_limit_only_where_somebody_set_one() -> None:
    """Every GPU has a default one."""
    assert shown({"app": 1980})[("gpu_clock_sm_limit_hertz",)] is None
    assert shown({"app": 1200})[("gpu_clock_sm_limit_hertz",)] == pytest.approx(1.2e9)


@given(st.dictionaries(st.sampled_from(["ecc_mode", "gen", "width", "rows", "persistence", "fabric"]), st.none()))
def test_what_a_board_does_not_have_is_unknown(raw: dict[str, Any]) -> None:
    """None everywhere is an old or small GPU, not an error."""
    assert all(value is None for name, _, value in health(raw, {}))
