"""The GPUs and NVLinks this host is known to have: the most ever seen, kept across restarts."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, field
from typing import Any

from agent.dataclass import dataclass
from agent.host.nvml_driver import SIMULATED_PROC

FILE = "gpus.json"
FORM = 1


@dataclass
class Known:
    """One GPU as it was seen. ``links`` are the NVLinks that were ever active."""

    gpu: int
    uuid: str
    pci: str
    name: str = ""
    links: set[int] = field(default_factory=set)


class Seen:
    """What was seen, in a small file of the state folder; without one (or where it cannot be written) for the agent's life only.

    Simulated GPUs are remembered beside their simulator: they were never this host's, and none of them is missing here.
    """

    def __init__(self, folder: str = "") -> None:
        folder = os.path.dirname(os.environ.get(SIMULATED_PROC, "")) or folder
        self._path = os.path.join(folder, FILE) if folder else ""
        self.most = 0
        self.gpus: dict[str, Known] = {}
        self._read()

    def note(self, present: Iterable[Known]) -> None:
        """Take over the GPUs that are there. Where none is missing, the host's GPUs are these: an exchanged one is forgotten."""
        now = {known.uuid: known for known in present}
        before = (self.most, self.gpus)
        if now and len(now) >= self.most:
            kept = {uuid: now[uuid] for uuid in now}
            for uuid, known in kept.items():
                known.links |= self.gpus[uuid].links if uuid in self.gpus else set()
        else:
            kept = self.gpus
            for uuid, known in now.items():
                if uuid in kept:
                    known.links |= kept[uuid].links
            kept = kept | now
        self.most, self.gpus = max(self.most, len(now)), kept
        if (self.most, self.gpus) != before:
            self._write()

    def missing(self, listed: Iterable[str]) -> list[Known]:
        """GPUs that were here once and are not named now."""
        there = set(listed)
        return [known for uuid, known in self.gpus.items() if uuid not in there]

    def _read(self) -> None:
        """A file that is damaged counts as none: it holds nothing that cannot be learnt again."""
        if not self._path:
            return
        try:
            with open(self._path, encoding="utf-8") as file:
                self._take(json.load(file))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.most, self.gpus = 0, {}

    def _take(self, kept: dict[str, Any]) -> None:
        self.most = int(kept["most"])
        for one in kept["gpus"]:
            known = Known(int(one["gpu"]), str(one["uuid"]), str(one["pci"]), str(one["name"]), {int(n) for n in one["links"]})
            self.gpus[known.uuid] = known

    def _write(self) -> None:
        if not self._path:
            return
        kept = {"form": FORM, "most": self.most, "gpus": [asdict(k) | {"links": sorted(k.links)} for k in self.gpus.values()]}
        with contextlib.suppress(OSError):  # a full or read-only disk: it is written when it next changes
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=os.path.dirname(self._path), prefix=f".{FILE}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(kept, file)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, self._path)
            except OSError:
                os.unlink(temporary)
                raise
