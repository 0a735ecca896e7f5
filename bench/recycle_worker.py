"""A worker that leaks, under a real systemd, restarted by the playbook recycle-worker; its slope is seen to be gone.

    python bench/recycle_worker.py        # as root; boots this machine's own files in a container for a few seconds

The runner, the guard, the state file and the actions are the agent's; ``systemctl`` is asked inside the container. Whether it
helped is judged from the memory of the unit's main process, by its slope over three seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent import acting, plugins, registry
from agent import actions as room
from agent.config import Config
from agent.host import run as programs
from agent.host import targets
from agent.host.clock import SystemClock
from agent.host.reach import Action, Reach
from agent.model import JsonObject, Target, labels
from agent.remedy import tables
from agent.remedy.carry import Carrier
from agent.remedy.model import OVER, Facts, House, Run
from agent.remedy.playbook import Verify, Who
from agent.remedy.runner import Remedy
from agent.store.state import State

UNIT = "leaky.service"
LEAKS = """
import os, time  # python
mine, leaks = [], not os.path.exists("/run/once")
open("/run/once", "w")
while True:
    leaks and mine.append(b"x" * 4000000)
    time.sleep(0.1)
"""
STEEP = 5e6
LOOKS, EVERY_S = 7, 0.5


@contextmanager
def container() -> Iterator[int]:
    """A systemd of its own; the pid of its first process as seen from here."""
    with tempfile.TemporaryDirectory(prefix="anfl-bench-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", folder], check=True)
        up, work, merged = (f"{folder}/{name}" for name in ("up", "work", "merged"))
        for path in (up, work, merged):
            os.mkdir(path)
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={up},workdir={work}", merged], check=True)
        Path(f"{merged}/etc/machine-id").write_text("")
        words = [
            "systemd-nspawn",
            "--quiet",
            f"--directory={merged}",
            "--boot",
            "--register=no",
            "--keep-unit",
            f"--machine=anfl{os.getpid()}",
        ]
        words += ["--private-network", "--link-journal=no", "--console=pipe", "systemd.unit=basic.target"]
        machine = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield leader(machine.pid)
        finally:
            machine.terminate()
            machine.wait(30)
            subprocess.run(["umount", merged], check=False)
            subprocess.run(["umount", folder], check=False)


def leader(pid: int) -> int:
    """The first process in there, once its systemd answers."""
    for _ in range(200):
        time.sleep(0.1)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if (
            children
            and subprocess.run(
                [*enter(int(children[0])), "systemctl", "is-active", "-q", "basic.target"], check=False, stderr=subprocess.DEVNULL
            ).returncode
            == 0
        ):
            return int(children[0])
    raise SystemExit("the container did not boot")


def enter(pid: int) -> list[str]:
    """Run something inside."""
    return ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "-C"]


class World:
    """Watches the worker's main process, whichever that is."""

    def __init__(self, inside: int) -> None:
        self.inside = inside
        self.notes: list[str] = []

    def main_pid(self) -> int:
        """As seen from here."""
        for pid in Path("/proc").iterdir():
            if pid.name.isdecimal():
                try:
                    if b"/run/once" in (pid / "cmdline").read_bytes() and b"python" in (pid / "comm").read_bytes():
                        return int(pid.name)
                except OSError:
                    continue
        return 0

    async def slope(self) -> float | None:
        """Bytes a second over a few looks; None if it changed hands meanwhile."""
        seen = []
        for _ in range(LOOKS):
            pid = self.main_pid()
            try:
                fields = Path(f"/proc/{pid}/statm").read_text().split()  # noqa: ASYNC240
            except OSError:
                return None
            seen.append((pid, int(fields[1]) * 4096))
            await asyncio.sleep(EVERY_S)
        return None if len({pid for pid, _ in seen}) > 1 else (seen[-1][1] - seen[0][1]) / ((LOOKS - 1) * EVERY_S)

    async def facts(self, run: Run, now: float, *, anew: bool = False) -> Facts:
        """It leaks for sure."""
        there = targets.process(run.target.pid or 0).start_time == run.target.start_time
        return Facts(now, True, 0.9, now, True, there, 1000)

    async def helped(self, run: Run) -> bool | None:
        """By the slope."""
        found = await self.slope()
        return None if found is None else found < STEEP / 5

    async def note(self, run: Run, what: str, *, begins: bool) -> None:
        """Kept."""
        self.notes.append(what)

    async def rest(self, at_work: Set[int]) -> None:
        """Nobody holds incidents open here."""

    async def culprit(self, cause: JsonObject) -> Target | None:
        """Nobody else."""
        return None

    async def call(self, run: Run, kind: str, text: str) -> None:
        """Kept."""
        self.notes.append(text)

    def told(self, run: Run) -> JsonObject:
        """Nothing more is known."""
        return {"causes": []}


async def recycle(inside: int, folder: str) -> dict[str, Any]:
    """From the leak to the verified end."""
    started = [*enter(inside), "systemd-run", f"--unit={UNIT}", "--quiet", sys.executable, "-c", LEAKS]
    subprocess.run(started, check=True)  # noqa: ASYNC221
    world = World(inside)
    await asyncio.sleep(1.0)
    before, leaking = await world.slope(), world.main_pid()
    target = replace(targets.process(leaking), unit=UNIT)
    config = Config(state_dir=folder)
    book = acting.read(config, plugins.rules_or_raise(plugins.installed(), config).causes).playbooks["recycle-worker"]
    book = replace(
        book, mode="auto", target=replace(book.target, allow=(Who(unit="leaky*"),)), verify=Verify(settle=5.0, within=60.0)
    )
    kinds, _ = registry.load(room, "Action")

    async def reached(argv: Sequence[str], **more: Any) -> Any:
        return await programs.run([*enter(inside), *argv] if argv[0] == "systemctl" else argv, **more)

    def make(name: str, whom: Target, reach: Reach, given: Mapping[str, Any]) -> Action:
        return kinds[name](target=whom, reach=reach, **given)  # type: ignore[no-any-return]

    clock = SystemClock()
    state = State(f"{folder}/state.db", [tables.ROOM], clock)
    await state.open()
    carrier = Carrier(state, world, clock, make, lambda told: Reach(clock, reached, folder, told), lambda at, now: House())
    remedy = Remedy(state, {book.id: book}, "auto", world, clock, carrier)
    began = time.monotonic()
    cause = {"id": "memory.python-leak", "confidence": {"lo": 0.9, "hi": 0.9}, "target": vars(target)}
    await remedy.diagnosed({"causes": [cause]}, 1, ("memory", labels(pid=leaking)))
    while any(r.phase not in OVER for r in await state.read(tables.runs)) and time.monotonic() - began < 90:
        await remedy.tick()
        await asyncio.sleep(0.5)
    (run,) = await state.read(tables.runs)
    await state.close()
    kept = [name for name in os.listdir(folder) if name.startswith("evidence-")]
    return {
        "slope_before_mib_s": round((before or 0) / 2**20, 1),
        "slope_after_mib_s": round((await world.slope() or 0) / 2**20, 2),
        "ended": str(run.phase),
        "why": run.reason,
        "another_process": world.main_pid() != leaking,
        "evidence_files": len(kept),
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> int:
    """Print what was seen; 1 if the leak is not gone."""
    with container() as inside, tempfile.TemporaryDirectory(prefix="anfl-bench-") as folder:
        told = asyncio.run(recycle(inside, folder))
    print(json.dumps(told, indent=1))
    return 0 if told["ended"] == "verified" and told["another_process"] else 1


if __name__ == "__main__":
    sys.exit(main())
