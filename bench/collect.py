"""What one reading of each host collector costs, beside the floor: raw reads of the same files, kept open, in the same run.

    python bench/collect.py [--blocks 60] [--pause 0.02] [--json FILE]

CPU time of the process, user and kernel, medians. ``hot``: back to back. ``paced``: with a pause before each, so that caches have
gone cold in between, as they have in an agent that wakes once a second. The floor makes the very reads (and statvfs calls) that
the collector made, in the same order and number, and does nothing with them. ``one tick`` reads all cheap ones in one wake-up, as
the agent does. ``cgroup`` watches this process's own cgroup and the root.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import agent.collectors
from agent import registry
from agent.errors import Unavailable
from agent.host.placement import cgroup_path
from agent.host.procfs import KeptFile, read_once

CHEAP = ("cpu", "memory", "pressure", "disk", "network", "self")
OTHERS = ("cgroup", "filesystem")
TARGET_US = 400
BLOCK = 10
Call = Callable[[], Any]


def make(name: str) -> Any:
    collector = registry.load(agent.collectors, "Collector")[0][name]()
    if name == "cgroup":
        collector.watch({cgroup_path(read_once("/proc/self/cgroup")): os.getpid(), "/": 0})
    return collector


@contextmanager
def recording(paths: list[str]) -> Iterator[None]:
    plain = KeptFile.read

    def noted(self: KeptFile) -> bytes:
        paths.append(self.path)
        return plain(self)

    KeptFile.read = noted  # type: ignore[method-assign]
    try:
        yield
    finally:
        KeptFile.read = plain  # type: ignore[method-assign]


def floor_of(collector: Any) -> tuple[Call, float]:
    """A call that makes the bare reads of one collection, turn by turn as the collector did, and the reads a collection makes."""
    turns: list[list[str]] = []
    for _ in range(BLOCK):
        turns.append([])
        with recording(turns[-1]):
            list(collector.collect())
    kept = {path: os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in {path for turn in turns for path in turn}}
    order = itertools.cycle([[kept[path] for path in turn] for turn in turns])
    places = [place.mount.mountpoint for place in getattr(collector, "_places", {}).values()]

    def reads() -> None:
        for fd in next(order):
            os.pread(fd, 16384, 0)
        if places:
            read_once("/proc/1/mountinfo")
            for place in places:
                os.statvfs(place)

    return reads, sum(map(len, turns)) / BLOCK


def cost(call: Call, blocks: int, pause: float) -> float:
    """CPU microseconds of one call: median over blocks of ten, as some collectors read a file at every fifth or tenth turn only."""
    took = []
    for _ in range(blocks):
        block = 0
        for _ in range(BLOCK):
            if pause:
                time.sleep(pause)
            began = time.process_time_ns()
            call()
            block += time.process_time_ns() - began
        took.append(block / BLOCK / 1e3)
    return statistics.median(took)


def measure(name: str) -> tuple[int, float, Call, Call] | None:
    """Series, reads, the collection and its floor; None where the machine has no such source."""
    collector = make(name)
    try:
        series = sum(1 for _ in collector.collect())
    except Unavailable:
        return None
    floor, reads = floor_of(collector)
    return series, reads, lambda: list(collector.collect()), floor


def in_one(calls: list[Call]) -> Call:
    def tick() -> None:
        for call in calls:
            call()

    return tick


def timed(series: int, reads: float, collect: Call, floor: Call, blocks: int, pause: float) -> dict[str, float]:
    paced = max(3, blocks // 10)
    hot, hot_floor = cost(collect, blocks, 0), cost(floor, blocks, 0)
    cold, cold_floor = cost(collect, paced, pause), cost(floor, paced, pause)
    return {
        "series": float(series),
        "reads": reads,
        "hot_us": hot,
        "hot_floor_us": hot_floor,
        "hot_ratio": hot / hot_floor,
        "paced_us": cold,
        "paced_floor_us": cold_floor,
        "paced_ratio": cold / cold_floor,
    }


def table(results: dict[str, dict[str, float]]) -> str:
    head = (
        "| collector | series | reads | hot µs | floor | ratio | paced µs | floor | ratio |\n|---|---|---|---|---|---|---|---|---|"
    )
    rows = [
        f"| {name} | {r['series']:.0f} | {r['reads']:.1f} | {r['hot_us']:.1f} | {r['hot_floor_us']:.1f} | {r['hot_ratio']:.1f} "
        f"| {r['paced_us']:.1f} | {r['paced_floor_us']:.1f} | {r['paced_ratio']:.1f} |"
        for name, r in results.items()
    ]
    return "\n".join([head, *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description="What one reading of each host collector costs, beside raw reads.")
    parser.add_argument("--blocks", type=int, default=60)
    parser.add_argument("--pause", type=float, default=0.02)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    made = {name: found for name in (*CHEAP, *OTHERS) if (found := measure(name)) is not None}
    cheap = [made[name] for name in CHEAP if name in made]
    made["one tick"] = (
        sum(one[0] for one in cheap),
        sum(one[1] for one in cheap),
        in_one([one[2] for one in cheap]),
        in_one([one[3] for one in cheap]),
    )
    results = {name: timed(*one, options.blocks, options.pause) for name, one in made.items()}
    print(table(results))
    met = results["one tick"]["paced_us"] <= TARGET_US
    print(f"\nbar for one tick, paced: {TARGET_US} µs: {'met' if met else 'MISSED'}")
    if options.json:
        options.json.write_text(
            json.dumps({"schema": "anfl.bench/1", "bench": "collect", "results": results, "met": met}, indent=1)
        )


if __name__ == "__main__":
    main()
