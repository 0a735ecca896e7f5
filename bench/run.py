"""Runs the benchmarks of this folder and writes their tables into docs/benchmarks.md, between the markers of each.

    python bench/run.py [--quick] [--only daemon,page] [--doc docs/benchmarks.md] [--patience 300]

One after the other, never side by side; all of them take about 25 minutes on a calm machine. Before each it waits for calm, for
``--patience`` seconds in all. Each section says whether the machine was calm: others kept at most a quarter of a core busy, and a
fixed piece of Python (``slowness`` of bench/meter.py) took at most a quarter longer than it ever did here. If not, its times are
upper bounds. What a section said before goes to the page beside (benchmarks-history.md); a benchmark that fails replaces nothing.
Text outside the markers is left alone. ``--quick`` (8 minutes) is for a look: it writes only where ``--doc`` says so.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from meter import busy_seconds, slowness, wait_for_calm

HERE = Path(__file__).resolve().parent
DOC = HERE.parent / "docs" / "benchmarks.md"
LIMIT_S = 1800.0
CALM_CORES, CALM_SLOWER = 0.25, 1.25
EARLIER = 10
"""Earlier texts of a section that the page beside keeps."""


@dataclass(frozen=True)
class Bench:
    """One section: its heading, and the words of a quick run (of a full one there are none unless said)."""

    title: str
    quick: tuple[str, ...] = ("--quick",)
    full: tuple[str, ...] = ()


BENCHES = {
    "daemon": Bench("The running agent", full=("--seconds", "20", "--rounds", "2")),
    "diagnose": Bench("A question from the shell"),
    "processes": Bench("The process sweep", ("--procs", "500", "--seconds", "8", "--warm", "15"), ("--seconds", "15")),
    "collect": Bench("The host's collectors", ("--blocks", "10")),
    "ring": Bench("An hour in memory", ("--seconds", "700")),
    "recorder": Bench(
        "The flight recorder",
        ("--seconds", "400", "--kills", "20", "--damages", "20"),
        ("--seconds", "1800", "--kills", "60", "--damages", "100"),
    ),
    "page": Bench("The page", ("--scrapes", "20")),
    "conditions": Bench("A judging round", ("--rounds", "15")),
    "gpu_rules": Bench("A judging round with GPUs", ("--rounds", "20")),
    "nvml": Bench("GPUs, and a driver that hangs", ("--readings", "20")),
    "alerts": Bench("Alerts under kills, in a storm, with bad receivers", ("--kills", "50"), ("--kills", "1000")),
    "quiet_day": Bench("A quiet machine stays quiet", ("--quick",)),
    "playbooks": Bench("Playbooks under kills", ("--kills", "20", "--edges", "20"), ("--kills", "200", "--edges", "60")),
    "kernel_log": Bench("The kernel log in a flood"),
    "leak_detector": Bench("Leak or no leak", ("--seeds", "5"), ("--seeds", "60")),
    "pyspy": Bench("A look with py-spy", ("--pairs", "1", "--threads", "100")),
    "attach": Bench(
        "Attaching memray", ("--tries", "2", "--cancels", "1", "--parts", "start,refuse"), ("--tries", "6", "--cancels", "4")
    ),
}
HEAD = """# Benchmarks

What the agent costs and how well it judges, measured by the programs in `bench/`; `make bench` runs them all and rewrites the
tables below. CPU is always CPU seconds (60 s/min = one core), from the scheduler's own account, never wall time. A figure in bold
missed its bar. Earlier figures: benchmarks-history.md, beside this page.
"""
HISTORY = """# Benchmarks, earlier

