"""memory_map: one reading of smaps_rollup: what the memory is made of. It holds the target's map lock for 9 ms per GiB."""

from __future__ import annotations

import os
from typing import ClassVar

from agent.dataclass import dataclass
from agent.errors import Refused
from agent.host.lane import once
from agent.host.procfs import read_once
from agent.host.procstat import NoSuchProcess, NotPermitted, stat
from agent.model import Cost, Evidence, Metric, Target, Tools
from agent.probes._found import Found
from agent.probes._guard import answer, guarded, pid_of

LARGEST = 2 << 30
"""Bytes of resident memory above which the reading would hold the target up; ``large: true`` or --deep allow it."""
PAUSE_PER_BYTE = 0.009 / (1 << 30)


@dataclass
class Probe:
    """Settings: ``large`` reads processes above 2 GiB too."""

    large: bool = False

    cost: ClassVar[Cost] = "light"
    needs: ClassVar[tuple[str, ...]] = ()
    answers: ClassVar[tuple[Metric, ...]] = (
        answer("map_anonymous_bytes", "bytes", "Resident memory without a file behind it: heap and stacks"),
        answer("map_file_bytes", "bytes", "Resident pages of mapped files"),
        answer("map_shared_bytes", "bytes", "Resident memory that other processes map too"),
        answer("map_private_bytes", "bytes", "Resident memory that would be freed if the process ended"),
        answer("map_swap_bytes", "bytes", "Memory that was swapped out"),
        answer("private_share", "ratio", "Share of the resident memory that is private"),
    )

    async def look(self, target: Target, tools: Tools) -> Evidence:
        """Read once; never raises for a target that vanished or refuses."""
        return await guarded("memory_map", lambda: self._look(target, tools))

    async def _look(self, target: Target, tools: Tools) -> Evidence:
        allowed = self.large or tools.deep
        raw, pause = await once("probe-memory_map", lambda: read(pid_of(target), allowed), 10.0)
        found = judge(raw)
        return Evidence("memory_map", found.answers, found.culprits, found.says, target_pause_s=round(pause, 4))


def read(pid: int, large: bool) -> tuple[bytes, float]:
    """The text of ``smaps_rollup`` and how long it held the target up; refuses where that would hurt or hang."""
    resident = _resident(pid)
    size, pause = resident / (1 << 30), resident * PAUSE_PER_BYTE
    if resident > LARGEST and not large:
        raise Refused(
            f"process {pid} has {size:.1f} GiB resident; reading its map would hold it up for {pause:.2f} s",
            help="allow it with --deep",
        )
    if stat(pid).state == "D":
        raise Refused(
            f"process {pid} is blocked in the kernel; reading its map could hang", help="see what it waits for: the threads probe"
        )
    return _rollup(pid), pause


def _resident(pid: int) -> int:
    try:
        return int(read_once(f"/proc/{pid}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        raise NoSuchProcess(pid) from None


def _rollup(pid: int) -> bytes:
    try:
        return read_once(f"/proc/{pid}/smaps_rollup")
    except (FileNotFoundError, ProcessLookupError):
        raise NoSuchProcess(pid) from None
    except PermissionError:
        raise NotPermitted(pid, "its memory map") from None


def judge(raw: bytes) -> Found:
    """All answers from the text of ``smaps_rollup``."""
    sizes: dict[str, int] = {}
    for line in raw.decode("ascii", "replace").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB":
            sizes[name] = int(words[0]) * 1024
    found = Found()
    if "Rss" not in sizes:
        for metric in Probe.answers:
            found.put(metric.name, None, "a kernel thread or an empty map")
        return found
    rss, anonymous = sizes["Rss"], sizes.get("Anonymous", 0)
    private = sizes.get("Private_Clean", 0) + sizes.get("Private_Dirty", 0)
    shared = sizes.get("Shared_Clean", 0) + sizes.get("Shared_Dirty", 0)
    words_ = f"{rss >> 20} MiB resident: {anonymous >> 20} MiB anonymous, {private >> 20} MiB private, {shared >> 20} MiB shared"
    found.put("map_anonymous_bytes", float(anonymous), words_)
    found.put("map_file_bytes", float(max(0, rss - anonymous)))
    found.put("map_shared_bytes", float(shared))
    found.put("map_private_bytes", float(private))
    found.put("map_swap_bytes", float(sizes.get("Swap", 0)))
    found.put("private_share", private / rss if rss else None)
    return found
