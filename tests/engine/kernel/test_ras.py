"""Hardware that reports errors."""

from __future__ import annotations

import pytest

from tests.engine.kernel.said import has, kinds, said


def test_a_process_killed_for_broken_memory() -> None:
    """Its victim is named; the machine check before it goes with it."""
    killed = "Memory failure: 0x1a2b3c: Killing a:b:77 due to hardware memory corruption"
    assert has(said(killed)[0], kind="memory_failure", process="a:b", pid=77)
    assert kinds("mce: Uncorrected hardware memory error in user-access at 1a2b3c000", killed) == ["mce", "memory_failure"]


def test_amd_banks() -> None:
    """AMD says CPU and bank in another order."""
    line = "[Hardware Error]: CPU:1 (19:1:1) MC18_STATUS[Over|CE|MiscV|AddrV|-|-|SyndV|CECC|-|-|-]: 0xdc2040000000011b"
    assert has(
        said("[Hardware Error]: Corrected error, no action required.", line)[0],
        kind="mce",
        cpu=1,
        bank=18,
        status="dc2040000000011b",
    )


def test_a_pointer_line_and_its_bank_are_one() -> None:
    """In either order; two banks are two."""
    pointer, bank = (
        "mce: [Hardware Error]: Machine check events logged",
        "mce: [Hardware Error]: CPU {}: Machine Check: 0 Bank 5: be00",
    )
    assert [e.get("cpu") for e in said(pointer, bank.format(1), bank.format(2))] == [1, 2]
    assert [e.get("cpu") for e in said(bank.format(1), pointer)] == [1]


def test_memory_errors_carry_their_own_count() -> None:
    """Wordings with and without a kind of error."""
    assert has(
        said("EDAC MC0: 2 CE on mc#0csrow#1channel#0 (csrow:1 channel:0 page:0x1)")[0],
        severity="ce",
        count=2,
        dimm="mc#0csrow#1channel#0",
    )
    assert has(said('EDAC MC3: UE page 0x0, offset 0x0, grain 0, row 1, labels ":": x')[0], severity="ue", mc=3, count=1)


def test_firmware_says_what_part() -> None:
    """The section is a line of its own."""
    (event,) = said("{5}[Hardware Error]: event severity: recoverable", "{5}[Hardware Error]:   section_type: memory error")
    assert has(event, kind="cper", severity="recoverable", section="memory error")


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ("pcieport 0000:80:01.1: AER: Correctable error message received from 0000:81:00.0", "corrected"),
        ("pcieport 0000:00:1c.5: AER: Multiple Uncorrected (Non-Fatal) error received: 0000:81:00.0", "nonfatal"),
        ("nvidia 0000:81:00.0: PCIe Bus Error: severity=Uncorrectable (Fatal), type=Transaction Layer, (Requester ID)", "fatal"),
        ("nvidia 0000:81:00.0: AER: can't recover (no error_detected callback)", "unrecovered"),
    ],
)
def test_pcie(line: str, severity: str) -> None:
    """The device that had the error is named, not the port that tells of it."""
    assert has(said(line)[0], kind="pcie_aer", severity=severity, device="0000:81:00.0")


@pytest.mark.parametrize(
    "line",
    [
        "MCE: In-kernel MCE decoding enabled.",
        "mce: CPU0: Core temperature above threshold, cpu clock throttled (total events = 1)",
        "EDAC MC0: Giving out device to module skx_edac controller",
        "pcieport 0000:80:01.1: AER: enabled with IRQ 30",
        "pcieport 0000:80:01.1: AER: device recovery successful",
        "{5}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 1",
    ],
)
def test_banners_are_silent(line: str) -> None:
    """Start-up lines and ends."""
    assert kinds(line) == []
