"""What judging GPUs costs: the shipped trees over simulated GPUs with an hour of history, against the same host without them.

    python bench/gpu_rules.py [--gpus 8] [--rounds 60] [--json]

CPU time of one judging round every 5 s, as the daemon judges: the rounds with and without GPUs take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from many_rules import conditions

from agent import data
from agent.collectors import gpu, gpu_health, kernel_log
from agent.engine.evaluate import JudgeState, judge
from agent.engine.kernel import tables
from agent.engine.load import load_rules
from agent.engine.rounds import RoundCache
from agent.engine.trees import RuleSet
from agent.model import Collector
from agent.plugins import installed
from agent.sim import build
from agent.sim.change import set_figure
from agent.sim.gpu import GpuSim
from agent.store.ring import Ring

HISTORY_S, EVERY_S, HEALTH_EVERY_S = 3600, 5, 30
BAR_MS = 5.0
CURVES = {
    "utilization.gpu": "sine 20..99 every 2s noise 3",
    "power.usage": "sine 300..690 every 3s noise 5",
    "temperature.gpu": "sine 50..70 every 5s noise 2",
}


class Watched:
    """A host's ring with what the GPU collectors and an empty kernel log bring, and its judge."""

    def __init__(self, rules: RuleSet, folder: Path, gpus: int) -> None:
        self._rules, self.ring = rules, Ring(keep=float(HISTORY_S))
        log = folder / "kernel.log"
        log.write_text("")
        self._log = kernel_log.Collector(path=str(log), trust_user_records=True)
        cards, health = gpu.Collector(), gpu_health.Collector(state_dir=str(folder))
        self._sources: list[tuple[Collector, int]] = [(cards, EVERY_S), (health, HEALTH_EVERY_S)] if gpus else []
        self._state, self._cache, self._turn = JudgeState(), RoundCache(), 0

    def tick(self, at: float) -> None:
        """One reading of everything that is due."""
        for source, every in self._sources:
            if at % every < 1:
                self.ring.add(at, source.collect(), float(every))
        self.ring.add(at, list(self._log.collect()), float(EVERY_S))

    def round(self) -> float:
        """Milliseconds of CPU that one round takes."""
        view = self.ring.at(self.ring.now)
        began = time.process_time()
        self._state, _ = judge(self._rules, view, self._state, cache=self._cache, turn=self._turn)
        self._turn += 1
        return (time.process_time() - began) * 1e3

    def close(self) -> None:
        """Let NVML go."""
        for source, _ in self._sources:
            if isinstance(source, gpu.Collector | gpu_health.Collector):
                source.close()


def shipped() -> RuleSet:
    """The trees that ship."""
    texts = {p.name: p.read_text("utf-8") for p in sorted(data.folder("rules").glob("*.yaml")) if p.name not in tables.FILES}
    rules, problems = load_rules(texts, installed().catalog())
    if problems:
        raise SystemExit("\n".join(map(str, problems)))
    return rules


def measure(folder: Path, gpus: int, rounds: int) -> dict[str, float]:
    """CPU milliseconds of a round with and without GPUs, the cold first one apart."""
    sim = GpuSim.create(folder / "gpu.json", asyncio.run(build.library()), gpus=gpus)
    with sim.change() as state:
        for one in state["gpus"]:
            one["processes"] = [{"pid": pid, "type": "compute", "memory": 8 << 30, "sm": 40} for pid in (os.getpid(), os.getppid())]
            for name, curve in CURVES.items():
                set_figure(state, one, name, curve)
    os.environ.update(sim.environment())
    rules = shipped()
    hosts = [Watched(rules, folder, n) for n in (gpus, 0)]
    spent: tuple[list[float], list[float]] = ([], [])
    for i in range(-HISTORY_S // EVERY_S, rounds + 1):
        for host, taken in zip(hosts, spent, strict=True):
            host.tick(float(HISTORY_S + EVERY_S * i))
            if i >= 0:
                taken.append(host.round())
    for host in hosts:
        host.close()
    warm = sorted(spent[0][1:])
    return {
        "gpus": gpus,
        "conditions": conditions(rules),
        "median_ms": round(statistics.median(warm), 2),
        "p95_ms": round(warm[int(0.95 * (len(warm) - 1))], 2),
        "first_ms": round(spent[0][0], 2),
        "without_gpus_ms": round(statistics.median(spent[1][1:]), 2),
        "bar_ms": BAR_MS,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), args.gpus, args.rounds)
    print(json.dumps(found) if args.json else "\n".join(f"{name:16} {value}" for name, value in found.items()))
    return 0 if found["median_ms"] <= BAR_MS else 1


if __name__ == "__main__":
    sys.exit(main())
