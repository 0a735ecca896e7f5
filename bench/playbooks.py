"""The runner of playbooks under SIGKILL: at random points, and before and after every write of the state.

    python bench/playbooks.py [--kills 200] [--seed 1] [--json]

A child process proposes, acts and verifies over a real state file; its steps leave a mark on the disk each time they are done. It
is killed, the next child goes on with the same file. In the end nothing may be under way, no step that does harm twice may have
been done twice in one run, and every mark must belong to an attempt that was counted before it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from _forked import forked

from agent.host.keyfile import Keyring
from agent.host.reach import Action, Class, Reach
from agent.model import JsonObject, Target, labels
from agent.remedy import guard, tables
from agent.remedy.carry import Carrier
from agent.remedy.ledger import Ledger, looked_over
from agent.remedy.model import OVER, Facts, House, Run
from agent.remedy.playbook import ActionSpec, Playbook, load_playbooks
from agent.remedy.runner import Remedy
from agent.store import audit
from agent.store.state import State

TARGET = Target("process", "python", 7, 100.0, unit="svc@1.service", user="ml")
KEY = ("memory", labels(pid=7))
CAUSE: JsonObject = {"id": "c", "confidence": {"lo": 0.9, "hi": 0.9}, "target": vars(TARGET)}
LIMITS = "limits: {cooldown: 0s, attempts_per_incident: 99, max: {count: 100000, per: 1h}}"
BOOK = """
playbook: {name}
title: t
class: disruptive
mode: auto
target: {{allow: [{{unit: "svc@*"}}]}}
needs: {{causes: [c], max_age: 60s}}
{limits}
steps: [{steps}]
verify: {{settle: 1ms, within: {within}}}
{next}
"""
ZERO = ("steps_done_twice", "runs_stuck", "attempts_not_counted", "audit_records_missing")
TICK_S = 0.004
LIVES_AT_LEAST_S, LIVES_AT_MOST_S = 0.1, 0.5


@dataclass
class Mark:
    """Leaves a line on the disk, slowly: a kill hits it before, between and after."""

    folder: str
    run: int
    name: str
    kinds: ClassVar[tuple[str, ...]] = ("process",)
    class_: ClassVar[Class] = "disruptive"
    undoable: ClassVar[bool] = False

    @property
    def idempotent(self) -> bool:
        """By its name."""
        return self.name == "twice_is_fine"

    def plan(self) -> str:
        """In words."""
        return f"mark {self.name}"

    async def check(self) -> None:
        """Always possible."""

    async def act(self) -> JsonObject:
        """The mark."""
        await asyncio.sleep(random.uniform(0, 0.03))
        fd = os.open(f"{self.folder}/marks", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, f"{self.run} {self.name}\n".encode())
        os.close(fd)
        await asyncio.sleep(random.uniform(0, 0.08))
        return {}

    async def verify(self, done: JsonObject) -> bool | None:
        """Not asked."""
        return None

    async def undo(self, done: JsonObject) -> None:
        """Not possible."""


class World:
    """What the runner sees: everything allows it, and whether it helped is a matter of chance."""

    async def facts(self, run: Run, now: float, *, anew: bool = False) -> Facts:
        """As fresh as can be."""
        return Facts(now, True, 0.9, now, True, True, 1000)

    async def helped(self, run: Run) -> bool | None:
        """Yes, no, unknown."""
        return random.choice((True, False, False, None))

    async def note(self, run: Run, what: str, *, begins: bool) -> None:
        """Nobody reads it."""

    async def rest(self, at_work: Set[int]) -> None:
        """Nobody holds incidents open here."""

    async def culprits(self, cause: JsonObject) -> list[Target]:
        """Nobody is asked for."""
        return []

    async def call(self, run: Run, kind: str, text: str, link: str = "") -> None:
        """Nobody is there."""

    def told(self, run: Run) -> JsonObject:
        """The run itself, for its marks."""
        return {"causes": [CAUSE], "run": run.id}


def shelf() -> dict[str, Playbook]:
    """A ladder of two."""
    names = ("twice_is_fine", "only_once")
    specs = {name: ActionSpec("disruptive", False, ("process",), lambda node: []) for name in names}
    texts = {
        "a": BOOK.format(name="a", steps="{do: only_once}, {do: twice_is_fine}", within="60ms", limits=LIMITS, next="next: b"),
        "b": BOOK.format(name="b", steps="{do: only_once}", within="60ms", limits=LIMITS, next=""),
    }
    found, problems = load_playbooks(texts, specs, ["c"])
    assert not problems, problems
    return found


class RealClock:
    """The machine's."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


async def life(folder: str, *, finish: bool = False, cut: Callable[[], None] | None = None) -> None:
    """One life: open, settle, then propose and tick until killed; with ``finish`` until nothing is under way."""
    clock, world = RealClock(), World()
    state = State(f"{folder}/state.db", [tables.ROOM], clock)
    await state.open()
    if cut is not None:
        _cut_at_writes(state, cut)
        _cut_at_records(cut)

    def make(name: str, target: Target, reach: Reach, given: Mapping[str, Any]) -> Action:
        return Mark(folder, int(reach.told["run"]) if name != "capture_evidence" else 0, name)  # type: ignore[return-value]

    def reach(told: JsonObject) -> Reach:
        return Reach(clock, None, folder, told)  # type: ignore[arg-type]

    ledger = Ledger(state, folder, Keyring(f"{folder}/playbooks.key"), clock)
    carrier = Carrier(ledger, world, clock, make, reach, lambda at, now: House())  # type: ignore[arg-type]
    guard.STORM_PROPOSALS = 1 << 30  # a storm is what this is
    carrier._keep_evidence = _no_evidence  # type: ignore[method-assign,assignment]
    remedy = Remedy(ledger, shelf(), "auto", world, clock, carrier)  # type: ignore[arg-type]
    await remedy.open()
    number = int(time.time() * 1000)
    while True:
        if not finish and not [r for r in await state.read(tables.runs) if r.phase not in OVER]:
            number += 1
            await remedy.diagnosed({"causes": [CAUSE]}, number, KEY)
        for _ in range(4):
            await remedy.tick()
            await asyncio.sleep(TICK_S)
        if finish and not [r for r in await state.read(tables.runs) if r.phase not in OVER]:
            await state.close()
            return


