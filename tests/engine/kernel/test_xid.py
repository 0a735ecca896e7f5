"""Xid lines."""

from __future__ import annotations

import pytest

from tests.engine.kernel.said import has, said

HEAD = "NVRM: Xid (PCI:0000:3b:00): "


@pytest.mark.parametrize(
    ("name", "process"),
    [
        ("python3", "python3"),
        ("(sd-pam)", "(sd-pam)"),
        ("ray::WorkerDict", "ray::WorkerDict"),
        ("a,b", "a,b"),
        ("x: 79", "x: 79"),
        ("a/b c", "a/b c"),
        ("'", "'"),
        ("pid=1", "pid=1"),
        ("): 79, pid=3", None),
        ("a, Ch 00000001", None),
        ("<unknown>", None),
    ],
)
def test_a_name_may_hold_anything(name: str, process: str | None) -> None:
    """It is read to its end; where two readings are possible it is not guessed, and the number is right all the same."""
    (event,) = said(f"{HEAD}31, pid=42, name={name}, Ch 00000008, intr 00000000. MMU Fault: x")
    assert has(event, xid=31, pid=42, pci="0000:3b:00")
    assert event.get("process") == process


@pytest.mark.parametrize(
    ("address", "pci"),
    [
        ("PCI:0000:3B:00", "0000:3b:00"),
        ("PCI:0000:3b:00.0", "0000:3b:00"),
        ("PCI:00000000:3b:00", "0000:3b:00"),
        ("0000:03:00", "0000:03:00"),
    ],
)
def test_addresses_of_all_ages(address: str, pci: str) -> None:
    """With and without prefix, function, long domain, upper case."""
    assert has(said(f"NVRM: Xid ({address}): 14, Channel 00000001")[0], xid=14, pci=pci)


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: Xid : 32, pid=1",
        "NVRM: Xid (x): 1",
        f"{HEAD}abc",
        f"{HEAD}79x, y",
        "Xid (PCI:0000:3b:00): 79",
        f"app: {HEAD}79",
        f"{HEAD}",
    ],
)
def test_what_only_looks_like_one_is_silent(line: str) -> None:
    """Quotes, other texts, no number."""
    assert said(line) == []


@pytest.mark.parametrize("number", [1, 177, 65_535, 1_000_000, 2**32 - 1])
def test_numbers_that_are_in_no_list_are_told(number: int) -> None:
    """All that the driver's field can hold: an unknown one is reported, never dropped."""
    assert [event["xid"] for event in said(f"NVRM: Xid (PCI:0000:3b:00): {number}, pid=9, name=x, Ch 00000008")] == [number]


def test_details_by_number() -> None:
    """Link of the older NVLink error, unit of an exception, reset words, seconds of a GSP timeout."""
    assert has(said(f"{HEAD}74, NVLink: fatal error detected on link 14(0x0, 0x0)")[0], link=14)
    assert has(said(f"{HEAD}13, Graphics Exception on (GPC 1, TPC 2)")[0], gpc=1, tpc=2)
    assert has(said(f"{HEAD}95, pid=7, Uncontained: LTC TAG (0x2, 0x1). RST: Yes, D-RST: No")[0], reset_required=True)
    assert has(said(f"{HEAD}119, Timeout after 6s of waiting for RPC response from GPU4 GSP! Expected")[0], seconds=6, gpu_number=4)
