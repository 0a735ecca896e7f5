"""Records → events: every record is offered to the families whose words it holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from agent.engine.kernel.crash import Crash
from agent.engine.kernel.filesystem import Filesystem
from agent.engine.kernel.hang import Hang
from agent.engine.kernel.incidents import Incidents
from agent.engine.kernel.limits import Limits
from agent.engine.kernel.lines import AGAIN
from agent.engine.kernel.log import Log
from agent.engine.kernel.network import Network, from_daemon
from agent.engine.kernel.nvidia import Nvidia
from agent.engine.kernel.oom import Oom
from agent.engine.kernel.ras import Ras
from agent.engine.kernel.record import Happening, Record
from agent.engine.kernel.storage import Storage

MOST_CHARACTERS = 4096
"""So much of a line is looked at; no message that means something is as long."""

KINDS = (
    *("xid", "sxid", "gpu_fallen_off_bus", "gpu_init_failed", "driver_mismatch", "gsp_timeout", "nvlink_rx_detect_failure"),
    *("peermem_invalid_context", "oom_kill", "hung_task", "hung_task_suppressed", "soft_lockup", "hard_lockup", "rcu_stall"),
    *(
        "workqueue_lockup",
        "kernel_panic",
        "kernel_oops",
        "kernel_bug",
        "segfault",
        "fd_limit",
        "pid_limit",
        "conntrack_full",
        "netdev_refcount",
    ),
    *("mce", "edac", "cper", "pcie_aer", "nvme_timeout", "nvme_disabled", "nvme_controller_down", "nvme_path_failure", "ata_error"),
    *("raid_failure", "beyond_end_of_device", "io_error", "fs_error", "fs_readonly", "fs_shutdown", "superblock_write_error"),
    *(
        "nfs_not_responding",
        "nfs_ok",
        "nfs_lock_reclaim_failed",
        "link_down",
        "link_up",
        "nic_tx_timeout",
        "nic_rx_timeout",
        "nic_pcie_power",
    ),
    *("nic_module_temp", "nic_temp", "nic_cmd_failed", "nic_cmd_timeout", "nic_fw_fatal", "efa_fatal", "efa_cmd_failed"),
)
"""Every kind of event there is."""


class Family(Protocol):
    """Parsers of messages that belong together; ``needles`` are words one of which each of them holds."""

    @property
    def needles(self) -> tuple[str, ...]:
        """Words to look for."""
        ...

    def read(self, text: str, log: Log) -> bool:
        """One line; True if it belongs to this family."""
        ...


class Reader:
    """Reads one log. Feed it records in their order; :meth:`take` hands out the events that are complete."""

    def __init__(self) -> None:
        self.nvidia = Nvidia()
        self._log = Log()
        self._incidents = Incidents()
        families: tuple[Family, ...] = (
            self.nvidia, Oom(), Hang(), Crash(), Ras(), Storage(), Filesystem(), Network(), Limits()
        )  # fmt: skip
        self._families = tuple((_any_of(f.needles), f) for f in families)
        self._maybe = _any_of(tuple(dict.fromkeys(n for f in families for n in f.needles)))

    @property
    def waiting(self) -> int:
        """Events not taken yet."""
        return len(self._log.events)

    def feed(self, record: Record) -> None:
        """One record; one of several lines is read line by line."""
        text = record.text
        if "\n" not in text:
            self._line(record, text)
            return
        for line in text.split("\n"):
            if line.strip():
                self._line(record, line.lstrip())

    def _line(self, record: Record, text: str) -> None:
        log = self._log
        log.next(record)
        if record.text == AGAIN and record.tag is None:
            log.again(record.repeat)
        elif record.tag is not None:
            from_daemon(record.tag, text, log)
        elif self._maybe(text):
            line = text[:MOST_CHARACTERS].strip()
            for holds, family in self._families:
                if holds(line) and family.read(line, log):
                    return

    def take(self, everything: bool = True) -> list[Happening]:
        """Events that are complete, each with the number of its incident. With ``everything`` unset those that wait for lines to
        come are kept for one more call."""
        done = self._log.take(everything)
        for event in done:
            self._incidents.place(event)
        return done


def _any_of(needles: tuple[str, ...]) -> Callable[[str], object]:
    """Whether a text holds one of these words: one pass over it, no backtracking."""
    return re.compile("|".join(map(re.escape, needles))).search
