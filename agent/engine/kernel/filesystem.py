"""Filesystems on disk and over the network: errors, read-only, shutdown, NFS that does not answer.

Forms of fs/ext4/super.c, fs/jbd2, fs/xfs, fs/btrfs, fs/fat, fs/f2fs, net/sunrpc/clnt.c, fs/nfs/nfs4state.c.
"""

from __future__ import annotations

import re

from agent.engine.kernel.log import Log

_OF = r"(?: error)?(?: ?\((?:device )?([^\s):]{1,64})[^)]{0,40}\))?"
"""Which device, as ext4 and XFS (``(sda1)``), ext4's errors and btrfs (``(device sda1)``, ``(device sda1 state EA)``) say it."""
_EXT_ERROR = re.compile(r"EXT([234])-fs error \(device ([^\s)]{1,64})\)")
_NAMED = re.compile(
    r"(EXT[234]-fs|XFS|F2FS-fs|FAT-fs|exFAT-fs|REISERFS|NILFS|JFS)(?: error)? ?\((?:device )?([^\s)]{1,64})\): (.*)", re.DOTALL
)
_READ_ONLY = re.compile(
    rf"(?:([A-Za-z][\w-]{{1,15}}){_OF}: )?(?:[Rr]emounting filesystem read-only|Filesystem has been set read-only)"
)
_SUPERBLOCK = re.compile(rf"(?:([A-Za-z][\w-]{{1,15}}){_OF}: )?I/O error while writing superblock")
_JOURNAL = re.compile(
    r"(?:Aborting journal on device|JBD2: Error -?\d+ detected when updating journal superblock for"
    r"|JBD2: Detected IO errors while flushing file data on) (\S{1,64}?)(?:-8)?\.?\s*\Z"
)
_EXT_WORSE = re.compile(
    r"previous I/O error to superblock detected|failed to convert unwritten extents|Delayed block allocation failed|error: "
)
_XFS_DOWN = re.compile(
    r".{0,160}?[Ss]hutting down filesystem|Filesystem has been shut down due to|xfs_do_force_shutdown\(0x[0-9a-f]+\) called from"
)
_XFS_ERROR = re.compile(
    r"log I/O error -?\d+|metadata I/O error|Metadata corruption detected|Metadata CRC error detected|Internal error "
    r"|Corruption detected|writeback error on|page discard on|Corruption warning|failed to write"
    r"|xfs_\w{1,40}: error -?\d+ returned",
    re.IGNORECASE,
)
_BTRFS = re.compile(
    r"BTRFS(?: (error|critical|warning|info))?:? (?:(error) )?\((?:device )?([^\s):]{1,64})[^)]{0,40}\)(?::| in) ?(.*)", re.DOTALL
)
_BTRFS_WORSE = re.compile(r"csum failed|checksum error|checksum verify failed")
_NFS = re.compile(r"(?:nfs|lockd): server (\S{1,255}) (?:(not responding), (timed out|still trying)|(OK))\s*\Z")
_RECLAIM = re.compile(r"(?:NFS: )?nfs4_reclaim_open_state: Lock reclaim failed!")
KINDS = {"exfat": "exfat", "fat": "vfat", "reiserfs": "reiserfs"}


def _fs(word: str | None) -> str | None:
    """``EXT4-fs`` → ``ext4``."""
    name = (word or "").lower().removesuffix("-fs")
    return KINDS.get(name, name) or None


def _add(kind: str, fs: str | None, device: str | None, log: Log) -> None:
    """One event of a filesystem, however many messages it takes to say it."""
    log.add(kind, {"fs": fs, "device": device}, (fs, device))


class Filesystem:
    """One line, one event."""

    def read(self, text: str, log: Log) -> bool:
        """One line; True if it belongs to this family."""
        return (
            self._general(text, log)
            or self._ext(text, log)
            or self._xfs(text, log)
            or self._btrfs(text, log)
            or self._nfs(text, log)
        )

    def _general(self, text: str, log: Log) -> bool:
        for kind, pattern in (("fs_readonly", _READ_ONLY), ("superblock_write_error", _SUPERBLOCK)):
            if (found := pattern.match(text)) is not None:
                _add(kind, _fs(found[1]), found[2], log)
                return True
        return False

    def _ext(self, text: str, log: Log) -> bool:
        if (found := _EXT_ERROR.match(text)) is not None:
            _add("fs_error", f"ext{found[1]}", found[2], log)
            return True
        if (journal := _JOURNAL.match(text)) is not None:
            _add("fs_error", "ext4", journal[1], log)
            return True
        named = _NAMED.match(text)
        if named is None or named[1] == "XFS":
            return False
        if not _EXT_WORSE.match(named[3]) and not text.startswith(f"{named[1]} error"):
            return False
        _add("fs_error", _fs(named[1]), named[2], log)
        return True

    def _xfs(self, text: str, log: Log) -> bool:
        named = _NAMED.match(text)
        if named is None or named[1] != "XFS":
            return False
        if _XFS_DOWN.match(named[3]):
            _add("fs_shutdown", "xfs", named[2], log)
        elif _XFS_ERROR.match(named[3]):
            _add("fs_error", "xfs", named[2], log)
        else:
            return False
        return True

    def _btrfs(self, text: str, log: Log) -> bool:
        found = _BTRFS.match(text)
        if found is None:
            return False
        word = found[1] or found[2] or ""
        if "forced readonly" in found[4]:
            _add("fs_readonly", "btrfs", found[3], log)
        elif word in ("error", "critical") or _BTRFS_WORSE.match(found[4]):
            _add("fs_error", "btrfs", found[3], log)
        else:
            return False
        return True

    def _nfs(self, text: str, log: Log) -> bool:
        if (found := _NFS.match(text)) is not None:
            if found[4]:
                log.add("nfs_ok", {"server": found[1]})
            else:
                log.add("nfs_not_responding", {"server": found[1], "mode": found[3]})
            return True
        if _RECLAIM.match(text):
            log.add("nfs_lock_reclaim_failed", {}, ())
            return True
        return False
