"""Who keeps memory: memray attached for a few seconds, survivors sorted by age, one verdict.

A target that uses little CPU is tracked object by object at once; a busy one first by its larger blocks (10 to 50 % slower), and
object by object (4 to 14 times slower) for a few seconds more only if that explains too little. Captures are read in a child with
limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agent.dataclass import dataclass
from agent.host.lane import once
from agent.model import Cost, Evidence, Kind, Metric, Target, Tools
from agent.probes._guard import answer, guarded

if TYPE_CHECKING:
    from agent.probes._memray_look import Look


@dataclass
class Probe:
    """Attach memray. ``seconds`` of tracking in all; ``stage`` is auto, default, pymalloc or native."""

    seconds: float = 8.0
    stage: str = "auto"

    cost: ClassVar[Cost] = "heavy"
    needs: ClassVar[tuple[str, ...]] = ("gdb", "memray", "CAP_SYS_PTRACE")
    answers: ClassVar[tuple[Metric, ...]] = (
        answer("leak_share", "ratio", "share of lasting growth that one place in the Python code keeps"),
        answer("leak_rate", "bytes", "bytes per second kept there"),
        answer("explained", "ratio", "share of the growth of resident memory that the survivors explain"),
        answer("cache_share", "ratio", "share of lasting growth in caches that are filling up"),
        answer("in_flight_share", "ratio", "share of survivors that go away again: queues, cycles, caches that swap"),
        answer("native_share", "ratio", "share of lasting growth outside Python's heap"),
        answer("task_share", "ratio", "share of lasting growth that belongs to asyncio tasks that pile up"),
        answer("task_growth", "", "unfinished asyncio tasks more, per second"),
        answer("thread_share", "ratio", "share of lasting growth that belongs to threads that pile up"),
        answer("open_share", "ratio", "share of lasting growth that belongs to files and sockets kept open"),
        Metric("verdict", Kind.INFO, "", "leak, cache-filling, in-flight, retention, copy-on-write, native or none"),
    )

    async def look(self, target: Target, tools: Tools) -> Evidence:
        """Attach, capture, analyse; never more than a few seconds of slower work for the target."""

        async def look() -> Evidence:
            made = await once("probe-memray", _load, 10.0)
            return await made(self.seconds, self.stage).take(target, tools)

        return await guarded("memray", look)


def _load() -> type[Look]:
    """Imported off the loop and only now: 1 MiB and 20 ms that most agents never need."""
    from agent.probes._memray_look import Look

    return Look
