"""Which processes are new: by the pids handed out since the last look, or by listing /proc."""

from __future__ import annotations

import os

from agent.host.procfs import KeptFile

LIST_EVERY = 30
"""Ticks after which /proc is listed in any case: a pid may have been chosen by hand (CRIU), a closed process may have opened."""
LEAST_PROBES = 32


class Census:
    """Pids are handed out in rising order, so newcomers lie between the last pid of two looks (/proc/loadavg). Trying those few
    costs 4 us each where listing 2,000 processes costs 1 to 3 ms. Where that does not hold (another pid namespace, a wrap, a storm
    of forks, no loadavg) /proc is listed. Neither is done while the fork counter of /proc/stat stands still.
    """

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._counter = KeptFile(f"{proc}/stat", 16384)
        self._cursor = KeptFile(f"{proc}/loadavg", 128)
        self._forks = b""
        self._last = -1
        self._looks = 0

    def look(self, known: int) -> tuple[set[int], bool]:
        """Pids that may be new, and whether they are all there are (a listing); OSError without a process file system."""
        raw = self._counter.read()
        at = raw.rindex(b"\nprocesses ")
        forks = raw[at : raw.index(b"\n", at + 1)]
        due = self._looks % LIST_EVERY == 0
        self._looks += 1
        if forks == self._forks and not due:
            return set(), False
        self._forks = forks
        before, self._last = self._last, self._last_pid()
        if not due and 0 < before <= self._last <= before + max(LEAST_PROBES, known // 8):
            return set(range(before + 1, self._last + 1)), False
        return {int(name) for name in os.listdir(self._proc) if "0" < name[0] <= "9"}, True

    def close(self) -> None:
        """Give the descriptors back."""
        self._counter.close()
        self._cursor.close()

    def _last_pid(self) -> int:
        """The pid handed out last, or -1 where this /proc does not show our own pid namespace."""
        if self._last < 0 and not self._is_ours():
            return -1
        try:
            return int(self._cursor.read().split()[-1])
        except (OSError, ValueError, IndexError):
            return -1

    def _is_ours(self) -> bool:
        try:
            return os.readlink(f"{self._proc}/self") == str(os.getpid())
        except OSError:
            return False