async def _no_evidence(run: Run) -> None:
    """There is none to keep."""


def _cut_at_writes(state: State, cut: Callable[[], None]) -> None:
    write = state.write

    async def counted(change: Any, timeout: float = 10.0) -> Any:
        cut()
        result = await write(change, timeout)
        cut()
        return result

    state.write = counted  # type: ignore[method-assign]


def _cut_at_records(cut: Callable[[], None]) -> None:
    """Between an edge in the state and its record in the audit file, and in the middle of a line."""
    write = audit._write

    def torn(fd: int, raw: bytes) -> None:
        cut()
        write(fd, raw[: len(raw) // 2])
        cut()
        write(fd, raw[len(raw) // 2 :])

    audit._write = torn


def at_random(folder: str, count: int, chance: random.Random) -> int:
    """Kill so many lives at random points; how many died before their time."""
    early = 0
    for _ in range(count):
        child = forked(lambda: asyncio.run(life(folder)))
        time.sleep(chance.uniform(LIVES_AT_LEAST_S, LIVES_AT_MOST_S))
        os.kill(child, signal.SIGKILL)
        early += not os.WIFSIGNALED(os.waitpid(child, 0)[1])
    return early


def at_edges(folder: str, edges: int) -> int:
    """Kill one life right before or after its n-th write, for every n; how many there were."""
    for edge in range(edges):
        left = edge

        def cut() -> None:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        child = forked(lambda: asyncio.run(life(folder, cut=cut)))
        os.waitpid(child, 0)
    return edges


def judge(folder: str) -> dict[str, Any]:
    """What the marks and the state say of each other."""
    path = Path(f"{folder}/marks")
    marks = Counter(tuple(line.split()) for line in path.read_text().splitlines()) if path.exists() else Counter()
    with sqlite3.connect(f"{folder}/state.db") as at:
        runs = {r.id: r for r in tables.runs(at, most=1_000_000)}
        broken = tables.broken_link(at)
        records = tables.head(at)[0]
    sealed = looked_over(f"{folder}/audit.jsonl", Keyring(f"{folder}/playbooks.key"))
    doubled = sum(n > 1 for (_, name), n in marks.items() if name == "only_once")
    repeated = sum(n > 1 for (_, name), n in marks.items() if name == "twice_is_fine")
    uncounted = sum(int(run) not in runs or runs[int(run)].reserved_at is None for run, _ in marks)
    return {
        "runs": len(runs),
        "ended": dict(Counter(str(r.phase) for r in runs.values())),
        "steps_done": sum(marks.values()),
        "steps_repeated_that_may_be": repeated,
        "steps_done_twice": doubled,
        "runs_stuck": sum(r.phase not in OVER for r in runs.values()),
        "attempts_not_counted": uncounted,
        "audit_broken_at": broken,
        "audit_file_broken_at": sealed.line or None,
        "audit_records_missing": records - sealed.seq,
    }


def matrix(kills: int, edges: int, seed: int) -> dict[str, Any]:
    """All of it over one state file."""
    logging.disable(logging.ERROR)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="anfl-bench-") as folder:
        early = at_random(folder, kills, random.Random(seed))
        at_edges(folder, edges)
        _, status = os.waitpid(forked(lambda: asyncio.run(life(folder, finish=True))), 0)
        told = judge(folder)
    lives = {"kills": kills, "edges": edges, "died_by_themselves": early, "finished": status == 0}
    return lives | told | {"seconds": round(time.monotonic() - began, 1)}


def wrong(told: Mapping[str, Any]) -> list[str]:
    """Which counts that must be nothing are not."""
    bad = [name for name in (*ZERO, "died_by_themselves") if told[name]]
    return (
        bad
        + ([] if told["finished"] else ["finished"])
        + [n for n in ("audit_broken_at", "audit_file_broken_at") if told[n] is not None]
    )


def main() -> int:
    """Print the counts; 1 if one is not nothing that must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--edges", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    told = matrix(given.kills, given.edges, given.seed)
    bad = wrong(told)
    if given.json:
        print(json.dumps(told, indent=1))
    else:
        ended = ", ".join(f"{n} {phase}" for phase, n in sorted(told["ended"].items(), key=lambda kv: -kv[1]))
        print("| what | count |\n| --- | --- |")
        print(f"| lives ended by SIGKILL, at random / at an edge | {told['kills']} / {told['edges']} |")
        print(f"| runs; steps done | {told['runs']} ({ended}); {told['steps_done']} |")
        print(f"| steps repeated because nobody knew, harmless ones | {told['steps_repeated_that_may_be']} |")
        for name in ZERO:
            value = told[name]
            print(f"| {name.replace('_', ' ')} (must be 0) | {f'**{value}**' if value else value} |")
        whole = told["audit_broken_at"] is None and told["audit_file_broken_at"] is None
        print(f"| audit chain in the state and in its sealed file | {'whole' if whole else '**broken**'} |")
        print(f"\n{told['seconds']} s.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
