"""The driver's other messages."""

from __future__ import annotations

import pytest

from tests.engine.kernel.said import has, kinds, said


@pytest.mark.parametrize(
    ("line", "pci"),
    [
        ("NVRM: GPU 0000:29:00.0: GPU has fallen off the bus.", "0000:29:00"),
        ("NVRM: GPU 18:00.0: GPU has fallen off the bus.", "0000:18:00"),
        ("NVRM: GPU at 0000:02:00.0 has fallen off the bus.", "0000:02:00"),
        (
            "NVRM: The NVIDIA GPU 0000:18:00.0 (PCI ID: 1:2) installed in this system has fallen off the bus and is not responding",
            "0000:18:00",
        ),
    ],
)
def test_off_the_bus(line: str, pci: str) -> None:
    """With and without domain, on one line or several."""
    (event,) = said(line)
    assert has(event, kind="gpu_fallen_off_bus", pci=pci)


def test_an_unsupported_gpu_is_not_off_the_bus() -> None:
    """Its message begins alike."""
    assert (
        said(
            "NVRM: The NVIDIA GPU 0000:01:00.0 (PCI ID: 10de:1c82)", "NVRM: installed in this system is not supported by the driver"
        )
        == []
    )


def test_a_mismatch_is_told_without_its_last_lines() -> None:
    """A flood cuts messages; what came counts, and another message is not taken for a part of it."""
    (event, other) = said("NVRM: API mismatch: the client 'a' (pid 7)", "NVRM: Xid (PCI:0000:3b:00): 79, x")
    assert has(event, kind="driver_mismatch", process="a", pid=7)
    assert has(other, kind="xid", xid=79)


def test_gsp_without_an_xid() -> None:
    """The driver stops printing: an event only where its Xid is not at hand."""
    more = "NVRM: Rate limiting GSP RPC error prints for GPU at PCI:0000:9b:00 (printing 1 of every 30).  The GPU likely needs"
    xid = "NVRM: Xid (PCI:0000:9b:00): 119, Timeout after 6s of waiting for RPC response from GPU4 GSP!"
    assert has(said(more)[0], kind="gsp_timeout", pci="0000:9b:00")
    assert kinds(xid, more) == ["xid"]


def test_a_gpu_that_cannot_be_initialised() -> None:
    """News only where nothing was said of the GPU before."""
    failed = "NVRM: GPU 0000:3b:00.0: RmInitAdapter failed! (0x62:0xffff:2351)"
    assert kinds(failed, "NVRM: GPU 0000:3b:00.0: rm_init_adapter failed, device minor number 0") == ["gpu_init_failed"]
    assert kinds("NVRM: Xid (PCI:0000:3b:00): 79, x", failed) == ["xid"]


def test_switches_without_word_or_link() -> None:
    """The number is enough; a severity or data line alone is a continuation."""
    head = "nvidia-nvswitch0: SXid (PCI:0004:00:00.0): "
    assert has(said(f"{head}26006, SOE HALT data[0] = 0x0")[0], kind="sxid", sxid=26006, nvswitch=0)
    assert (
        said(f"{head}12033, Severity 1 Engine instance 00 Sub-engine instance 00", f"{head}12033, Data {{0x1}}", f"{head}x, Fatal")
        == []
    )
