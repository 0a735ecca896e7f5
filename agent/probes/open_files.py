"""open_files: what the descriptors point at, read twice two seconds apart: how many, how fast they grow, what most of them are."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host import procs
from agent.host.lane import once
from agent.host.procfs import read_once
from agent.host.procstat import NoSuchProcess, NotPermitted
from agent.host.text import clean
from agent.model import Cost, Culprit, Evidence, Metric, Target, Tools
from agent.probes._found import Found
from agent.probes._guard import answer, guarded, pid_of

MOST_LINKS = 20_000
"""Descriptors whose targets are read; beyond it they are only counted."""
MOST_PROCESSES = 32
_LIMIT = re.compile(rb"^Max open files\s+(\d+|unlimited)", re.MULTILINE)


@dataclass(frozen=True)
class Descriptors:
    """One process's descriptors at two moments ``seconds`` apart."""

    pid: int
    before: int
    after: int
    limit: float | None
    targets: tuple[str, ...]
    seconds: float


@dataclass
class Probe:
    """Settings: ``seconds`` between the two readings (0.5 to 10)."""

    seconds: float = 2.0

    cost: ClassVar[Cost] = "free"
    needs: ClassVar[tuple[str, ...]] = ()
    answers: ClassVar[tuple[Metric, ...]] = (
        answer("fd_count", "", "Open descriptors of the process of the tree that is nearest to its limit"),
        answer("fd_limit", "", "That process's limit on open descriptors"),
        answer("fd_growth", "per second", "Descriptors added per second between the two readings"),
        answer("fd_top_share", "ratio", "Share of the descriptors that point at the commonest target"),
        answer(
            "fd_same_file_share", "ratio", "Share of the descriptors that point at the commonest file, sockets and pipes left out"
        ),
        answer("fd_deleted", "", "Descriptors that point at deleted files"),
    )

    async def look(self, target: Target, tools: Tools) -> Evidence:
        """Read twice; never raises for a target that vanished or refuses."""
        return await guarded("open_files", lambda: self._look(target))

    async def _look(self, target: Target) -> Evidence:
        seconds = min(10.0, max(0.5, self.seconds))
        found = judge(await once("probe-open_files", lambda: read(pid_of(target), seconds), seconds + 10))
        return Evidence("open_files", found.answers, found.culprits, found.says)


def read(pid: int, seconds: float) -> list[Descriptors]:
    """Both readings of the process and its children."""
    pids = procs.tree(pid)[:MOST_PROCESSES]
    began = time.monotonic()
    first = {member: len(_names(member)) for member in pids if _readable(member) or member == pid}
    time.sleep(seconds)
    found = []
    for member, before in first.items():
        try:
            names = _names(member)
        except AgentError:
            continue
        took = time.monotonic() - began
        found.append(Descriptors(member, before, len(names), _limit(member), tuple(_targets(member, names)), took))
    if not found:
        raise NoSuchProcess(pid)
    return found


def _readable(pid: int) -> bool:
    return os.access(f"/proc/{pid}/fd", os.R_OK)


def _names(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except (FileNotFoundError, ProcessLookupError):
        raise NoSuchProcess(pid) from None
    except PermissionError:
        raise NotPermitted(pid, "its descriptors") from None


def _limit(pid: int) -> float | None:
    try:
        found = _LIMIT.search(read_once(f"/proc/{pid}/limits"))
    except OSError:
        return None
    return float(found[1]) if found and found[1] != b"unlimited" else None


def _targets(pid: int, names: Sequence[str]) -> list[str]:
    found = []
    for name in names[:MOST_LINKS]:
        try:
            found.append(clean(os.readlink(f"/proc/{pid}/fd/{name}"), 512))
        except OSError:
            continue
    return found


# ---------------------------------------------------------------------------------------------- judging


def kind(target: str) -> str:
    """What counts as one target: a path, or the kind of a socket, pipe or other nameless thing."""
    if target.startswith("/"):
        return target.removesuffix(" (deleted)")
    return target.removeprefix("anon_inode:").removeprefix("[").split(":[", 1)[0].strip("[]") or target


def judge(processes: Sequence[Descriptors]) -> Found:
    """All answers, from the process that is nearest to its limit or grows fastest."""
    worst = max(processes, key=lambda one: (one.after - one.before, one.after / (one.limit or 1e9)))
    found = Found()
    growth = (worst.after - worst.before) / worst.seconds
    limit = f" of {worst.limit:.0f}" if worst.limit else ""
    words = f"process {worst.pid} has {worst.after}{limit} descriptors, {growth:+.1f} per second"
    kinds = Counter(map(kind, worst.targets))
    culprits = [
        Culprit("path", name, pid=worst.pid, share=count / len(worst.targets), detail=f"{count} descriptors")
        for name, count in kinds.most_common(3)
    ]
    found.put("fd_count", float(worst.after), words, culprits)
    found.put("fd_limit", worst.limit)
    found.put("fd_growth", growth, words, culprits)
    top = f"{culprits[0].detail} are {culprits[0].name}" if culprits else ""
    found.put("fd_top_share", culprits[0].share if culprits else None, top, culprits)
    files = [one for one in culprits if one.name.startswith("/")]
    found.put("fd_same_file_share", (files[0].share or 0.0) if files else 0.0, top if files[:1] == culprits[:1] else "", files)
    found.put("fd_deleted", float(sum(target.endswith(" (deleted)") for target in worst.targets)))
    return found
