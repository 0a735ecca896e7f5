"""Limits of the kernel that were reached."""

from __future__ import annotations

import re

from agent.engine.kernel.log import Log

_FILES = re.compile(r"VFS: file-max limit (\d{1,20}) reached")


class Limits:
    """One line, one event. Form of fs/file_table.c."""

    needles = ("file-max limit",)

    def read(self, text: str, log: Log) -> bool:
        """One line; True if it belongs to this family."""
        found = _FILES.match(text)
        if found is not None:
            log.add("fd_limit", {"limit": int(found[1])}, ())
        return found is not None
