"""What belongs together has one number, and what does not has its own."""

from __future__ import annotations

import pytest

from agent.engine.kernel.incidents import MOST_TOPICS, Incidents
from agent.engine.kernel.record import Happening
from tests.engine.kernel.said import read as said


def read(log: str) -> list[Happening]:
    """Events of a log."""
    return said(log.strip().splitlines())


def numbers(log: str) -> list[int]:
    """The numbers of the incidents, event by event."""
    return [event.incident for event in read(log)]


A, B = "PCI:0000:3b:00", "PCI:0000:5e:00"
OFF = "GPU has fallen off the bus."


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            f"[10.0] NVRM: Xid ({A}): 13, one\n[10.1] NVRM: Xid ({A}): 13, two\n[11.0] NVRM: Xid ({A}): 43, pid=1, name=a, Ch 1",
            [1, 1, 1],
        ),
        (f"[10.0] NVRM: Xid ({A}): 48, x\n[10.1] NVRM: Xid ({A}): 63, y\n[10.2] NVRM: Xid ({A}): 94, z", [1, 1, 1]),
        (f"[10.0] NVRM: Xid ({A}): 48, x\n[10.1] NVRM: Xid ({A}): 64, y\n[10.2] NVRM: Xid ({A}): 95, z", [1, 1, 1]),
        (f"[10.0] NVRM: GPU 0000:3b:00.0: {OFF}\n[10.1] NVRM: Xid ({A}): 79, {OFF}\n[500.0] NVRM: Xid ({A}): 154, x", [1, 1, 1]),
        (f"[10.0] NVRM: Xid ({A}): 149, a\n[10.4] NVRM: Xid ({B}): 149, a\n[11.0] NVRM: Xid ({B}): 154, x", [1, 1, 1]),
        (f"[10.0] NVRM: Xid ({A}): 149, a\n[40.0] NVRM: Xid ({B}): 149, a", [1, 2]),
        (f"[10.0] NVRM: Xid ({A}): 31, a\n[10.1] NVRM: Xid ({B}): 31, a", [1, 2]),
        (f"[10.0] NVRM: Xid ({A}): 31, a\n[400.0] NVRM: Xid ({A}): 31, b\n[2000.0] NVRM: Xid ({A}): 31, c", [1, 1, 2]),
        (f"[10.0] NVRM: Xid ({A}): 31, a\n[200.0] NVRM: Xid ({A}): 119, b", [1, 2]),
        (f"[1.0] nvidia-nvswitch0: SXid ({A}.0): 20034, Fatal, Link 1 x\n[2.0] NVRM: Xid ({B}): 74, NVLink: y", [1, 1]),
        (
            "[1.0] nfs: server a not responding, timed out\n[2.0] nfs: server b not responding, timed out\n[3.0] nfs: server a OK",
            [1, 2, 1],
        ),
        ("[9.0] I/O error, dev sda, sector 1\n[12.0] XFS (md1): log I/O error -5\n[90.0] I/O error, dev sdb, sector 1", [1, 1, 2]),
        (
            "[1.0] INFO: task a:1 blocked for more than 120 seconds.\n[2.0] Kernel panic - not syncing: hung_task: blocked tasks",
            [1, 1],
        ),
        ("[1.0] Out of memory: Killed process 1 (a)\n[90.0] Out of memory: Killed process 2 (b)", [1, 2]),
        (
            "[100.0] ixgbe 0000:08:00.0 eth1: NIC Link is Down\n[100.1] bond0: link status definitely down for interface eth1, x",
            [1, 1],
        ),
        (f"4,1,9,-;NVRM: Xid ({A}): 79, {OFF}\n12,2,9,-;NVRM: Xid ({A}): 79, {OFF}", [1, 2]),
    ],
)
def test_events_of_one_fault_share_a_number(log: str, expected: list[int]) -> None:
    """Chains known from the driver, the same thing again within its time, and never across trust."""
    assert numbers(log) == expected


def test_a_port_and_what_hangs_below_it() -> None:
    """A fatal PCIe error at the port, the GPU that cannot recover, and the GPU lost: one incident."""
    log = """
[1.00] pcieport 0000:00:03.0: AER: Uncorrected (Fatal) error received: 0000:00:03.0
[1.01] pcieport 0000:00:03.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer, (Requester ID)
[1.02] nvidia 0000:3b:00.0: AER: can't recover (no error_detected callback)
[1.03] pcieport 0000:00:03.0: AER: device recovery failed
[1.50] NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.
"""
    assert [(e.kind, e.incident) for e in read(log)] == [("pcie_aer", 1), ("pcie_aer", 1), ("pcie_aer", 1), ("xid", 1)]


def test_an_end_resolves_its_incident_and_a_new_beginning_opens_it_again() -> None:
    """A link down, up, and down once more is not resolved."""
    down, up = "ixgbe 0000:08:00.0 eth1: NIC Link is Down", "ixgbe 0000:08:00.0 eth1: NIC Link is Up 10 Gbps"
    assert {e.resolved for e in read(f"[100.0] {down}\n[101.0] {up}")} == {True}
    assert {e.resolved for e in read(f"[100.0] {down}\n[101.0] {up}\n[102.0] {down}")} == {False}
    need = f"NVRM: Xid ({A}): 154, GPU recovery action changed from"
    assert {
        e.resolved for e in read(f"{need} 0x0 (None) to 0x1 (GPU Reset Required)\n{need} 0x1 (GPU Reset Required) to 0x0 (None)")
    } == {True}


def test_a_flood_of_different_faults_stays_bounded() -> None:
    """Thousands of GPUs, servers and links: what is remembered of them does not grow without end."""
    incidents = Incidents()
    for n in range(2_000):
        for event in said([f"NVRM: Xid (PCI:{n:04x}:01:00): 31, a", f"nfs: server s{n} not responding, timed out"]):
            incidents.place(event)
    assert len(incidents._topics) <= MOST_TOPICS
