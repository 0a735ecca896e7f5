"""Artefacts kept for people, within a quota of bytes and days; the oldest go first."""

from __future__ import annotations

import contextlib
import os

from agent.dataclass import dataclass
from agent.errors import AgentError

YOUNG_S = 60.0
"""Younger files are never removed: somebody may still be writing them."""


@dataclass(frozen=True)
class Shelf:
    """One folder (mode 0700). ``quota`` in bytes, ``keep`` in seconds."""

    folder: str
    quota: float
    keep: float

    def tidy(self, now: float) -> int:
        """Make the folder if need be and remove what is too old or over the quota; how many files went.

        AgentError if the folder cannot be made or read.
        """
        try:
            self._make()
            found = sorted(self._files(), reverse=True)
        except OSError as error:
            raise AgentError(
                f"artefact folder {self.folder}: {error.strerror}", help="name another one under artifacts.dir or state_dir"
            ) from None
        used = 0.0
        gone = 0
        for changed, size, path in found:
            used += size
            if now - changed > YOUNG_S and (now - changed > self.keep or used > self.quota):
                with contextlib.suppress(OSError):
                    os.unlink(path)
                    gone += 1
        return gone

    def _make(self) -> None:
        """Made by root inside somebody's state folder, it becomes theirs: a burst must not shut the daemon out."""
        if os.path.isdir(self.folder):
            return
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            owner = os.stat(os.path.dirname(self.folder) or ".")
            os.chown(self.folder, owner.st_uid, owner.st_gid, follow_symlinks=False)  # its owner may have put a link there

    def _files(self) -> list[tuple[float, int, str]]:
        files = []
        for where, _, names in os.walk(self.folder):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    path = os.path.join(where, name)
                    info = os.lstat(path)
                    files.append((info.st_mtime, info.st_size, path))
        return files
