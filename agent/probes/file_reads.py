"""file_reads: how a process goes about its files for 3 s: through them from front to back, from file to file, or here and there.

A copy, a backup or a scan waits for the disk for hours and nothing is wrong: it gets on as fast as the disk goes. Positions of open
files tell: they move on by what is read and written. Reads at places of their own (pread, mapped files) leave them where they are.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host import procs
from agent.host.lane import once
from agent.host.procfs import read_once
from agent.host.procstat import NotPermitted
from agent.host.text import clean
from agent.model import Cost, Evidence, Metric, Target, Tools
from agent.probes._found import Found
from agent.probes._guard import answer, guarded, pid_of

LOOKS_PER_S = 10.0
MOST_PROCESSES = 16
MOST_LINKS = 2000
MOST_FILES = 256
"""Open files whose positions are read, a millisecond's work; a server with more reads at places of its own."""
JUMPY = 0.1
"""Share of the moves that may go back before it counts as reading here and there: whoever starts a file again goes back once."""
MIB = 2.0**20

Files = Mapping[tuple[str, str], int]
"""Position of each open file, by descriptor and path."""


@dataclass(frozen=True)
class Look:
    """One process at one moment: bytes it has fetched from and given to storage since its start, and its open files."""

    moved: int
    files: Files


@dataclass
class Probe:
    """Settings: ``seconds`` of watching (1 to 10)."""

    seconds: float = 3.0

    cost: ClassVar[Cost] = "free"
    needs: ClassVar[tuple[str, ...]] = ()
    answers: ClassVar[tuple[Metric, ...]] = (
        answer("storage_bytes", "bytes/second", "Bytes the busiest process of the tree fetched from storage and gave to it"),
        answer("through_share", "ratio", "Share of those bytes by which it went on through open files, from front to back"),
        answer("new_files_share", "ratio", "Share of the looks at which it had a file open that was not open at the look before"),
    )

    async def look(self, target: Target, tools: Tools) -> Evidence:
        """Watch; never raises for a target that vanished or refuses."""
        return await guarded("file_reads", lambda: self._look(target))

    async def _look(self, target: Target) -> Evidence:
        seconds = min(10.0, max(1.0, self.seconds))
        found = judge(await once("probe-file_reads", lambda: watch(pid_of(target), seconds), seconds + 5), seconds)
        return Evidence("file_reads", found.answers, found.culprits, found.says)


def watch(pid: int, seconds: float) -> list[list[Look]]:
    """Looks at each process of the tree that lets itself be looked at; refused if the target itself does not."""
    pids = procs.tree(pid)[:MOST_PROCESSES]
    seen: dict[int, list[Look]] = {pid: [_look(pid)]}
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 1 / LOOKS_PER_S))
        for member in pids:
            try:
                seen.setdefault(member, []).append(_look(member))
            except (AgentError, OSError):
                continue
    return list(seen.values())


def _look(pid: int) -> Look:
    try:
        io = dict(line.split(b": ", 1) for line in read_once(f"/proc/{pid}/io").splitlines())
        names = os.listdir(f"/proc/{pid}/fd")[:MOST_LINKS]
    except PermissionError:
        raise NotPermitted(pid, "its files") from None
    files: dict[tuple[str, str], int] = {}
    for name in names:
        try:
            path = os.readlink(f"/proc/{pid}/fd/{name}")
            if path.startswith("/") and not path.startswith(("/proc/", "/sys/")):
                files[name, path] = int(read_once(f"/proc/{pid}/fdinfo/{name}", 64).split(None, 2)[1])
        except (OSError, ValueError, IndexError):
            continue
        if len(files) >= MOST_FILES:
            break
    return Look(int(io[b"read_bytes"]) + int(io[b"write_bytes"]), files)


# ---------------------------------------------------------------------------------------------- judging


def judge(processes: Sequence[Sequence[Look]], seconds: float) -> Found:
    """All answers, from the process that moved most."""
    looks = max(processes, key=lambda looks: looks[-1].moved - looks[0].moved)
    moved = looks[-1].moved - looks[0].moved
    steps = list(itertools.pairwise(looks))
    fresh = sum(any(key not in before.files for key in after.files) for before, after in steps)
    through = min(1.0, _through(steps) / moved) if moved else 0.0
    found = Found()
    rate = moved / seconds
    stands = sorted({clean(path, 200) for fd, path in looks[-1].files if all((fd, path) in look.files for look in looks)})
    where = f"; open all the time: {', '.join(stands[:3])}" if stands else ""
    words = f"{rate / MIB:.1f} MiB/s to and from storage, {through:.0%} of it from front to back through open files{where}"
    found.put("storage_bytes", rate, words)
    found.put("through_share", through, words)
    found.put("new_files_share", fresh / len(steps) if steps else 0.0, f"another file was open at {fresh} of {len(steps)} looks")
    return found


def _through(steps: Sequence[tuple[Look, Look]]) -> int:
    """Bytes by which positions moved on; 0 for one that goes back as well."""
    gone, on, back = 0, 0, 0
    for before, after in steps:
        for key, place in after.files.items():
            move = place - before.files.get(key, 0)
            gone += max(0, move)
            on += move > 0
            back += move < 0
    return 0 if back > JUMPY * (on + back) else gone
