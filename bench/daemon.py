"""What the running agent costs, at 1 Hz with /metrics scraped at 1 Hz and 200 rules, beside a naive psutil loop and bare reads.

    python bench/daemon.py [--procs 50,500,2000] [--seconds 40] [--rounds 3] [--quick] [--json FILE]

CPU is what the scheduler counted for the whole tree of the contender (a cgroup of its own), never wall time. Each round takes the
contenders in turn, in a new order, on one load (bench/load.py); figures are medians of the rounds. ``psutil`` asks for times,
memory, I/O, descriptors and threads of every process once a second, as a first draft would; ``floor`` only reads every process's
stat line over kept descriptors. ``apps`` is apps.plugin, netdata's per-process collector in C, at 1 Hz with its output thrown
away; said to be missing where netdata is not installed (Debian: netdata-core). None of these has an endpoint, rules or a history.
``lean`` is the agent without its flight recorder, figures without bars; ``bare`` has no recorder, no GPU collectors and a
``rules_dir`` of one tree (with none the agent does not start): collecting, the hour in memory, the page and its scrapes are left.
``slowness`` is the CPU time of one fixed piece of Python in milliseconds: compare runs only where it is alike. ``start_cpu_s`` is
the first start in a new state folder, which parses all rules; ``restart_cpu_s`` one that finds them parsed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import many_rules
from load import background
from meter import Metered, Scraper, busy_seconds, compile_agent, free_port, quantile, slowness, wait_for_calm

HERE = Path(__file__).resolve().parent
CONTENDERS = ("agent", "lean", "bare", "psutil", "floor", "apps")
_NO_RECORDER = "recorder: {enabled: false}\n"
_NO_GPUS = "collectors: {gpu: {enabled: false}, gpu_health: {enabled: false}}\n"
AGENTS = {"agent": "", "lean": _NO_RECORDER, "bare": _NO_RECORDER + _NO_GPUS}
ONE_RULE = ("bare",)
CPU_BARS: dict[str, dict[int, float]] = {"agent": {50: 0.35, 500: 0.6, 2000: 1.2}, "lean": {}, "bare": {500: 0.35}}
NETDATA = (Path("/usr/lib/netdata"), Path("/usr/libexec/netdata"))
SHARE_OF_APPS = {500: 0.5, 2000: 0.3}
"""What the agent may take of apps.plugin's CPU at most."""
BARS = {
    "pss_mib": 44,
    "switches_per_s": 10,
    "start_cpu_s": 0.8,
    "restart_cpu_s": 0.8,
    "scrape_p50_ms": 3,
    "scrape_p99_ms": 10,
    "late_p99_ms": 20,
}
WARM_S = {"agent": 20.0, "lean": 20.0, "bare": 20.0, "psutil": 5.0, "floor": 5.0, "apps": 5.0}
MEMORY_EVERY_S = 10.0
Figures = dict[str, float]


def start_agent(folder: Path, rules: Path, settings: str) -> tuple[Metered, int, Figures]:
    """The agent as ``anfl-agent run`` starts it, once its first page with processes has come; its port and the cost of that."""
    port = free_port()
    config = folder / "config.yaml"
    config.write_text(
        f"listen: 127.0.0.1:{port}\nsocket: {folder}/agent.sock\nstate_dir: {folder}/state\nrules_dir: {rules}\n{settings}",
        encoding="utf-8",
    )
    began = time.monotonic()
    meter = Metered([sys.executable, "-m", "agent", "--config", str(config), "run"], folder / "log", HERE.parent)
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                if b"anfl_process_cpu_seconds_total{" in answer.read():
                    return meter, port, {"start_cpu_s": meter.cpu(), "start_wall_s": time.monotonic() - began}
        except OSError:
            if meter.process.poll() is not None or time.monotonic() > began + 60:
                meter.end()
                raise SystemExit((folder / "log").read_text()[-2000:]) from None
        time.sleep(0.02)


