"""Filesystems."""

from __future__ import annotations

import pytest

from tests.engine.kernel.said import kinds, said


@pytest.mark.parametrize(
    ("line", "kind", "fs", "device"),
    [
        ("EXT4-fs error (device sda1) in ext4_reserve_inode_write:5763: Journal has aborted", "fs_error", "ext4", "sda1"),
        ("Aborting journal on device nvme0n1p2-8.", "fs_error", "ext4", "nvme0n1p2"),
        ("JBD2: Error -5 detected when updating journal superblock for sda1-8.", "fs_error", "ext4", "sda1"),
        ("EXT3-fs (dm-6): Remounting filesystem read-only", "fs_readonly", "ext3", "dm-6"),
        ("FAT-fs (sdb1): Filesystem has been set read-only", "fs_readonly", "vfat", "sdb1"),
        ("BTRFS info (device sdb state E): forced readonly", "fs_readonly", "btrfs", "sdb"),
        ("BTRFS error (device sda1 state EA): parent transid verify failed", "fs_error", "btrfs", "sda1"),
        ("BTRFS: error (device sdb) in btrfs_commit_transaction:2124: errno=-5 IO failure", "fs_error", "btrfs", "sdb"),
        ("BTRFS warning (device sda1): csum failed root 5 ino 257 off 0 csum 0x1", "fs_error", "btrfs", "sda1"),
        ('XFS (sdb1): metadata I/O error in "xfs_trans_read_buf_map" at daddr 0x1 len 1 error 5', "fs_error", "xfs", "sdb1"),
        (
            "XFS (sdb1): Log I/O Error (0x2) detected at f+0x52/0xa0 [xfs] (x.c:1377).  Shutting down filesystem.",
            "fs_shutdown",
            "xfs",
            "sdb1",
        ),
        ("XFS (sdb1): Filesystem has been shut down due to log error (0x2).", "fs_shutdown", "xfs", "sdb1"),
        ("XFS (sda1): I/O error while writing superblock", "superblock_write_error", "xfs", "sda1"),
    ],
)
def test_every_kind_of_filesystem(line: str, kind: str, fs: str, device: str) -> None:
    """Kind, filesystem and device."""
    (event,) = said(line)
    assert (event["kind"], event["fs"], event["device"]) == (kind, fs, device)


def test_one_fault_told_in_several_messages() -> None:
    """ext4: the error and its journal; XFS: who called for the shutdown, and the shutdown."""
    ext = ("EXT4-fs error (device sda1): ext4_find_entry:1455: x", "Aborting journal on device sda1-8.")
    assert kinds(*ext, "EXT4-fs (sda1): Remounting filesystem read-only") == ["fs_error", "fs_readonly"]
    down = (
        "XFS (sda): xfs_do_force_shutdown(0x2) called from line 1 of file x.",
        "XFS (sda): Log I/O Error Detected.  Shutting down filesystem",
    )
    assert kinds(*down, "XFS (sda): Please umount the filesystem and rectify the problem(s)") == ["fs_shutdown"]
    assert kinds("XFS (sda): xfs_log_force: error -5 returned.") == ["fs_error"]


def test_the_same_text_without_a_device() -> None:
    """The event is told all the same."""
    assert kinds("BTRFS: Remounting filesystem read-only") == ["fs_readonly"]


@pytest.mark.parametrize(
    "line",
    [
        "EXT4-fs warning (device sda1): ext4_end_bio:343: x",
        "EXT4-fs (sda1): error count since last fsck: 4",
        "EXT4-fs: Remounting filesystem read-write",
        "EXT4-fs (dm-0): I/O error while reading superblock",
        "XFS (dm-3): Mounting V5 Filesystem",
        "XFS (sdb1): Please unmount the filesystem and rectify the problem(s)",
        "BTRFS info (device sda1): using crc32c",
        "nfs: server fs1 starting",
        "nfs4_reclaim_open_state: Lock reclaim failed",
    ],
)
def test_everyday_lines_are_silent(line: str) -> None:
    """Mounts, hints, counts of earlier errors."""
    assert kinds(line) == []
