"""Events as people and programs get them."""

from __future__ import annotations

import pytest

from agent.engine.kernel.show import line, to_json
from tests.engine.kernel.said import read
from tests.engine.kernel.test_tables import shipped

HEAD = "NVRM: Xid (PCI:0000:3b:00): "


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("79, x", "reboot"),
        ("43, x", "none"),
        ("154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)", "reset_gpu"),
        ("154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)", "reboot"),
        ("154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)", "none"),
        ("154, something new", "check"),
        ("777, x", "support"),
    ],
)
def test_what_to_do(text: str, action: str) -> None:
    """The table's word, or what Xid 154 itself says."""
    (event,) = read([HEAD + text])
    said = to_json(event, shipped())
    assert said["action_class"] == action
    assert said["known"] is (text[:3] != "777")


def test_an_object_says_where_it_is_from() -> None:
    """Time, number, priority and trust of the record, and its text."""
    (event,) = read([f"4,2311,1843308145,-,caller=T1;{HEAD}79, x", " DEVICE=+pci:0000:3b:00.0"])
    said = to_json(event, shipped())
    assert {
        "trusted": True,
        "seq": 2311,
        "priority": 4,
        "ts_us": 1843308145,
        "device_key": "+pci:0000:3b:00.0",
    }.items() <= said.items()
    assert said["text"].startswith("NVRM: Xid")


def test_a_line_for_people() -> None:
    """Who, what, how often, what to do, and that the kernel did not write it."""
    (event,) = read([f"12,1,5000000,-;{HEAD}79, x"] * 2)
    shown = line(event, shipped())
    assert shown.startswith("#1  5.000000  critical  xid 79  (GPU fell off the bus)  pci=0000:3b:00  ×2  → reboot")
    assert shown.endswith("not from the kernel")
