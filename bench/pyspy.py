"""What a closer look costs its patient: a 300-thread target with and without the pyspy and stacks probes, in interleaved windows.

Bars (docs/benchmarks.md): slowdown at most 5 %, samplers at most 15 % of a core at the policy rate. Ratios, not absolute times:
windows with and without alternate on one machine. Prints Markdown; ``--json PATH`` keeps the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from agent.host.procs import threads as kernel_threads
from agent.host.tools import ProbeTools
from agent.model import Target
from agent.probes.pyspy import Probe as Pyspy
from agent.probes.stacks import Probe as Stacks

BARS = {"slowdown": 0.05, "sampler": 0.15}
# Sleepers wake now and then, as a server's do; one thread works and writes down how far it came.
TARGET = """
import mmap, struct, sys, threading, time
file = open(sys.argv[1], "r+b")
shared = mmap.mmap(file.fileno(), 8)
def sleeper():
    while True:
        time.sleep(5)
for _ in range(int(sys.argv[2]) - 1):
    threading.Thread(target=sleeper, daemon=True).start()
print("READY", flush=True)
def work(n):
    return sum(i * i for i in range(n))
rounds = 0
while True:
    work(200)
    rounds += 1
    shared[:8] = struct.pack("q", rounds)
"""


class Patient:
    """The target and its progress. ``cpu`` is the working thread's CPU time, so a busy machine does not read as a slow target."""

    def __init__(self, threads: int) -> None:
        self._file = tempfile.NamedTemporaryFile()  # noqa: SIM115
        self._file.write(bytes(8))
        self._file.flush()
        self.process = subprocess.Popen([sys.executable, "-c", TARGET, self._file.name, str(threads)], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def reading(self) -> tuple[float, float, float]:
        with open(self._file.name, "rb") as file:
            rounds = int.from_bytes(file.read(8), "little")
        main = next(thread for thread in kernel_threads(self.process.pid) if thread.tid == self.process.pid)
        return time.monotonic(), float(rounds), main.cpu_seconds

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._file.close()


async def window(patient: Patient, look: Any, seconds: float) -> dict[str, float]:
    began, rounds, cpu = patient.reading()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = resource.getrusage(resource.RUSAGE_SELF)
    if look is None:
        await asyncio.sleep(seconds)
    else:
        evidence = await look()
        assert not evidence.because, evidence.because
    ended, after, cpu_after = patient.reading()
    used, self_used = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
    took = ended - began
    burnt = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    ours = self_used.ru_utime + self_used.ru_stime - own.ru_utime - own.ru_stime
    done = after - rounds
    return {
        "wall_rate": done / took,
        "cpu_rate": done / (cpu_after - cpu),
        "sampler": burnt / took,
        "agent": ours / took,
        "took": took,
    }


async def measure(threads: int, pairs: int, seconds: float) -> dict[str, dict[str, float]]:
    patient = Patient(threads)
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        tools = ProbeTools(folder, folder)
        target = Target("process", pid=patient.process.pid)
        looks = {
            "pyspy": lambda: Pyspy(seconds=seconds).look(target, tools),
            "stacks": lambda: Stacks().look(target, tools),
        }
        try:
            await asyncio.sleep(1)
            for name, look in looks.items():
                windows = []
                for _ in range(pairs):
                    without = await window(patient, None, seconds / 2)
                    with_ = await window(patient, look, seconds)
                    again = await window(patient, None, seconds / 2)
                    windows.append(compare(with_, (without, again)))
                found[name] = {key: statistics.median(w[key] for w in windows) for key in windows[0]}
        finally:
            patient.end()
    return found


def compare(with_: dict[str, float], without: Sequence[dict[str, float]]) -> dict[str, float]:
    """Slowdowns as time per unit of work with the look over without it, less one."""
    mean = {key: statistics.mean(w[key] for w in without) for key in ("wall_rate", "cpu_rate")}
    return {
        "slowdown_wall": mean["wall_rate"] / with_["wall_rate"] - 1,
        "slowdown_cpu": mean["cpu_rate"] / with_["cpu_rate"] - 1,
        "sampler": with_["sampler"],
        "agent": with_["agent"],
        "took_s": with_["took"],
    }


def markdown(threads: int, found: dict[str, dict[str, float]]) -> str:
    head = (
        f"| look at {threads} threads | slower (wall) | slower (per CPU second) | samplers, of a core | agent, of a core | took |"
    )
    rows = [
        f"| {name} | {f['slowdown_wall']:+.1%} | {f['slowdown_cpu']:+.1%} | {f['sampler']:.1%} | {f['agent']:.1%} "
        f"| {f['took_s']:.1f} s |"
        for name, f in found.items()
    ]
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- |", *rows])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", default="")
    given = parser.parse_args()
    found = asyncio.run(measure(given.threads, given.pairs, given.seconds))
    print(markdown(given.threads, found))
    if given.json:
        with open(given.json, "w") as file:
            json.dump({"threads": given.threads, "bars": BARS, "looks": found}, file, indent=1)
    return int(any(f["slowdown_cpu"] > BARS["slowdown"] or f["sampler"] > BARS["sampler"] for f in found.values()))


if __name__ == "__main__":
    sys.exit(main())
