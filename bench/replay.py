"""How long `anfl-agent replay` takes for an hour of a node of 2,000 series, with the shipped rules.

    python bench/replay.py [--seconds 3600] [--history 3600] [--series 2000] [--json]

The series have the names, kinds and labels that the collectors declare: the host's, and those of as many processes as make up the
number; half of them move. So the rules find what they ask for. The hour before the replayed one is read too, as memory. CPU
seconds: reading alone, filling the memory, and the whole, judged every 5 s.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent import data, past, replay
from agent.engine.kernel import tables
from agent.engine.load import load_rules
from agent.engine.trees import Catalog, RuleSet
from agent.model import Kind, Metric, Sample, Series, labels
from agent.plugins import installed
from agent.store.recorder import FLUSH_S, Recorder
from agent.store.recording import Recording
from agent.store.ring import Ring

START = 1_700_000_000.0
BARS = {"replay_s": 60.0}
cpu = time.process_time
Read = Callable[[], float]


def reader(metric: Metric, rng: random.Random) -> Read:
    """A harmless course of values: half of them stand still."""
    value = {"ratio": 0.1, "bytes": 2.0**24, "seconds": 10.0}.get(metric.unit, float(metric.kind is Kind.INFO))
    step = {"ratio": 0.001, "bytes": 4096.0, "seconds": 0.01}.get(metric.unit, 1.0)
    if metric.kind is Kind.INFO or rng.random() < 0.5:
        return lambda: value

    def counted() -> float:
        nonlocal value
        value += step * (rng.random() < 0.3)
        return value

    return counted if metric.kind is Kind.COUNTER else lambda: value + step * rng.randrange(3)


def node(catalog: Catalog, count: int) -> Iterator[tuple[Series, Read]]:
    """The host's series, then processes until there are enough."""
    rng = random.Random(4)
    metrics = sorted(catalog.metrics.values(), key=lambda m: m.name)
    mine = [m for m in metrics if m.name.startswith("process_") and m.labels and m.labels[0] == "pid" and m.name != "process_info"]
    made = 0
    for metric in metrics:
        if not metric.labels and not metric.name.startswith(("gpu", "nvml", "kernel")):
            yield Series(metric.name), reader(metric, rng)
            made += 1
    pid = 1000
    while made < count:
        pid += 1
        known = {"comm": f"job{pid}", "subject": "", "cgroup": f"/job{pid}", "unit": "", "container": "", "job": "", "user": "u"}
        yield Series("process_info", labels(pid=pid, **known)), lambda: 1.0
        for metric in [m for m in mine if len(m.labels) == 1][: count - made - 1]:
            yield Series(metric.name, labels(pid=pid)), reader(metric, rng)
            made += 1
        made += 1


def record(folder: Path, catalog: Catalog, count: int, seconds: int) -> int:
    """An hour and more, as the agent would have written it."""
    ring, sources = Ring(), list(node(catalog, count))
    recorder = Recorder(str(folder), ring, {})
    for t in range(seconds):
        ring.add(START + t, [Sample(series, read()) for series, read in sources])
        if t % int(FLUSH_S) == int(FLUSH_S) - 1:
            recorder.write(recorder.gather(START + t))
    recorder.close("bench")
    return len(sources)


def shipped(catalog: Catalog) -> RuleSet:
    paths = [p for p in sorted(data.folder("rules").glob("*.yaml")) if p.name not in tables.FILES]
    rules, problems = load_rules({p.name: p.read_text(encoding="utf-8") for p in paths}, catalog)
    if problems:
        raise SystemExit("\n".join(map(str, problems)))
    return rules


def measured(folder: Path, seconds: int, history: int, count: int) -> dict[str, float]:
    catalog = installed().catalog()
    rules = shipped(catalog)
    found = {"series": float(record(folder, catalog, count, seconds + history))}
    recording, since, until = Recording(str(folder)), START + history, START + history + seconds
    began = cpu()
    samples = sum(len(rows) for _, _, rows in recording.ticks(since, until))
    found |= {"samples": float(samples), "read_s": cpu() - began}
    began = cpu()
    for _ in past.feed(Ring(), recording, since, until, lambda moment: False):
        pass
    found["read_and_fill_s"] = cpu() - began
    began = cpu()
    (player,) = replay.play(recording, {"shipped": rules}, since, until, history=float(history)).values()
    return found | {"replay_s": cpu() - began, "rounds": float(player.rounds), "symptoms": float(len(player.findings))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--history", type=int, default=3600)
    parser.add_argument("--series", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        found = measured(Path(made), asked.seconds, asked.history, asked.series)
    if asked.json:
        print(json.dumps(found))
        return
    print("| what | measured | bar |\n| --- | --- | --- |")
    for name, value in found.items():
        bar = BARS.get(name)
        print(f"| {name} | {value:.4g}{' over' if bar and value > bar else ''} | {'' if bar is None else f'{bar:g}'} |")


if __name__ == "__main__":
    main()
