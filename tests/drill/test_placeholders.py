"""Settings inside what a case says of GPUs, kernel log and culprit."""

from __future__ import annotations

from pathlib import Path

from agent.drill.case import Case, Expect, Wanted
from agent.drill.placeholders import filled


def case(**more: object) -> Case:
    """A GPU case; its GPU and process are settings."""
    return Case("c", "gpu", "t", ("{python}", "x.py"), Path("/c"), env={"GPU": "2", "PID": "77"}, **more)  # type: ignore[arg-type]


def test_report_counter_and_expectation_speak_of_the_same_gpu() -> None:
    """Number and address, in keys and values, however deep."""
    given = case(
        sim={"set": {"{GPU}": {"remap.failed": True}}, "then": [{"after": "3s", "fault": {"lost": "{GPU}"}}], "gpus": 8},
        kernel_log=("NVRM: Xid (PCI:{pci:GPU}): 64, pid={PID}, name=p",),
        expect=Expect("gpu.remap-failed", culprits=(Wanted(kind="gpu", name="GPU {GPU}", pci="{pci:GPU}"),)),
    )
    made = filled(given)
    assert made.sim == {"set": {"2": {"remap.failed": True}}, "then": [{"after": "3s", "fault": {"lost": "2"}}], "gpus": 8}
    assert made.kernel_log == ("NVRM: Xid (PCI:0000:28:00): 64, pid=77, name=p",)
    assert made.expect is not None
    assert made.expect.culprits == (Wanted(kind="gpu", name="GPU 2", pci="0000:28:00"),)


def test_what_is_no_setting_stays() -> None:
    """Braces of a log line are its own."""
    line = "SXid (PCI:0000:c1:00.0): 20034, Data {0x1, NOTHING} {OTHER} {pci:OTHER}"
    assert filled(case(kernel_log=(line,))).kernel_log == (line,)


def test_a_case_about_a_program_is_left_alone() -> None:
    """Its start has holes of its own."""
    given = case()
    assert filled(given) is given
