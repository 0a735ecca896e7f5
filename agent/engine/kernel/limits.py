"""Limits of the kernel that were reached."""

from __future__ import annotations

import re

from agent.engine.kernel.log import Log

_PIDS = re.compile(r"cgroup: fork rejected by pids controller in (.{1,400}?)\s*\Z")
_FILES = re.compile(r"VFS: file-max limit (\d{1,20}) reached")


class Limits:
    """One line, one event. Forms of fs/file_table.c and kernel/cgroup/pids.c."""

    def read(self, text: str, log: Log) -> bool:
        """One line; True if it belongs to this family."""
        if (files := _FILES.match(text)) is not None:
            log.add("fd_limit", {"limit": int(files[1])}, ())
        elif (pids := _PIDS.match(text)) is not None:
            log.add("pid_limit", {"memcg": pids[1]})
        else:
            return False
        return True
