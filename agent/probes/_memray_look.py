"""One look with memray, apart from the declaration of the probe: attach, capture, analyse, detach."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from agent.dataclass import dataclass
from agent.errors import Refused, Unavailable
from agent.host.attach import Captured, Stage, Watched, attach
from agent.host.attach_gate import Admitted
from agent.host.lane import once
from agent.host.procfs import read_once
from agent.host.run import run
from agent.host.text import clean
from agent.model import Artifact, Evidence, Target, Tools
from agent.probes._guard import pid_of, python_of
from agent.probes._memray_draw import draw
from agent.probes._memray_say import answers_of, says
from agent.probes._memray_table import Facts, Table, facts, table
from agent.probes._memray_verdict import Verdict, judge

BUSY = 0.3
"""Cores; a target below it is tracked object by object at once: four times slower, it still gets by."""
CAP, CAP_DEEP = 10 << 20, 36 << 20
"""Bytes of capture a stage may write; reading takes about 0.4 CPU seconds a MiB."""
READ_MEMORY = 256 << 20
READ_CPU_S = 60
READ_S, READ_DEEP_S = 20.0, 60.0
WHOLE_S, WHOLE_DEEP_S = 15.0, 60.0
"""memray's own report is made in what is left of this; the verdict does not wait for it."""
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""Where our own packages are, whether installed or in a checkout."""
MAPS_LIMIT = 2 << 30
"""Above this resident size the page counts are not read: they take the target's memory-map lock for 9 ms per GiB."""

Pages = tuple[float, float] | None
"""Private and shared bytes of a process, where they may be asked for."""


class Judged(NamedTuple):
    """A verdict with what it was passed on."""

    verdict: Verdict
    seen: Facts
    found: Table


@dataclass
class Look:
    """One look with the settings of the probe."""

    seconds: float
    stage: str

    async def take(self, target: Target, tools: Tools) -> Evidence:
        """Attach, capture stage by stage until the verdict is settled, analyse, detach."""
        if tools.gentle:
            raise Refused("attaching a debugger is forbidden by --gentle", help="run it again without --gentle")
        until = time.monotonic() + (WHOLE_DEEP_S if tools.deep else WHOLE_S)
        pid = await once("probe-memray", lambda: python_of(pid_of(target)), 5.0)
        before = await _pages(pid)
        cap, read_s = (CAP_DEEP, READ_DEEP_S) if tools.deep else (CAP, READ_S)
        async with attach(pid, self._first, state_dir=tools.state_dir, wait_s=read_s, cap=cap) as watched:
            await watched.started()
            captured, (verdict, seen, found) = await self._stages(watched, before, read_s)
            drawn, missing = await once("probe-memray", lambda: draw(found, seen, tools.artifacts_dir, pid), 10.0)
            left = max(2.0, min(read_s, until - time.monotonic()))
            own = await _own_report(captured, tools.artifacts_dir, pid, left)
            await watched.finish()
        told = says(verdict, seen, pause_s=watched.pause_s) | ({"artifacts": missing} if missing else {})
        return Evidence(
            "memray",
            answers=answers_of(verdict),
            culprits=verdict.culprits,
            says=told,
            artifacts=(*drawn, *own),
            target_pause_s=round(watched.pause_s, 3),
        )

    def _first(self, target: Admitted) -> Stage:
        if self.stage != "auto":
            return Stage(self.stage, self.seconds)
        if target.cores < BUSY:
            return Stage("pymalloc", max(3.0, 0.75 * self.seconds))
        return Stage("default", max(2.0, 0.5 * self.seconds))

    async def _stages(self, watched: Watched, before: Pages, read_s: float) -> tuple[Captured, Judged]:
        captured = await watched.finished()
        judged = await self._judge(watched, captured, before, read_s)
        if self.stage != "auto":
            return captured, judged
        if not judged.verdict.settled:
            await watched.go_on(Stage("pymalloc", max(2.0, 0.375 * self.seconds)))
            captured = await watched.finished()
            judged = await self._judge(watched, captured, before, read_s)
        if judged.verdict.word == "native" and "native_share" not in judged.verdict.culprits:
            await watched.go_on(Stage("native", max(2.0, 0.375 * self.seconds)))
            captured = await watched.finished()
            judged = await self._judge(watched, captured, before, read_s)
        return captured, judged

    async def _judge(self, watched: Watched, captured: Captured, before: Pages, read_s: float) -> Judged:
        pid = watched.target.pid
        found = table(await _read(captured.capture_fd, pid, read_s), captured.last.get("resident"))
        now = await _pages(pid)
        pages = (now[0] - before[0], now[1] - before[1]) if now and before else None
        age = time.time() - watched.target.start_time
        mode = captured.stage.mode
        seen = facts(captured.first, captured.last, mode=mode, seconds=found.seconds, age=age, pages=pages)
        return Judged(judge(found, seen), seen, found)


def _child(*argv: str) -> tuple[list[str], Mapping[str, str]]:
    """A Python of ours that finds our packages wherever the agent runs from."""
    keep = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": ROOT, "MALLOC_ARENA_MAX": "1", "NO_COLOR": "1"}
    return [sys.executable, "-m", *argv], keep


async def _read(fd: int, pid: int, seconds: float) -> dict[str, Any]:
    argv, env = _child("agent.probes._memray_read", f"/proc/{os.getpid()}/fd/{fd}", f"/proc/{pid}/root")
    done = await run(argv, timeout=seconds, env=env, memory=READ_MEMORY, cpu_seconds=READ_CPU_S, nice=5)
    try:
        found = json.loads(done.out) if done.rc == 0 else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        lines = done.err.decode("utf-8", "replace").strip().splitlines()
        why = "it took too long" if done.timed_out else clean(lines[-1], 200) if lines else f"exit {done.rc}"
        raise Unavailable(f"the capture could not be read: {why}", help="try again with fewer seconds, or with --deep")
    return found


async def _own_report(captured: Captured, folder: str, pid: int, seconds: float) -> tuple[Artifact, ...]:
    """memray's own HTML report of what was not freed, which needs scripts; none if it takes too long."""
    path = os.path.join(folder, f"memray-{pid}-{int(time.time())}.html")
    source = f"/proc/{os.getpid()}/fd/{captured.capture_fd}"
    argv, env = _child("memray", "flamegraph", "--leaks", "--force", "-o", path, source)
    done = await run(argv, timeout=seconds, env=env, memory=READ_MEMORY, cpu_seconds=READ_CPU_S, nice=5)
    return (Artifact("memray-report", path),) if done.rc == 0 else ()


async def _pages(pid: int) -> Pages:
    """Private and shared bytes of the process; None where it is too large to ask, or may not be asked."""
    return await once("probe-memray", lambda: _rollup(pid), 5.0)


def _rollup(pid: int) -> Pages:
    try:
        resident = int(read_once(f"/proc/{pid}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        if resident > MAPS_LIMIT:
            return None
        text = read_once(f"/proc/{pid}/smaps_rollup")
    except (OSError, IndexError, ValueError):
        return None
    sums = {b"Private": 0.0, b"Shared_": 0.0}
    for line in text.splitlines()[1:]:
        name, _, rest = line.partition(b":")
        for start in sums:
            if name.startswith(start) and not name.endswith(b"Hugetlb"):
                sums[start] += int(rest.split()[0]) * 1024
    return sums[b"Private"], sums[b"Shared_"]
