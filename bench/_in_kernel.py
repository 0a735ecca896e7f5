"""Runs inside the machine that bench/boot_kernel.py boots: limits by the agent's own action, seen at the kernel, and lifted."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.actions.cgroup_limit import Action
from agent.host import targets
from agent.host.clock import SystemClock
from agent.host.reach import Reach
from agent.host.run import run
from agent.model import Target

ROOT = Path("/sys/fs/cgroup")
DISK = Path("/sys/block/vda/dev")
FILE = "/var/tmp/pages"
FILE_MIB = 128
LOOK_S = 3.0
UNIT = "neighbour.service"
SPINS = "while True: pass"
READS = f"""
while True:
    with open({FILE!r}, "rb") as file:
        while file.read(1 << 20): pass
"""
ASKS_THE_DISK = f"""
import mmap, os, random
fd, room = os.open({FILE!r}, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, 65536)
while True: os.preadv(fd, [room], random.randrange({FILE_MIB} * 16) * 65536)
"""
COST = "ctrl=user model=linear rbps=100000000 rseqiops=150 rrandiops=150 wbps=100000000 wseqiops=150 wrandiops=150"
"""A disk that gives 150 requests a second: the emulated one is never busy, and weights count only where there is a queue."""


@contextmanager
def group(name: str, program: str) -> Iterator[tuple[Path, Target]]:
    """A cgroup of its own with one process in it."""
    folder = ROOT / name
    folder.mkdir()
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        (folder / "cgroup.procs").write_text(str(process.pid))
        yield folder, targets.process(process.pid)
    finally:
        process.kill()
        process.wait()
        time.sleep(0.2)
        folder.rmdir()


def field(path: Path, name: str) -> int:
    """A figure of a file of ``name figure`` or ``name=figure``; 0 if it is not there."""
    words = path.read_text().replace("=", " ").split()
    return int(words[words.index(name) + 1]) if name in words else 0


async def rate(path: Path, name: str) -> float:
    """How much a figure gains in a second."""
    first, began = field(path, name), time.monotonic()
    await asyncio.sleep(LOOK_S)
    return (field(path, name) - first) / (time.monotonic() - began)


async def through(action: Action, look: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    """What is seen before, under the limit, and after it was lifted."""
    seen: dict[str, Any] = {"before": await look()}
    await action.check()
    done = await action.act()
    seen["bounded"] = await look()
    seen["verify"] = await action.verify(done)
    await action.undo(done)
    seen["lifted"] = await look()
    return seen


async def cpu(reach: Reach) -> dict[str, Any]:
    """Cores used, bound to a fifth of one."""
    with group("anfl-cpu", SPINS) as (folder, target):

        async def look() -> Any:
            used = await rate(folder / "cpu.stat", "usage_usec") / 1e6
            return {"cores": round(used, 2), "cpu.max": (folder / "cpu.max").read_text().strip()}

        return await through(Action(target, reach, cpus=0.2), look)


async def memory(reach: Reach) -> dict[str, Any]:
    """MiB charged to a reader of files, bound to 32. Whoever brings a page in is charged for it: none is there at first."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("1")  # noqa: ASYNC240
    with group("anfl-memory", READS) as (folder, target):

        async def look() -> Any:
            await asyncio.sleep(2 * LOOK_S)
            held = int((folder / "memory.current").read_text()) / 2**20
            high = (folder / "memory.high").read_text().strip()
            return {"mib": round(held, 1), "memory.high": high, "times_over": field(folder / "memory.events", "high")}

        return await through(Action(target, reach, memory=32 * 2.0**20), look)


async def disk(reach: Reach) -> dict[str, Any]:
    """Requests a second of a neighbour and of its victim on one disk; the neighbour's weight goes from 100 to 10."""
    number = DISK.read_text().strip()  # noqa: ASYNC240
    (ROOT / "io.cost.model").write_text(f"{number} {COST}")
    (ROOT / "io.cost.qos").write_text(f"{number} enable=1 ctrl=user min=100.00 max=100.00")
    with group("anfl-neighbour", ASKS_THE_DISK) as (noisy, target), group("anfl-victim", ASKS_THE_DISK) as (victim, _):

        async def look() -> Any:
            pair = await asyncio.gather(rate(noisy / "io.stat", "rios"), rate(victim / "io.stat", "rios"))
            weight = (noisy / "io.weight").read_text().strip()
            return {"neighbour_per_s": round(pair[0], 1), "victim_per_s": round(pair[1], 1), "io.weight": weight}

        await asyncio.sleep(2.0)
        return await through(Action(target, reach, io_weight=10), look)


async def unit(reach: Reach) -> dict[str, Any]:
    """All three through systemd, for a unit; what stands in the kernel's files, and the cores it gets."""
    subprocess.run(["systemd-run", "--quiet", f"--unit={UNIT}", sys.executable, "-c", SPINS], check=True)  # noqa: ASYNC221
    shown = subprocess.run(["systemctl", "show", "-P", "ControlGroup", UNIT], capture_output=True, text=True, check=True)  # noqa: ASYNC221
    folder = Path(f"{ROOT}{shown.stdout.strip()}")

    async def look() -> Any:
        used = await rate(folder / "cpu.stat", "usage_usec") / 1e6
        names = ("cpu.max", "memory.high", "io.weight")
        files = {name: (folder / name).read_text().strip() if (folder / name).exists() else "-" for name in names}
        return {"cores": round(used, 2), **files}

    try:
        return await through(Action(Target("unit", UNIT, unit=UNIT), reach, cpus=0.2, memory=64 * 2.0**20, io_weight=50), look)
    finally:
        subprocess.run(["systemctl", "stop", UNIT], check=False)  # noqa: ASYNC221


async def main() -> None:
    """One line of JSON for each part."""
    print("ANFL", json.dumps({"kernel": os.uname().release, "controllers": (ROOT / "cgroup.controllers").read_text().split()}))
    (ROOT / "cgroup.subtree_control").write_text("+cpu +memory +io")
    Path(FILE).write_bytes(os.urandom(1 << 20) * FILE_MIB)  # noqa: ASYNC240
    reach = Reach(SystemClock(), run, "/tmp", {})
    for part in (cpu, memory, disk, unit):
        try:
            told = await part(reach)
        except Exception as error:  # the others are worth seeing all the same
            told = {"failed": f"{type(error).__name__}: {error}"}
        print("ANFL", json.dumps({part.__name__: told}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
