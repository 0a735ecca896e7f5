"""The ring under an hour of node-shaped data: bytes, cost of a sample against the floor, stalls, time to read.

python bench/ring.py [--seconds 3900] [--json]. 2,000 series as on a GPU node: 8 GPUs x 40, 430 of the host, 250 processes x 5.
The figures of an entity come together, as the large collectors bring them; ``alone`` is the cost where each comes by itself.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.collectors._board import Board
from agent.model import Item, Labels, Sample, Series, labels
from agent.store.ring import Ring

Source = Callable[[int], float]
START = 1_700_000_000.0
STEADY = (600, 1500)


def poisson(rng: random.Random, mean: float) -> int:
    if mean > 50:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, k, p = math.exp(-mean), 0, rng.random()
    while p > limit:
        k, p = k + 1, p * rng.random()
    return k


def fixed(value: float) -> Source:
    return lambda t: float(value)


def running(step: Source, start: float, scale: float = 1.0, divide: float = 1.0) -> Source:
    total = start

    def read(t: int) -> float:
        nonlocal total
        total += step(t)
        return total * scale / divide

    return read


def sources(rng: random.Random) -> Iterator[tuple[Series, Source]]:
    """2,000 series: a little less than half of them move."""
    gauss, whole = rng.gauss, rng.randint
    for gpu in range(8):
        busy = lambda t, g=gpu: 0.5 + math.copysign(0.5, math.sin(t / 97.0 + g))  # noqa: E731  training steps and pauses
        shapes: list[tuple[int, Callable[[], Source]]] = [
            (4, lambda b=busy: lambda t: float(min(100, max(0, round(b(t) * 97 + gauss(0, 3)))))),
            (2, lambda b=busy: lambda t: round(80 + b(t) * 560 + gauss(0, 12), 3)),
            (2, lambda b=busy: lambda t: float(round(38 + b(t) * 24 + gauss(0, 0.3)))),
            (4, lambda b=busy: lambda t: 1980.0 - 15 * whole(0, 1) * (b(t) > 0.5)),
            (8, lambda b=busy: running(lambda t: poisson(rng, 2e6 * b(t) + 10), 1e6, 1024.0)),
            (4, lambda: running(lambda t: float(rng.random() < 0.02), 33_000.0, 2097152.0)),
            (4, lambda: running(lambda t: float(rng.random() < 1e-4), 0.0)),
            (12, lambda: fixed(whole(0, 9999))),
        ]
        yield from named(f"gpu{gpu}", "uuid", shapes)
    host: list[tuple[int, Callable[[], Source]]] = [
        (130, lambda: running(lambda t: poisson(rng, 400), whole(0, 1 << 30))),
        (130, lambda: running(lambda t: whole(-64, 64), 2.5e7, 4096.0)),
        (170, lambda: fixed(whole(0, 1 << 30))),
    ]
    yield from named("", "", host)
    for pid in range(250):
        hot = rng.random() < 0.15
        process: list[tuple[int, Callable[[], Source]]] = [
            (1, lambda h=hot: running(lambda t: poisson(rng, 60 if h else 0.02), whole(0, 9999), 1.0, 100.0)),
            (1, lambda h=hot: running(lambda t: h and whole(-5, 5), whole(500, 1 << 22), 4096.0)),
            (1, lambda h=hot: running(lambda t: h and poisson(rng, 3), 10.0, 131072.0)),
            (1, lambda h=hot: running(lambda t: h and poisson(rng, 1), 10.0, 4096.0)),
            (1, lambda: fixed(whole(1, 200))),
        ]
        yield from named(str(pid), "pid", process)


def named(entity: str, label: str, shapes: list[tuple[int, Callable[[], Source]]]) -> Iterator[tuple[Series, Source]]:
    count = 0
    for copies, make in shapes:
        for _ in range(copies):
            pairs = labels(**{label: entity}) if label else ()
            yield Series(f"{label or 'host'}_metric_{count}", pairs), make()
            count += 1


def floor(made: list[tuple[Series, Source]], seconds: int = 100) -> float:
    """Microseconds a value of appending to one array('d') a series and nothing else."""
    columns, spent = [array("d") for _ in made], 0.0
    for t in range(seconds):
        row = [read(t) for _, read in made]
        began = time.process_time()
        for column, value in zip(columns, row, strict=True):
            column.append(value)
        spent += time.process_time() - began
    return spent / seconds / len(made) * 1e6


def resident() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def brought(made: list[tuple[Series, Source]]) -> Callable[[int], list[Item]]:
    """A collector: one board for each entity."""
    boards: dict[Labels, Board] = {}
    entities: dict[Labels, list[tuple[str, Source]]] = {}
    for series, read in made:
        boards.setdefault(series.labels, Board(series.labels))
        entities.setdefault(series.labels, []).append((series.name, read))

    def collect(t: int) -> list[Item]:
        for key, own in entities.items():
            boards[key].put({name: read(t) for name, read in own})
        return list(boards.values())

    return collect


def alone(made: list[tuple[Series, Source]], seconds: int = 400) -> float:
    """Microseconds a sample where each comes by itself; runs are closed meanwhile, none is packed yet."""
    ring, spent = Ring(), 0.0
    for t in range(seconds):
        items = [Sample(series, read(t)) for series, read in made]
        began = time.process_time()
        ring.add(START + t, items)
        spent += time.process_time() - began
    return spent / seconds / len(made) * 1e6


def measure(seconds: int) -> dict[str, float]:
    """Fill a ring second by second; the costs are of a stretch in which runs are closed and packed as in steady state."""
    made = list(sources(random.Random(3)))
    handles = [series for series, _ in made]
    collect, floors, single = brought(made), [floor(made)], alone(made)
    before, peak, ticks = resident(), 0, []
    ring = Ring()
    for t in range(seconds):
        items = collect(t)
        began = time.process_time()
        ring.add(START + t, items)
        if STEADY[0] < t <= STEADY[1]:
            ticks.append(time.process_time() - began)
        if t % 30 == 0 and t > seconds - 600:
            peak = max(peak, ring.bytes)
    grown = resident() - before
    floors.append(floor(made))
    return {
        "series": len(made),
        "ring_mib_peak": peak / 2**20,
        "resident_growth_mib": grown / 2**20,
        "add_us_per_sample": statistics.fmean(ticks) / len(made) * 1e6,
        "alone_us_per_sample": single,
        "floor_us_per_sample": statistics.fmean(floors),
        "tick_ms_p50": statistics.median(ticks) * 1e3,
        "tick_ms_p99": sorted(ticks)[int(len(ticks) * 0.99)] * 1e3,
        **read_times(ring, handles),
    }


def read_times(ring: Ring, handles: list[Series]) -> dict[str, float]:
    """Microseconds of reading one column, the mean over all series, for three windows."""
    found = {}
    for name, window in (("60s", 60.0), ("5m", 300.0), ("1h", 3600.0)):
        began = time.process_time()
        for handle in handles:
            ring.column(handle.name, handle.labels, window)
        found[f"column_{name}_us"] = (time.process_time() - began) / len(handles) * 1e6
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3900)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.seconds)
    print(json.dumps(result) if arguments.json else "\n".join(f"{k:>22} {v:10.3f}" for k, v in result.items()))
