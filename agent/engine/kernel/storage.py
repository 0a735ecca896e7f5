"""Disks: NVMe, block errors, ATA, md arrays. Forms of drivers/nvme/host, block/blk-core.c, fs/buffer.c, drivers/ata, drivers/md."""

from __future__ import annotations

import re

from agent.engine.kernel.log import Log
from agent.engine.kernel.record import Happening, Value

_NVME = re.compile(r"nvme (nvme\d{1,5}): (.*)", re.DOTALL)
_TIMEOUT = re.compile(
    r"I/O .{0,120}?\bQID \d+ timeout\b|queue \d+: timeout request|I/O .{0,80}? timeout, (?:aborting|reset controller|disable)"
)
_DOWN = re.compile(r"controller is down; will reset|Device not ready; aborting|frozen state error detected, reset controller")
_GONE = re.compile(r"Disabling device after reset failure|Removing after probe failure")
_PATH = re.compile(r"block (nvme\S{1,40}): no (?:available|usable) path - failing I/O")
_NVME_STATUS = re.compile(
    r"(nvme\d+(?:c\d+)?n\d+): .{1,80}? @ LBA \d+, \d+ blocks, .{1,80}? \(sct 0x([0-9a-f]+) / sc 0x[0-9a-f]+\)"
)
_BLOCK = re.compile(
    r"(?:blk_update_request: |print_req_error: |end_request: )?(I/O|critical (?:medium|target|nexus|space allocation)"
    r"|recoverable transport|timeout|protection|kernel resource|offline device|device offline)(?: I/O)? error"
    r", dev ([^\s,]{1,64}), sector (\d{1,20})",
    re.IGNORECASE,
)
_BUFFER = re.compile(r"Buffer I/O error on dev(?:ice)? ([^\s,]{1,64}),")
_LOST_PAGE = re.compile(r"lost (?:async |sync )?page write due to I/O error on ([^\s,]{1,64})")
_BEYOND = re.compile(r"(?:(.{1,64}): )?attempt to access beyond end of device")
_OF_DEVICE = re.compile(r"([^\s:]{1,64}): rw=\d+, (?:want|sector)=")
_ATA = re.compile(r"(ata\d{1,4}(?:\.\d\d)?): (?:exception Emask|failed command: )")
_RAID = re.compile(
    r"md/((?:raid\d{0,3}|linear|multipath)):?(?: ?(\w[\w.-]{0,40}))?: Disk failure on ([^\s,]{1,64}?)(?: detected)?(?:,|\s*\Z)"
)
_RAID_DEAD = re.compile(r"md/raid\d*:?(\w[\w.-]{0,40}): Cannot continue operation")
_KICKED = re.compile(r"md: kicking (?:non-fresh|faulty) ([^\s!]{1,64}) from array")
MEDIUM = "medium"


class Storage:
    """One line, one event; which device was read beyond its end is told in the next line."""

    def __init__(self) -> None:
        self._beyond: tuple[Happening, int] | None = None

    def read(self, text: str, log: Log) -> bool:
        """One line; True if it belongs to this family."""
        return self._nvme(text, log) or self._block(text, log) or self._array(text, log) or self._other(text, log)

    def _nvme(self, text: str, log: Log) -> bool:
        if (path := _PATH.match(text)) is not None:
            log.add("nvme_path_failure", {"device": path[1]})
            return True
        if (status := _NVME_STATUS.match(text)) is not None:
            error = MEDIUM if int(status[2], 16) == 2 else None
            log.add("io_error", {"device": status[1], "error": error}, (status[1], error))
            return True
        found = _NVME.match(text)
        if found is None:
            return False
        fields: dict[str, Value] = {"device": found[1]}
        if _TIMEOUT.match(found[2]):
            log.add("nvme_timeout", fields)
        elif _GONE.match(found[2]):
            log.add("nvme_disabled", fields)
        elif _DOWN.match(found[2]):
            log.add("nvme_controller_down", fields)
        else:
            return False
        return True

    def _block(self, text: str, log: Log) -> bool:
        if (found := _BLOCK.match(text)) is not None:
            device, word = found[2], found[1].lower().removeprefix("critical ")
            error = None if word == "i/o" else word
        elif (buffer := _BUFFER.match(text) or _LOST_PAGE.match(text)) is not None:
            device, error = buffer[1], None
        else:
            return False
        log.add("io_error", {"device": device, "error": error}, (device, error))
        return True

    def _array(self, text: str, log: Log) -> bool:
        if (found := _RAID.match(text)) is not None:
            log.add("raid_failure", {"device": found[3], "array": found[2], "raid": found[1]})
        elif (dead := _RAID_DEAD.match(text)) is not None:
            log.add("raid_failure", {"device": dead[1], "array": dead[1]})
        elif (kicked := _KICKED.match(text)) is not None:
            log.add("raid_failure", {"device": kicked[1], "array": None})
        else:
            return False
        return True

    def _other(self, text: str, log: Log) -> bool:
        if (beyond := _BEYOND.match(text)) is not None:
            self._beyond = (log.add("beyond_end_of_device", {"process": beyond[1], "device": None}, waits=True), log.line)
        elif (device := _OF_DEVICE.match(text)) is not None:
            if self._beyond is not None and log.line - self._beyond[1] <= 2:
                self._beyond[0].fields["device"] = device[1]
        elif (ata := _ATA.match(text)) is not None:
            port = ata[1].partition(".")[0]
            log.add("ata_error", {"device": port}, (port,))
        else:
            return False
        return True
