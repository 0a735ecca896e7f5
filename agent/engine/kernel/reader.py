"""Records → events: every record is offered to the families whose words it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from agent.engine.kernel.incidents import Incidents
from agent.engine.kernel.log import Log
from agent.engine.kernel.record import AGAIN, Happening, Record

if TYPE_CHECKING:
    from agent.engine.kernel.nvidia import Nvidia

MOST_CHARACTERS = 4096
"""So much of a line is looked at; no message that means something is as long."""

_NAMES = """
xid sxid gpu_fallen_off_bus gpu_init_failed driver_mismatch gsp_timeout nvlink_rx_detect_failure peermem_invalid_context
oom_kill hung_task hung_task_suppressed soft_lockup hard_lockup rcu_stall workqueue_lockup kernel_panic kernel_oops kernel_bug
segfault fd_limit pid_limit conntrack_full netdev_refcount mce memory_failure edac cper pcie_aer
nvme_timeout nvme_disabled nvme_controller_down nvme_path_failure ata_error raid_failure beyond_end_of_device io_error
fs_error fs_readonly fs_shutdown superblock_write_error nfs_not_responding nfs_ok nfs_lock_reclaim_failed
link_down link_up nic_tx_timeout nic_rx_timeout nic_pcie_power nic_module_temp nic_temp nic_cmd_failed nic_cmd_timeout nic_fw_fatal
efa_fatal efa_cmd_failed
"""
KINDS = tuple(_NAMES.split())
"""Every kind of event there is."""


FAMILIES = {
    "Nvidia": "NVRM|SXid|nvidia-peermem",
    "Oom": "invoked oom-killer|oom-kill:|Kill process|Killed process|killed as a result",
    "Hang": "blocked|lockup|LOCKUP|stall|hung task reports",
    "Crash": "BUG|Oops|PANIC|Kernel panic| Comm: |segfault at|traps:|nable to handle|Internal error|int3: |protection fault"
    "|double fault|divide error|invalid opcode|stack segment|bounds: |TSS|BRK exception|alignment check|segment not present"
    "|FPU exception|segment overrun",
    "Ras": "Hardware Error]|memory corruption|hardware memory error| CE | UE |error received|message received|AER: can|very failed"
    "|reset failed|PCIe Bus Error",
    "Storage": " timeout|controller is down|not ready; abort|frozen state|reset failure|probe failure| path - failing|@ LBA"
    "|error, dev|Buffer I/O error|page write due to|attempt to access|: rw=|Disk failure|Cannot continue|md: kicking"
    "|exception Emask|failed command: ",
    "Filesystem": "-fs error|read-only|readonly|superblock|Aborting journal|flushing file data|unwritten extents|allocation failed"
    "|hutting down filesystem|shut down due to|I/O error|orruption|CRC error|Internal error |writeback error|page discard"
    "|failed to write|BTRFS error|BTRFS critical|BTRFS: error|csum|checksum|xfs_|nfs: server|lockd: server|Lock reclaim|): error: ",
    "Network": "ink is |ink down|ink Down|ink DOWN|ink up|ink Up|ink UP|link status|NETDEV WATCHDOG|mlx5_|Port module"
    "|Detected insuff|X timeout|_netdevice|conntrack|infiniband |efa |any active interface",
    "Limits": "file-max limit|fork rejected",
}
"""Each family, of the file of its name, and words one of which each of its messages holds. A family's file is read when the first
such word is seen: most logs never need most of them."""


class Family(Protocol):
    """Parsers of messages that belong together; it may keep what the next lines need."""

    def read(self, text: str, log: Log) -> bool:
        """One line; True if it belongs to this family."""
        ...


class Reader:
    """Reads one log. Feed it records in their order; :meth:`take` hands out the events that are complete."""

    def __init__(self) -> None:
        self._log = Log()
        self._incidents = Incidents()
        self._loaded: dict[str, Family] = {}
        words = {name: text.split("|") for name, text in FAMILIES.items()}
        self._families = tuple((_any_of(own), name) for name, own in words.items())
        self._maybe = _any_of([*dict.fromkeys(word for own in words.values() for word in own)])

    @property
    def uuids(self) -> dict[str, str]:
        """UUIDs of GPUs by PCI address, as the driver told them."""
        nvidia: Nvidia | None = self._loaded.get("Nvidia")  # type: ignore[assignment]
        return nvidia.uuids if nvidia is not None else {}

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
            if "carrier" in text:
                from agent.engine.kernel.network import from_daemon

                from_daemon(record.tag, text, log)
        elif self._maybe(text):
            line = text[:MOST_CHARACTERS].strip()
            for holds, name in self._families:
                if holds(line) and self._family(name).read(line, log):
                    return

    def _family(self, name: str) -> Family:
        found = self._loaded.get(name)
        if found is None:
            found = self._loaded[name] = getattr(import_module(f"agent.engine.kernel.{name.lower()}"), name)()
        return found

    def take(self, everything: bool = True) -> list[Happening]:
        """Events that are complete, each with the number of its incident. With ``everything`` unset those that wait for lines to
        come are kept for one more call."""
        done = self._log.take(everything)
        for event in done:
            self._incidents.place(event)
        return done


def _any_of(words: Sequence[str]) -> Callable[[str], bool]:
    """Whether a text holds one of these words; one search for each is twice as fast as one expression for all."""

    def holds(text: str) -> bool:
        for word in words:  # noqa: SIM110  a generator takes half as long again
            if word in text:
                return True
        return False

    return holds
