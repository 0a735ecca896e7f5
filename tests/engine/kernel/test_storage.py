"""Disks."""

from __future__ import annotations

import pytest

from tests.engine.kernel.said import has, kinds, said


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("nvme nvme0: I/O 24 QID 0 timeout, completion polled", {"kind": "nvme_timeout", "device": "nvme0"}),
        ("nvme nvme0: Device not ready; aborting reset, CSTS=0x1", {"kind": "nvme_controller_down", "device": "nvme0"}),
        (
            "nvme0n1: Read(0x2) @ LBA 4567, 8 blocks, Unrecovered Read Error (sct 0x2 / sc 0x81) DNR",
            {"kind": "io_error", "error": "medium"},
        ),
        ("blk_update_request: critical target error, dev sdc, sector 9 op 0x3:(DISCARD)", {"kind": "io_error", "error": "target"}),
        ("print_req_error: I/O error, dev sdb, sector 5", {"kind": "io_error", "device": "sdb"}),
        ("ata1.00: exception Emask 0x0 SAct 0x1 SErr 0x0 action 0x0", {"kind": "ata_error", "device": "ata1"}),
        ("md/raid1:md0: Disk failure on sdb1, disabling device.", {"kind": "raid_failure", "device": "sdb1", "array": "md0"}),
        ("md/raid:md5: Disk failure on sdc1, disabling device.", {"kind": "raid_failure", "device": "sdc1", "array": "md5"}),
        ("md: kicking non-fresh sdb1 from array!", {"kind": "raid_failure", "device": "sdb1"}),
    ],
)
def test_forms_of_all_ages(line: str, wanted: dict[str, object]) -> None:
    """Wordings that changed over the years."""
    (event,) = said(line)
    assert wanted.items() <= event.items()


def test_sectors_of_one_disk_are_one_event() -> None:
    """The disk is the fault, not each sector."""
    assert has(said(*(f"I/O error, dev sda, sector {n} op 0x0:(READ)" for n in range(7)))[0], count=7)


def test_a_read_beyond_the_end_names_the_device_in_its_next_line() -> None:
    """Old kernels say want, new ones sector; the line alone means nothing."""
    more = "nvme0n1: rw=2049, sector=1308098575, nr_sectors = 8 limit=1000215216"
    (event,) = said("kworker/u203:1: attempt to access beyond end of device", more)
    assert has(event, kind="beyond_end_of_device", process="kworker/u203:1", device="nvme0n1")
    assert said(more) == []


@pytest.mark.parametrize(
    "line",
    [
        "blk_update_request: operation not supported error, dev loop0, sector 1 op 0x9:(WRITE_ZEROES)",
        "buffer_io_error: 5 callbacks suppressed",
        "ata1: SATA link down (SStatus 0 SControl 300)",
        "nvme nvme0: 32/0/0 default/read/poll queues",
        "md: md0: recovery done.",
        "sd 0:0:0:0: [sda] Synchronizing SCSI cache",
    ],
)
def test_everyday_lines_are_silent(line: str) -> None:
    """Ports without a disk, missing features, progress."""
    assert kinds(line) == []