def start(name: str, folder: Path, rules: Path) -> tuple[Metered, int | None, Figures]:
    """Any contender."""
    if name in AGENTS:
        if name in ONE_RULE:
            rules = folder / "one-rule"
            many_rules.write_one(rules)
        first, _, figures = start_agent(folder, rules, AGENTS[name])
        first.end()
        meter, port, again = start_agent(folder, rules, AGENTS[name])
        return meter, port, figures | {"restart_cpu_s": again["start_cpu_s"]}
    if name == "apps":
        return start_apps(folder), None, {}
    argv = [sys.executable, str(HERE / "processes.py"), "--contender", name, "--seconds", "100000", "--warm", "0"]
    return Metered(argv, folder / "log"), None, {}


def apps_plugin() -> Path | None:
    """netdata's apps.plugin, where it is installed."""
    return next((plugin for place in NETDATA if os.access(plugin := place / "plugins.d" / "apps.plugin", os.X_OK)), None)


def start_apps(folder: Path) -> Metered:
    """It, at 1 Hz with the groups it ships with. It ends when its standard input does."""
    plugin = apps_plugin()
    assert plugin is not None
    where = f"NETDATA_STOCK_CONFIG_DIR={NETDATA[0]}/conf.d NETDATA_USER_CONFIG_DIR=/etc/netdata"
    return Metered(["/bin/sh", "-c", f'{where} exec "$0" 1 > /dev/null', str(plugin)], folder / "log", stdin=subprocess.PIPE)


def scraped(scraper: Scraper) -> Figures:
    """What the pages and their times tell."""
    page = scraper.pages[-1]
    renders = [scraper.gauge(f"anfl_agent_page_render_seconds_{what}") for what in ("sum", "count")]
    seconds, count = (values[-1] - values[0] for values in renders)
    lines = sum(1 for line in page.splitlines() if not line.startswith(b"#"))
    return {
        "series": lines,
        "page_kib": len(page) / 1024,
        "scrape_p50_ms": quantile(scraper.took, 0.5) * 1e3,
        "scrape_p99_ms": quantile(scraper.took, 0.99) * 1e3,
        "late_p99_ms": quantile(scraper.gauge("anfl_agent_tick_lateness_seconds"), 0.99) * 1e3,
        "page_us_per_series": seconds / max(1.0, count) / lines * 1e6,
    }


def measure(name: str, seconds: float, rules: Path) -> Figures:
    """One contender for that long."""
    folder = Path(tempfile.mkdtemp(prefix="anfl-bench-"))
    slow = slowness()
    meter, port, figures = start(name, folder, rules)
    scraper = Scraper(port) if port else None
    try:
        if scraper:
            scraper.start()
        time.sleep(WARM_S[name])
        if scraper:
            scraper.on = True
        switches, busy, cpu, began = meter.switches(), busy_seconds(), meter.cpu(), time.monotonic()
        memory = []
        while (left := began + seconds - time.monotonic()) > 0:
            time.sleep(min(left, MEMORY_EVERY_S))
            memory.append(meter.memory())
        wall, cpu, switches = time.monotonic() - began, meter.cpu() - cpu, meter.switches() - switches
        if meter.process.poll() is not None:
            raise SystemExit(f"{name} ended: {(folder / 'log').read_text()[-2000:]}")
        figures |= {"cpu_s_per_min": cpu / wall * 60, "switches_per_s": switches / wall, "slowness": slow}
        figures |= {"rss_mib": max(rss for rss, _ in memory), "pss_mib": max(pss for _, pss in memory)}
        figures |= {"others_busy_cores": (busy_seconds() - busy - cpu) / wall, "load1": os.getloadavg()[0]}
        if scraper:
            figures |= scraped(scraper)
    finally:
        if scraper:
            scraper.end()
        meter.end()
        shutil.rmtree(folder, ignore_errors=True)
    return figures


