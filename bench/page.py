"""The page: microseconds a series against prometheus_client in the same run, and scrapes at 1 Hz of 2,000 series.

python bench/page.py [--series 2000] [--scrapes 20] [--json]. Scrapes run against a live server in this process, each after a new
tick in which 40 % of the series changed, so that every scrape pays for its rendering.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.model import Kind, Metric, Sample, Series, labels
from agent.store.ring import Ring
from agent.web.metrics import OwnCounters
from agent.web.page import Page
from agent.web.server import MetricsServer

FAMILIES = 20
MOVING = 0.4
ROUNDS = 15


class Load:
    """A ring that moves: 20 families with three labels, ``MOVING`` of them changing every tick."""

    def __init__(self, count: int) -> None:
        self.rng = random.Random(1)
        self.metrics = [Metric(f"family_{i}_bytes", Kind.GAUGE, "bytes", "What it is.") for i in range(FAMILIES)]
        names = [metric.name for metric in self.metrics]
        self.handles = [Series(names[i % FAMILIES], labels(pid=i, comm="python", unit=f"job-{i}.service")) for i in range(count)]
        self.values = [self.rng.randint(0, 1 << 33) * 1.0 for _ in self.handles]
        self.ring = Ring()
        self.time = 1_700_000_000.0
        self.tick()

    def tick(self) -> None:
        """One more second."""
        self.time += 1.0
        for i in range(len(self.values)):
            if i % FAMILIES < FAMILIES * MOVING:
                self.values[i] = self.values[i] + self.rng.randint(0, 9999) if i % 2 else self.rng.randint(0, 10**7) / 100
        self.ring.add(self.time, map(Sample, self.handles, self.values))


def reference(load: Load) -> Iterator[float]:
    """Seconds of prometheus_client's generate_latest over kept gauges."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    gauges = {m.name: Gauge(m.name, m.help, ["pid", "comm", "unit"], registry=registry) for m in load.metrics}
    children = [gauges[h.name].labels(**dict(h.labels)) for h in load.handles]
    while True:
        for child, value in zip(children, load.values, strict=True):
            child.set(value)
        began = time.process_time()
        generate_latest(registry)
        yield time.process_time() - began


def compare(count: int) -> dict[str, float]:
    """Medians of interleaved rounds."""
    load = Load(count)
    page = Page(load.ring, load.metrics, lambda openmetrics: b"")
    theirs_of = reference(load)
    page.text()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        load.tick()
        began = time.process_time()
        page.text()
        ours.append(time.process_time() - began)
        theirs.append(next(theirs_of))
    scale = 1e6 / count
    return {
        "page_us_per_series": statistics.median(ours) * scale,
        "generate_latest_us_per_series": statistics.median(theirs) * scale,
        "page_kib": len(page.text()) / 1024,
    }


async def scrape(count: int, scrapes: int) -> dict[str, float]:
    """Milliseconds from request to last byte over one kept connection, asked as Prometheus does."""
    load = Load(count)
    own = OwnCounters(load.ring)
    server = MetricsServer(Page(load.ring, load.metrics, own.render, own.rendered), own, lambda: (True, ""))
    host, port = await server.start("127.0.0.1:0")
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 24)
    took, cpu, size = [], [], 0
    for _ in range(scrapes):
        load.tick()
        await asyncio.sleep(0.05)
        began, began_cpu = time.perf_counter(), time.process_time()
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:")[1].split()[0])
        await reader.readexactly(size)
        took.append(time.perf_counter() - began)
        cpu.append(time.process_time() - began_cpu)
    writer.close()
    await server.stop()
    took = sorted(took[2:])
    return {
        "scrape_ms_p50": statistics.median(took) * 1e3,
        "scrape_ms_p99": took[int(len(took) * 0.99)] * 1e3,
        "scrape_cpu_ms_p50": statistics.median(cpu[2:]) * 1e3,
        "wire_kib": size / 1024,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=2000)
    parser.add_argument("--scrapes", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = {**compare(arguments.series), **asyncio.run(scrape(arguments.series, arguments.scrapes))}
    print(json.dumps(result) if arguments.json else "\n".join(f"{k:>30} {v:10.3f}" for k, v in result.items()))
