"""How often does ``floor_slope`` call a harmless memory series a leak, and how often does it miss one?

    python bench/leak_detector.py [--seeds 40] [--first 2000] [--base] [--json] [recorded.json]

The thresholds in agent/engine/trend.py were chosen on the base shapes with seeds below 100; altered shapes with seeds below
2000 were looked at while building. The report uses altered shapes with other seeds. A recorded file maps a name to
{"leak": 0 or 1, "t": seconds, "uss": MiB}; its minutes are stretched to an hour.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from leak_families import FAMILIES, MINUTES, Draw

from agent.engine.trend import floor_slope, grow

MIB = 2.0**20
ALARM = 0.5 * MIB / 60.0
"""Bytes per second: the shipped memory tree's check for growing anonymous memory."""

LEAK_THAT_COUNTS = 1.0
"""MiB per minute; slower ones are listed and left out of the totals."""

BAR_FALSE, BAR_HITS = 0.08, 0.95
HOUR = 3600.0


@dataclass
class Share:
    """How many of how many, with Wilson's 95 % interval."""

    name: str
    leak: bool
    alarms: int
    of: int

    @property
    def share(self) -> float:
        return self.alarms / self.of if self.of else 0.0

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        if not self.of:
            return 0.0, 1.0
        n, p = self.of, self.share
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "share": self.share, "wilson95": self.interval()}


def judge(name: str, seeds: Iterable[int], altered: bool) -> Share:
    """One family over many seeds."""
    rate, make = FAMILIES[name]
    times = [m * 60.0 for m in MINUTES]
    alarms = of = 0
    for seed in seeds:
        values = [v * MIB for v in make(Draw(random.Random(f"{name}/{seed}"), altered))]
        alarms += (floor_slope(times, values) or 0.0) > ALARM
        of += 1
    return Share(name, rate is not None, alarms, of)


def synthetic(seeds: range, altered: bool) -> dict[str, Any]:
    """All families and the totals."""
    started = time.process_time()
    families = [judge(name, seeds, altered) for name in FAMILIES]
    spent = (time.process_time() - started) / sum(f.of for f in families)
    harmless = [f for f in families if not f.leak]
    leaks = [f for f in families if f.leak and (FAMILIES[f.name][0] or 0.0) >= LEAK_THAT_COUNTS]
    totals = [_total("false alarms", False, harmless), _total("hits", True, leaks)]
    good = totals[0].share <= BAR_FALSE and totals[1].share >= BAR_HITS
    return {
        "seeds": [seeds.start, seeds.stop - 1],
        "altered": altered,
        "families": [f.as_dict() for f in families],
        "totals": [t.as_dict() for t in totals],
        "cpu_ms_per_series": round(spent * 1e3, 3),
        "good": good,
    }


def _total(name: str, leak: bool, families: list[Share]) -> Share:
    return Share(name, leak, sum(f.alarms for f in families), sum(f.of for f in families))


def recorded(path: str) -> list[dict[str, Any]]:
    """Real processes, recorded for minutes at 1 s: the hour's detector on stretched time, and ``grow`` on 20 s bursts."""
    with open(path, encoding="utf-8") as file:
        series = json.load(file)
    return [_one(name, entry) for name, entry in series.items()]


def _one(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    times, values = entry["t"], [v * MIB for v in entry["uss"]]
    stretch = HOUR / (times[-1] - times[0])
    slope = (floor_slope([t * stretch for t in times], values) or 0.0) * stretch
    bursts = [grow(times[end - 20 : end], values[end - 20 : end]) or 0.0 for end in range(20, len(times), 5)]
    return {
        "name": name,
        "leak": bool(entry["leak"]),
        "floor_slope_mib_min": round(slope * 60.0 / MIB, 2),
        "alarm": slope > ALARM,
        "grow_share": round(sum(b > 2.0 * MIB / 60.0 for b in bursts) / len(bursts), 2),
    }


def _percent(entry: dict[str, Any]) -> str:
    low, high = entry["wilson95"]
    return f"{entry['share']:.1%} | {low:.1%} to {high:.1%} | {entry['alarms']} of {entry['of']}"


def table(result: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = ["| family | kind | called a leak | 95 % interval | draws |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {f['name']} | {'leak' if f['leak'] else 'harmless'} | {_percent(f)} |" for f in result["families"]]
    lines += [f"| **{t['name']}** | | {_percent(t)} |" for t in result["totals"]]
    shapes = "altered" if result["altered"] else "base"
    lines.append(
        f"\nSeeds {result['seeds'][0]} to {result['seeds'][1]}, {shapes} shapes, {result['cpu_ms_per_series']} ms a series."
    )
    if "recorded" in result:
        lines += [
            "\n| recorded process | truth | floor_slope, MiB/min | called a leak | grow > 2 MiB/min in bursts |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {r['name']} | {'leak' if r['leak'] else 'harmless'} | {r['floor_slope_mib_min']} | "
            f"{'yes' if r['alarm'] else 'no'} | {r['grow_share']:.0%} |"
            for r in result["recorded"]
        ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recorded", nargs="?", help="a file of recorded series")
    parser.add_argument("--seeds", type=int, default=40, help="draws a family")
    parser.add_argument("--first", type=int, default=2000, help="first seed")
    parser.add_argument("--base", action="store_true", help="the shapes the thresholds were chosen on")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = synthetic(range(args.first, args.first + args.seeds), not args.base)
    if args.recorded:
        result["recorded"] = recorded(args.recorded)
    print(json.dumps(result, indent=1) if args.json else table(result))
    return 0 if result["good"] else 1


if __name__ == "__main__":
    sys.exit(main())