def rounds(count: int, names: list[str], o: argparse.Namespace, rules: Path) -> dict[str, Any]:
    """All contenders in turn on one load: medians, and every run."""
    runs: dict[str, list[Figures]] = {name: [] for name in names}
    with background(count):
        for number in range(o.rounds):
            order = list(names)
            random.Random(number).shuffle(order)
            for name in order:
                wait_for_calm(o.idle_cores)
                runs[name].append(measure(name, o.seconds, rules))
                print(f"{count} {name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    medians = {name: {key: statistics.median(run[key] for run in found) for key in found[0]} for name, found in runs.items()}
    return {"medians": medians, "runs": runs}


def table(results: dict[int, dict[str, Any]]) -> str:
    """Markdown: the cost of all, then the agent against its bars."""
    head = ("processes", "contender", "CPU s/min (least, most)", "x floor", "x apps", "RSS / PSS MiB", "switches/s", "slowness")
    lines = [f"| {' | '.join(head)} | others busy |", "| --- " * (len(head) + 1) + "|"]
    for count, found in results.items():
        least, apps = (found["medians"].get(name, {}).get("cpu_s_per_min", float("nan")) for name in ("floor", "apps"))
        for name, f in found["medians"].items():
            each = [run["cpu_s_per_min"] for run in found["runs"][name]]
            share = _marked(f["cpu_s_per_min"] / apps, SHARE_OF_APPS.get(count) if name == "agent" else None, ".2f")
            cost = f"{f['cpu_s_per_min']:.3f} ({min(each):.3f}, {max(each):.3f}) | {f['cpu_s_per_min'] / least:.1f} | {share}"
            memory = f"{f['rss_mib']:.0f} / {f['pss_mib']:.0f} | {f['switches_per_s']:.1f}"
            lines.append(f"| {count} | {name} | {cost} | {memory} | {f['slowness']:.1f} | {f['others_busy_cores']:.1f} |")
    for name in AGENTS:
        if all(name in found["medians"] for found in results.values()):
            lines += ["", *_against_bars(name, {count: found["medians"][name] for count, found in results.items()})]
    return "\n".join(lines)


def _against_bars(name: str, found: dict[int, Figures]) -> list[str]:
    """The agent's figures beside their bars, a column for each size."""
    bars = CPU_BARS[name]
    lines = [f"| {name} | bar | " + " | ".join(f"{count} processes" for count in found) + " |", "| --- " * (2 + len(found)) + "|"]
    cpu = " | ".join(_marked(figures["cpu_s_per_min"], bars.get(count)) for count, figures in found.items())
    lines.append(f"| cpu_s_per_min | {', '.join(str(bars.get(count, '-')) for count in found)} | {cpu} |")
    for key in [*BARS, *(k for k in next(iter(found.values())) if k not in BARS and k != "cpu_s_per_min")]:
        bar = BARS.get(key) if name == "agent" else None
        lines.append(f"| {key} | {bar or ''} | " + " | ".join(_marked(figures[key], bar) for figures in found.values()) + " |")
    return lines


def _marked(value: float, bar: float | None, form: str = ".4g") -> str:
    return f"**{value:.3g}** over" if bar is not None and value > bar else f"{value:{form}}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--procs", default="50,500,2000", help="sizes of the load, separated by commas")
    parser.add_argument("--seconds", type=float, default=40.0, help="measured time of each contender")
    parser.add_argument("--rounds", type=int, default=3, help="times all contenders take their turn")
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders, separated by commas")
    parser.add_argument("--conditions", type=int, default=200, help="conditions of all rules together")
    parser.add_argument("--rules", type=Path, help="folder of trees to start from (default: the shipped ones)")
    parser.add_argument("--idle-cores", type=float, default=0.0, help="wait up to 5 minutes before each run until so many are idle")
    parser.add_argument("--quick", action="store_true", help="500 processes, one round of 20 s")
    parser.add_argument("--json", type=Path, help="write the figures here")
    o = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    if o.quick:
        o.procs, o.seconds, o.rounds = "500", 20.0, 1
    compile_agent()
    with tempfile.TemporaryDirectory(prefix="anfl-rules-") as folder:
        rules = many_rules.write(Path(folder), o.conditions, o.rules)
        names = [name for name in o.only.split(",") if name != "apps" or apps_plugin() is not None]
        results = {count: rounds(count, names, o, Path(folder)) for count in map(int, o.procs.split(","))}
    print(table(results))
    print(f"\nRules: {', '.join(f'{value} {key}' for key, value in rules.items())}.".replace("_", " "))
    if "apps" in o.only.split(",") and "apps" not in names:
        print("apps: missing, netdata's apps.plugin is not installed here (Debian: netdata-core).")
    if o.json:
        o.json.write_text(json.dumps({"schema": "anfl.bench.daemon/1", "rules": rules, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
