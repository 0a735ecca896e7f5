"""Runs the benchmarks of this folder and writes their tables into docs/benchmarks.md, between the markers of each.

    python bench/run.py [--quick] [--only daemon,page] [--doc docs/benchmarks.md]

One after the other, never side by side. Each section says how busy the machine was: figures taken beside neighbours are dearer than
on a calm one (bench/meter.py, ``slowness``). Text outside the markers is left alone. ``--quick`` is for a look, not for the record.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from meter import busy_seconds, slowness

HERE = Path(__file__).resolve().parent
DOC = HERE.parent / "docs" / "benchmarks.md"
LIMIT_S = 3600.0


@dataclass(frozen=True)
class Bench:
    """One section: its heading, and the words of a quick run (of a full one there are none unless said)."""

    title: str
    quick: tuple[str, ...] = ("--quick",)
    full: tuple[str, ...] = ()


BENCHES = {
    "daemon": Bench("The running agent", full=("--seconds", "30", "--idle-cores", "1")),
    "diagnose": Bench("A question from the shell"),
    "processes": Bench("The process sweep", ("--procs", "500", "--seconds", "8", "--warm", "15"), ("--rounds", "3")),
    "collect": Bench("The host's collectors", ("--blocks", "10")),
    "ring": Bench("An hour in memory", ("--seconds", "700")),
    "recorder": Bench("The flight recorder", ("--seconds", "400", "--kills", "20", "--damages", "20")),
    "page": Bench("The page", ("--scrapes", "20")),
    "conditions": Bench("A judging round", ("--rounds", "15")),
    "nvml": Bench("GPUs, and a driver that hangs", ("--readings", "20")),
    "kernel_log": Bench("The kernel log in a flood"),
    "leak_detector": Bench("Leak or no leak", ("--seeds", "5")),
    "pyspy": Bench("A look with py-spy", ("--pairs", "1", "--threads", "100")),
    "attach": Bench("Attaching memray", ("--tries", "2", "--cancels", "1", "--parts", "start,refuse")),
}
HEAD = """# Benchmarks

What the agent costs and how well it judges, measured by the programs in `bench/`; `make bench` runs them all and rewrites the
tables below. CPU is always CPU seconds (60 s/min = one core), from the scheduler's own account, never wall time. A figure in bold
missed its bar.
"""


def run(name: str, bench: Bench, quick: bool) -> tuple[str, bool]:
    """The text of one section, and whether the benchmark ended well."""
    began, busy, slow = time.monotonic(), busy_seconds(), slowness()
    argv = [sys.executable, str(HERE / f"{name}.py"), *(bench.quick if quick else bench.full)]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, env=environment)
    except subprocess.TimeoutExpired:
        return f"Not measured: no end within {LIMIT_S:.0f} s.", False
    wall = time.monotonic() - began
    text = "\n".join(line for line in done.stdout.rstrip().splitlines() if not line.startswith("{"))
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        text += f"\n\nFailed: `{last[0][:200]}`" if "Error" in "".join(last) else "\n\n**A bar was missed.**"
    if not re.search(r"^\| ?---", text, re.MULTILINE):
        text = f"```\n{text}\n```"
    cores = (busy_seconds() - busy) / wall
    words = " ".join(["python", f"bench/{name}.py", *argv[2:]])
    note = f"`{words}`, {time.strftime('%Y-%m-%d', time.gmtime())}, {wall:.0f} s; busy cores (this included) {cores:.1f} of"
    return f"{text}\n\n{note} {os.cpu_count()}, slowness {slow:.1f} ms.", done.returncode == 0


def machine() -> str:
    """Where the figures are from."""
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return (
        f"{os.cpu_count()} cores of {models[0] if models else platform.machine()}, {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}."
    )


def put(document: str, name: str, title: str, text: str) -> str:
    """The document with the section's text between its markers; a new section goes to the end."""
    start, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    block = f"{start}\n{text}\n{end}"
    if start in document and end in document:
        before, _, rest = document.partition(start)
        return before + block + rest.partition(end)[2]
    return f"{document.rstrip()}\n\n## {title}\n\n{block}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs: a look, not for the record")
    parser.add_argument("--only", default="", help="names separated by commas")
    parser.add_argument("--doc", type=Path, default=DOC, help="the document to write into")
    o = parser.parse_args()
    wanted = o.only.split(",") if o.only else list(BENCHES)
    if unknown := set(wanted) - set(BENCHES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    document = o.doc.read_text(encoding="utf-8") if o.doc.exists() else HEAD
    good = True
    for name in (name for name in wanted if (HERE / f"{name}.py").exists()):
        print(f"{name} ...", flush=True)
        text, well = run(name, BENCHES[name], o.quick)
        good = good and well
        print(text, flush=True)
        document = put(put(document, "machine", "Machine", machine()), name, BENCHES[name].title, text)
        o.doc.write_text(document, encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
