"""Whether the GPUs join an NVSwitch fabric of this host, and whether the service that runs it is up."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from agent.host.procstat import optional

MANAGER = b"nv-fabricmanage"
"""nv-fabricmanager as the kernel cuts it, to 15 characters."""
WAITING = (1, 2)
"""Fabric states: not started, in progress."""
NODES_OF_A_RACK = ("GB200", "GB300")
"""Their switches stand elsewhere in the rack, with the fabric manager."""


class Fabric:
    """Looks for switches and for the fabric manager's process."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._pid = ""

    def needed(self, gpus: Iterable[tuple[str, Mapping[str, Any]]]) -> bool:
        """From NVSwitches of this host, or GPUs (name, health values) that wait for a fabric.

        Where they have joined one and no switch is to be seen, somebody else runs it: a rack, or the host of this virtual machine.
        """
        try:
            if os.listdir(f"{self._proc}/driver/nvidia-nvswitch/devices"):
                return True
        except OSError:
            pass
        return any((raw.get("fabric") or (0,))[0] in WAITING and not any(n in name for n in NODES_OF_A_RACK) for name, raw in gpus)

    def up(self) -> bool:
        """Whether the manager runs; the pid it had last time is tried first."""
        if self._pid and self._is(self._pid):
            return True
        self._pid = next((pid for pid in os.listdir(self._proc) if pid.isdigit() and self._is(pid)), "")
        return bool(self._pid)

    def _is(self, pid: str) -> bool:
        return optional(pid, "comm", self._proc, 64).rstrip(b"\n") == MANAGER
