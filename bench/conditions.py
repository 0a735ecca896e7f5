"""What one judging round costs: 300 conditions over windows of 1 min to 1 h of 1 s samples, a round every 5 s.

    python bench/conditions.py [--rounds 60] [--json]

Every condition asks for a window of its own (series, function, window), so nothing is saved by sharing within a round.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from array import array
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence

from agent.engine.expr import Compiled, Instance, Round, RoundCache, Scope, compile_expr
from agent.model import Column, Event, Kind, Labels, Metric, Still

CONDITIONS, SERIES, SAMPLES = 300, 100, 7200
WINDOWS = ("1m", "5m", "10m", "30m", "1h")
GAUGE_FUNCTIONS = ("avg", "max", "min", "p99", "slope", "avg", "max", "eta")
BAR_MS, GATE_MS = 5.0, 20.0


class Memory:
    """A view over plain arrays; what a real one costs is measured with the store."""

    def __init__(self) -> None:
        source = random.Random(1)
        self.now = 0.0
        self.times = array("d", range(SAMPLES))
        self.kept = {f"gauge{i}": array("d", [source.random() for _ in range(SAMPLES)]) for i in range(SERIES)}
        for i in range(SERIES):
            total, column = 0.0, array("d")
            for _ in range(SAMPLES):
                total += source.random()
                column.append(total)
            self.kept[f"counter{i}"] = column

    def column(self, name: str, labels: Labels, window: float) -> Column | None:
        start, end = bisect_right(self.times, self.now - window), bisect_right(self.times, self.now)
        return Column(self.times[start:end], self.kept[name][start:end])

    def newest(self, name: str, labels: Labels, window: float) -> tuple[float, float] | None:
        found = self.column(name, labels, window)
        return (found.times[-1], found.values[-1]) if found else None

    def still(self, name: str, labels: Labels, window: float) -> Still | None:
        return None

    def series(self, name: str, window: float) -> Mapping[Labels, Column]:
        found = self.column(name, (), window)
        return {(): found} if found else {}

    def labels(self, name: str) -> Collection[Labels]:
        return [()]

    def events(self, kind: str, window: float) -> Sequence[Event]:
        return []


def conditions() -> list[Compiled]:
    """A fifth rates, a tenth hour-long floors, the rest levels and trends."""
    kinds = {"gauge": Kind.GAUGE, "counter": Kind.COUNTER}
    metrics = {f"{k}{i}": Metric(f"{k}{i}", kind, "", "") for k, kind in kinds.items() for i in range(SERIES)}
    scope = Scope(metrics)
    return [compile_expr(_text(i), scope) for i in range(CONDITIONS)]


def _text(i: int) -> str:
    window, gauge = WINDOWS[i % len(WINDOWS)], f"gauge{i * 7 % SERIES}"
    if i % 5 == i // 5 % 5:
        return f"rate(counter{i % SERIES}, {window}) > 0.5"
    if i % 10 == 9:
        return f"floor_slope({gauge}, 1h) > 1 / 1m"
    return f"{GAUGE_FUNCTIONS[i % len(GAUGE_FUNCTIONS)]}({gauge}, {window}) > 0.5"


def measure(rounds: int) -> dict[str, float]:
    """CPU milliseconds a round, the cold first one apart."""
    view, rules, cache, me = Memory(), conditions(), RoundCache(), Instance()
    spent: list[float] = []
    for i in range(rounds + 1):
        view.now = 3600.0 + 5.0 * i
        started = time.process_time()
        judging = Round(view, cache=cache)
        for rule in rules:
            rule.evaluate(judging, me)
        spent.append((time.process_time() - started) * 1e3)
    warm = sorted(spent[1:])
    return {
        "conditions": len(rules),
        "median_ms": round(statistics.median(warm), 2),
        "p95_ms": round(warm[int(0.95 * (len(warm) - 1))], 2),
        "first_ms": round(spent[0], 2),
        "bar_ms": BAR_MS,
        "gate_ms": GATE_MS,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = measure(args.rounds)
    print(json.dumps(found) if args.json else "\n".join(f"{name:12} {value}" for name, value in found.items()))
    return 0 if found["median_ms"] <= GATE_MS else 1


if __name__ == "__main__":
    sys.exit(main())
