"""Crashes of the kernel and of programs."""

from __future__ import annotations

import pytest

from tests.engine.kernel.said import has, kinds, said


@pytest.mark.parametrize(
    "line",
    [
        "BUG: unable to handle page fault for address: ffffffffc0",
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1] PREEMPT SMP",
        "general protection fault: 0000 [#1] SMP",
        "divide error: 0000 [#1] SMP ",
        "kernel BUG at fs/ext4/inode.c:2721!",
        "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010",
        "Internal error: Oops: 96000004 [#1] SMP",
    ],
)
def test_every_way_an_oops_begins(line: str) -> None:
    """x86 and arm64, old and new."""
    assert kinds(line) == ["kernel_oops"]


def test_two_crashes_are_two() -> None:
    """The next begins once the first has named its task."""
    one = ("BUG: unable to handle page fault for address: 1", "Oops: 0000 [#1] SMP", "CPU: 1 PID: 2 Comm: a b Not tainted 6.8")
    two = (
        "BUG: unable to handle page fault for address: 2",
        "Oops: 0000 [#2] SMP",
        "CPU: 3 UID: 0 PID: 4 Comm: c Tainted: G D 6.8",
    )
    events = said(*one, *two)
    assert [(e["cpu"], e["pid"], e["process"]) for e in events] == [(1, 2, "a b"), (3, 4, "c")]


def test_an_oops_that_ends_in_a_panic() -> None:
    """Both are told; the end mark is no further panic."""
    lines = (
        "BUG: unable to handle page fault for address: 1",
        "CPU: 1 PID: 2 Comm: a Not tainted",
        "Kernel panic - not syncing: Fatal exception",
    )
    assert kinds(*lines, "---[ end Kernel panic - not syncing: Fatal exception ]---") == ["kernel_oops", "kernel_panic"]


def test_programs() -> None:
    """Segfaults and other traps, with the library where it happened."""
    assert has(
        said("a[1] b[28]: segfault at 0 ip 00 sp 00 error 14 in dash[561ac3c57000+4000]")[0],
        process="a[1] b",
        pid=28,
        library="dash",
    )
    (trap,) = said("traps: python3[9] general protection fault ip:7f9 sp:7ff error:0 in libcuda.so.1[7f0+10]")
    assert has(trap, kind="segfault", process="python3", library="libcuda.so.1", trap="general protection fault")


@pytest.mark.parametrize(
    "line",
    [
        "CPU: 17 PID: 2 Comm: x Tainted: P",
        "Call Trace:",
        "WARNING: CPU: 0 PID: 5 at net/x.c:1 f+0x1/0x2",
        "Kernel panic - syncing: x",
    ],
)
def test_parts_alone_are_silent(line: str) -> None:
    """A trace without its beginning, a warning."""
    assert said(line) == []
