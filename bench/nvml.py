"""What NVML costs the agent, and what a driver that hangs does to it, with simulated GPUs.

    python bench/nvml.py [--gpus 8] [--readings 60] [--json]

Cost: one reading a second of every GPU with its processes, and the memory the extra process adds. The driver that hangs puts the
process that calls it into state D (a FUSE mount that never answers), which needs root; without it that part is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from meter import compile_agent, slowness

CPU_BAR_S, PSS_BAR_MIB = 0.2, 8.0
PERIODS_BAR, LATE_BAR_MS, STOP_BAR_S = 3.0, 25.0, 5.0
WARM = 3
HEALTHY_PERIODS = 10


def cost(folder: Path, gpus: int, readings: int) -> dict[str, float]:
    """CPU seconds a minute of the process and of the agent's side, and PSS, at a reading a second."""
    from agent.collectors.gpu import Collector
    from agent.sim import build
    from agent.sim.gpu import GpuSim

    sim = GpuSim.create(folder / "cost.json", asyncio.run(build.library()), gpus=gpus)
    with sim.change() as state:
        for gpu in state["gpus"]:
            gpu["processes"] = [{"pid": os.getpid(), "type": "compute", "memory": 8 << 30, "sm": 40}]
    os.environ.update(sim.environment())
    collector = Collector(interval=1.0)
    before = _pss(os.getpid())
    for _ in range(WARM):
        list(collector.collect())
        time.sleep(0.2)
    nvml = collector._nvml
    assert nvml is not None
    assert nvml._child is not None
    child = nvml._child.pid
    spent, mine, inside, samples = _run_time(child), time.thread_time(), nvml.counters.seconds, 0
    for _ in range(readings):
        samples = len(list(collector.collect()))
        time.sleep(0.25)
    to_minute = 60 / readings
    spent, mine = (_run_time(child) - spent) * to_minute, (time.thread_time() - mine) * to_minute
    inside = (nvml.counters.seconds - inside) * to_minute
    added = _pss(os.getpid()) + _pss(child) - before
    collector.close()
    return {
        "samples": samples,
        "child_s": spent,
        "agent_s": mine,
        "calls_s": inside,
        "net_s": spent + mine - inside,
        "pss_mib": added,
    }


def hung(folder: Path, gpus: int) -> dict[str, Any] | None:
    """A whole agent beside a driver that hangs in state D; None where that cannot be made."""
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        return None
    script = Path(__file__).resolve().parents[1] / "tests" / "fakes" / "hungdriver.py"
    argv = ["unshare", "-m", "--propagation", "private", sys.executable, str(script), str(folder), str(gpus), str(HEALTHY_PERIODS)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180)
    ended = time.time()
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-400:])
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen | {"stop_s": ended - seen.pop("stopping_at")}


def _run_time(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def rows(found: dict[str, float], seen: dict[str, Any] | None) -> list[tuple[str, float, float | None, str]]:
    """What, value, bar, unit."""
    table: list[tuple[str, float, float | None, str]] = [
        ("CPU of the NVML process", found["child_s"], None, "s/min"),
        ("CPU of the agent for it", found["agent_s"], None, "s/min"),
        ("inside simulated calls", found["calls_s"], None, "s/min"),
        ("CPU beyond the simulated calls", found["net_s"], CPU_BAR_S, "s/min"),
        ("memory it adds (PSS)", found["pss_mib"], PSS_BAR_MIB, "MiB"),
    ]
    if seen is not None:
        table += [
            ("hung in state D: noticed after", seen["noticed_s"], PERIODS_BAR, "periods of 1 s"),
            ("the other GPUs are read again after", seen["others_s"], None, "s more"),
            ("recovery noticed after", seen["recovered_s"], None, "s"),
            ("loop late by itself at most, healthy", seen["late_ms_healthy"], None, "ms"),
            ("loop late by itself at most, hung", seen["late_ms"], LATE_BAR_MS, "ms"),
            ("longest time between rounds, healthy", seen["late_rounds_healthy"], None, "periods"),
            ("longest time between rounds, hung", seen["late_rounds"], None, "periods"),
            ("stopping the agent while it hangs", seen["stop_s"], STOP_BAR_S, "s"),
        ]
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--readings", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    o = parser.parse_args()
    compile_agent()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = cost(folder, o.gpus, o.readings)
        (folder / "hung").mkdir()
        seen = hung(folder / "hung", o.gpus)
    table = rows(found, seen)
    missed = [what for what, value, bar, _ in table if bar is not None and value > bar]
    if o.json:
        print(json.dumps({"cost": found, "hung": seen, "missed": missed, "slowness_ms": slowness()}))
        return bool(missed)
    print(f"{o.gpus} GPUs, {found['samples']} samples a reading.\n\n| what | value | bar |\n| --- | --- | --- |")
    for what, value, bar, unit in table:
        figure = f"{value:.3g}" if what not in missed else f"**{value:.3g}**"
        print(f"| {what} | {figure} {unit} | {'' if bar is None else f'≤ {bar:.3g}'} |")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
