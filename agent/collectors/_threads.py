"""Run-queue delay and context switches of a process, from its leader alone or summed over its threads."""

from __future__ import annotations

import os
import re

from agent.host.procfs import read_once

MOST_THREADS = 64
"""Above this many threads only the leader is read: each thread costs about 25 us."""

_SWITCHES = re.compile(rb"\nvoluntary_ctxt_switches:\s*(\d+)\nnonvoluntary_ctxt_switches:\s*(\d+)")
Figures = tuple[int, int, int]  # nanoseconds waited for a CPU, voluntary and involuntary switches


class ThreadSums:
    """Three sums that never fall, although threads come and go and the way of counting changes.

    What a thread did before it was first seen counts if it was born since the last look, else only the leader's past does.
    """

    __slots__ = ("_base", "_known", "_leader", "_totals")

    def __init__(self, base: str) -> None:
        self._base = base
        self._totals = [0, 0, 0]
        self._leader: Figures = (0, 0, 0)
        self._known: dict[str, Figures] = {}

    def leader(self, delay: int, voluntary: int, involuntary: int) -> None:
        """Take the leader's figures over; what the other threads did is added by ``all_threads``."""
        now = (delay, voluntary, involuntary)
        self._add(now, self._leader)
        self._leader = now

    def all_threads(self, count: int) -> bool:
        """Look at the other threads, if they are few enough; True if one of them is blocked (state D)."""
        if count < 2 or count > MOST_THREADS:
            self._known.clear()
            return False
        first = not self._known
        blocked = False
        seen: dict[str, Figures] = {}
        try:
            tids = os.listdir(f"{self._base}/task")
        except OSError:
            return False
        for tid in tids:
            if self._base.endswith(f"/{tid}"):
                continue
            found = _thread(f"{self._base}/task/{tid}")
            if found is None:
                continue
            state, seen[tid] = found
            blocked = blocked or state == b"D"
            self._add(seen[tid], self._known.get(tid, seen[tid] if first else (0, 0, 0)))
        self._known = seen
        return blocked

    def values(self) -> dict[str, float]:
        """The sums by metric name."""
        delay, voluntary, involuntary = self._totals
        return {
            "process_run_delay_seconds_total": delay / 1e9,
            "process_voluntary_switches_total": voluntary,
            "process_involuntary_switches_total": involuntary,
        }

    def _add(self, now: Figures, before: Figures) -> None:
        for i in range(3):
            self._totals[i] += max(0, now[i] - before[i])


def _thread(base: str) -> tuple[bytes, Figures] | None:
    try:
        status = read_once(f"{base}/status")
        parts = read_once(f"{base}/schedstat").split()
    except OSError:
        return None
    switches, at = _SWITCHES.search(status), status.find(b"\nState:")
    if switches is None or at < 0:
        return None
    state = status[at + 7 : at + 10].strip()[:1]
    return state, (int(parts[1]) if len(parts) > 1 else 0, int(switches[1]), int(switches[2]))
