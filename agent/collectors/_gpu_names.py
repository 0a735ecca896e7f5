"""Which GPU stands at which PCI address: the kernel names GPUs by address, everybody else by index and UUID."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from agent.engine.kernel.words import pci
from agent.host.procfs import read_once
from agent.host.text import clean
from agent.model import Labels, labels

_UUID = re.compile(rb"^GPU UUID:\s*(GPU-[0-9a-fA-F-]{36})\s*$", re.MULTILINE)


class GpuNames:
    """Told by the collector of GPUs (:meth:`know`), else read from the driver's folder under /proc, where GPUs are numbered in the
    order of their addresses as NVML does by default; at last what the kernel log itself says. ``version`` grows
    whenever a name changed."""

    def __init__(self, proc: str) -> None:
        self._folder = f"{proc}/driver/nvidia/gpus"
        self.version = 0
        self._told: dict[str, tuple[str, str, str]] = {}
        self._read: dict[str, tuple[str, str, str]] = {}

    def know(self, gpus: Mapping[str, tuple[str, str]]) -> None:
        """PCI address → index and UUID."""
        found = {}
        for address, (gpu, uuid) in gpus.items():
            if (key := pci(address)) is not None:
                found[key] = (gpu, uuid, _full(address, key))
        self.version += found != self._told
        self._told = found

    def look(self) -> None:
        """Read the driver's folder; nothing where there is no driver."""
        try:
            names = sorted(os.listdir(self._folder))
        except OSError:
            names = []
        found = {}
        for index, name in enumerate(names):
            if (key := pci(name)) is not None:
                found[key] = (str(index), self._uuid(name), _full(name, key))
        self.version += found != self._read
        self._read = found

    def known(self) -> list[str]:
        """Addresses (``dddd:bb:dd``) of all GPUs known by name."""
        return [*dict.fromkeys((*self._told, *self._read))]

    def labels(self, address: str, said: Mapping[str, str]) -> Labels:
        """gpu, uuid and pci of the GPU at an address; ``said`` are UUIDs that the log told."""
        found = self._told.get(address) or self._read.get(address)
        gpu, uuid, full = found or ("", said.get(address, ""), f"{address}.0")
        return labels(gpu=gpu, uuid=uuid, pci=full)

    def _uuid(self, name: str) -> str:
        try:
            found = _UUID.search(read_once(f"{self._folder}/{name}/information", 4096))
        except OSError:
            return ""
        return clean(found[1]) if found else ""


def _full(address: str, key: str) -> str:
    """``dddd:bb:dd.f`` in lower case."""
    function = address.rpartition(".")[2] if "." in address else "0"
    return f"{key}.{function}"