What docs/benchmarks.md said before, newest first; `make bench` moves it here.
"""
BETWEEN = "<!-- earlier -->"


class Calm:
    """Whether the machine was the benchmark's own while it ran."""

    def __init__(self, least: float) -> None:
        self.least = least
        self.slow = slowness()
        self.began, self._busy, self._own = time.monotonic(), busy_seconds(), _children()

    def said(self) -> str:
        """One sentence for the page."""
        wall = time.monotonic() - self.began
        others = max(0.0, busy_seconds() - self._busy - (_children() - self._own)) / wall
        slow = max(self.slow, slowness()) / self.least
        words = f"others kept {others:.2f} of {os.cpu_count()} cores busy, fixed work took {slow:.2f} times its least"
        calm = others <= CALM_CORES and slow <= CALM_SLOWER
        return f"Calm: {words}." if calm else f"**Not calm**: {words}; times are upper bounds."


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(name: str, bench: Bench, quick: bool, least: float) -> tuple[str, bool, str]:
    """The text of one section, whether all bars were held, and why there are no figures ("" if there are)."""
    calm = Calm(least)
    argv = [sys.executable, str(HERE / f"{name}.py"), *(bench.quick if quick else bench.full)]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, env=environment)
    except subprocess.TimeoutExpired:
        return "", False, f"no end within {LIMIT_S:.0f} s"
    text = "\n".join(line for line in done.stdout.strip("\n").splitlines() if not line.startswith("{"))
    last = "".join(done.stderr.strip().splitlines()[-1:])
    if done.returncode not in (0, 1) or "Error" in last or not text:
        return text, False, last[:200] or f"exit {done.returncode}"
    if not re.search(r"^\| ?---", text, re.MULTILINE):
        text = f"```\n{text}\n```"
    if done.returncode:
        text += "\n\n**A bar was missed.**"
    words = " ".join(["python", f"bench/{name}.py", *argv[2:]])
    wall = time.monotonic() - calm.began
    note = f"`{words}`, {time.strftime('%Y-%m-%d', time.gmtime())}, {wall:.0f} s. {calm.said()}"
    return f"{text}\n\n{note}", done.returncode == 0, ""


def machine(least: float) -> str:
    """Where the figures are from."""
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return (
        f"{os.cpu_count()} cores of {models[0] if models else platform.machine()}, {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}. Fixed work took {least:.2f} ms at its least."
    )


def least_slowness(document: str) -> float:
    """Milliseconds of the fixed work on this machine when it was calmest, as far as is known."""
    known = re.search(r"Fixed work took (\d+\.\d+) ms", _block(document, "machine"))
    same = known and machine(float(known[1])) == _block(document, "machine").strip()
    return min([slowness(), slowness(), *([float(known[1])] if known and same else [])])


def _block(document: str, name: str) -> str:
    return document.partition(f"<!-- bench:{name} -->")[2].partition(f"<!-- /bench:{name} -->")[0]


def put(document: str, name: str, title: str, text: str) -> str:
    """The document with the section's text between its markers; a new section goes to the end."""
    start, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    block = f"{start}\n{text}\n{end}"
    if start in document and end in document:
        before, _, rest = document.partition(start)
        return before + block + rest.partition(end)[2]
    return f"{document.rstrip()}\n\n## {title}\n\n{block}\n"


def keep(history: Path, name: str, title: str, text: str) -> None:
    """What a section said until now, at the head of its own earlier texts."""
    if not text.strip():
        return
    document = history.read_text(encoding="utf-8") if history.exists() else HISTORY
    earlier = [old.strip() for old in _block(document, name).split(BETWEEN) if old.strip()]
    kept = f"\n\n{BETWEEN}\n\n".join([text.strip(), *earlier][:EARLIER])
    history.write_text(put(document, name, title, kept), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs: a look, not for the record")
    parser.add_argument("--only", default="", help="names separated by commas")
    parser.add_argument(
        "--doc", type=Path, help="the document to write into (default: docs/benchmarks.md; a quick run writes none)"
    )
    parser.add_argument("--patience", type=float, default=300.0, help="seconds to wait for a calm machine, all sections together")
    o = parser.parse_args()
    doc = o.doc or (None if o.quick else DOC)
    wanted = o.only.split(",") if o.only else list(BENCHES)
    if unknown := set(wanted) - set(BENCHES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    document = doc.read_text(encoding="utf-8") if doc and doc.exists() else HEAD
    least, good, patience = least_slowness(document), True, o.patience
    for name in wanted:
        began = time.monotonic()
        wait_for_calm((os.cpu_count() or 1) - CALM_CORES, patience)
        patience = max(0.0, patience - (time.monotonic() - began))
        print(f"{name} ...", flush=True)
        text, well, failed = run(name, BENCHES[name], o.quick, least)
        good = good and well
        print(f"{text}\n\nFailed: {failed}" if failed else text, flush=True)
        if doc and not failed:
            document = doc.read_text(encoding="utf-8") if doc.exists() else HEAD
            keep(doc.with_stem(f"{doc.stem}-history"), name, BENCHES[name].title, _block(document, name))
            document = put(put(document, "machine", "Machine", machine(least)), name, BENCHES[name].title, text)
            doc.write_text(document, encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
