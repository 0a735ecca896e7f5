"""CPU cost of the process sweep against a naive psutil loop and the floor of raw reads, side by side on one load.

    python bench/processes.py [--procs 500,2000] [--seconds 20] [--rounds 1] [--json FILE]

The load is N processes forked by one helper: 70 % sleepers, 30 % that run Python, a tenth of all awake once a second for 0.3 ms.
Each contender runs in a process of its own, one after the other, and reports the CPU time of that process alone (the scheduler's
exact run time, user and kernel). ``floor`` reads the stat line of every process once a second over kept descriptors and does
nothing else; ``psutil`` asks for times, memory, I/O, descriptors and threads of everybody, as a first draft would.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

CONTENDERS = ("ours", "floor", "psutil")
BARS = {500: 0.18, 2000: 0.55}
SPAWN_BATCH = 100


def load(count: int) -> None:
    """Fork the load, say READY, and end it all when standard input closes."""
    pids = []
    awake = [i % 10 == 0 for i in range(count)]
    for i in range(count):
        pid = os.fork()
        if pid == 0:
            _sleeper(awake[i], i)
        pids.append(pid)
        if i % SPAWN_BATCH == SPAWN_BATCH - 1:
            time.sleep(0.02)
    print("READY", flush=True)
    sys.stdin.read()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)


def _sleeper(awake: bool, number: int) -> None:
    """A child: sleeps for good, or wakes once a second at its own phase. It ends with its parent."""
    os.close(0)
    parent = os.getppid()
    time.sleep((number % 97) / 97)
    while os.getppid() == parent:
        if not awake:
            time.sleep(30 if number % 10 < 7 else 10)
            continue
        end = time.perf_counter() + 0.0003
        while time.perf_counter() < end:
            pass
        time.sleep(1.0)
    os._exit(0)


def ours() -> Callable[[], None]:
    """The collector as the daemon runs it."""
    from agent.collectors.processes import Collector

    collector = Collector()
    return lambda: [*collector.collect()].clear()


def floor() -> Callable[[], None]:
    """The least a reader can do: one read of every process's stat line over a kept descriptor, not even parsed."""
    from agent.collectors._proc import raise_limit

    raise_limit()
    kept: list[int] = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            kept.append(os.open(f"/proc/{pid}/stat", os.O_RDONLY))

    def tick() -> None:
        for fd in kept:
            try:
                os.pread(fd, 1024, 0)
            except ProcessLookupError:
                pass

    return tick


def psutil() -> Callable[[], None]:
    """A first draft: psutil over everybody."""
    import psutil

    asked = ["cpu_times", "memory_info", "io_counters", "num_fds", "num_threads", "status"]
    return lambda: [p.info for p in psutil.process_iter(asked)].clear()


def contend(name: str, seconds: float, warm: float) -> None:
    """Run one contender at 1 Hz and print its figures."""
    tick = {"ours": ours, "floor": floor, "psutil": psutil}[name]()
    gc.collect()
    gc.freeze()
    began = time.monotonic()
    due, cpu, wall, longest = began, 0.0, 0.0, []
    while due < began + warm + seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        before = time.perf_counter()
        if due >= began + warm and not cpu:
            cpu, wall = time.process_time(), time.monotonic()
        tick()
        if cpu:
            longest.append(time.perf_counter() - before)
        due = max(due + 1.0, time.monotonic())
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    print(
        json.dumps({"cpu_s_per_min": cpu / wall * 60, "tick_ms": statistics.median(longest) * 1e3, "worst_ms": max(longest) * 1e3})
    )


def measure(count: int, seconds: float, warm: float, rounds: int) -> dict[str, dict[str, float]]:
    """All contenders in turn on one load; medians of the rounds."""
    helper = subprocess.Popen([sys.executable, __file__, "--load", str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    try:
        assert helper.stdout is not None
        helper.stdout.readline()
        time.sleep(2)
        for _ in range(rounds):
            for name in CONTENDERS:
                before = warm if name == "ours" else 5.0
                argv = [sys.executable, __file__, "--contender", name, "--seconds", str(seconds), "--warm", str(before)]
                runs[name].append(json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout))
    finally:
        helper.communicate()
    return {name: {k: statistics.median(run[k] for run in found) for k in found[0]} for name, found in runs.items()}


def table(results: dict[int, dict[str, dict[str, float]]]) -> str:
    """Markdown."""
    lines = [
        "| processes | contender | CPU s/min | x floor | tick ms (median / worst) | bar |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for count, found in results.items():
        least = found["floor"]["cpu_s_per_min"]
        for name, f in found.items():
            bar = f"{BARS[count]:.2f}" if name == "ours" and count in BARS else ""
            cpu, times = f["cpu_s_per_min"], f"{f['tick_ms']:.1f} / {f['worst_ms']:.1f}"
            lines.append(f"| {count} | {name} | {cpu:.3f} | {cpu / least:.2f} | {times} | {bar} |")
        ratio = found["psutil"]["cpu_s_per_min"] / found["ours"]["cpu_s_per_min"]
        lines.append(f"| {count} | psutil / ours | {ratio:.1f} | | | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--procs", default="500,2000", help="sizes of the load, separated by commas")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured time of each contender")
    parser.add_argument(
        "--warm", type=float, default=30.0, help="time before that, so that ours knows the quiet ones (others: 5 s)"
    )
    parser.add_argument("--rounds", type=int, default=1, help="times all contenders take their turn")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.load:
        load(o.load)
    elif o.contender:
        contend(o.contender, o.seconds, o.warm)
    else:
        results = {count: measure(count, o.seconds, o.warm, o.rounds) for count in map(int, o.procs.split(","))}
        print(table(results))
        if o.json:
            o.json.write_text(json.dumps({"schema": "anfl.bench.processes/1", "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
