"""What a question costs: wall time and CPU of ``anfl-agent`` from the shell, and what the looked-at process feels of it.

    python bench/diagnose.py [--rounds 3] [--quick] [--json FILE]

``help`` and ``version``: how long a person waits for nothing. ``idle`` looks at a process that sleeps for 5 s, ``hot`` for 15 s,
with drill-down, at one that burns a core in one function. CPU is that of the command with all the programs it starts (a cgroup).
The observer effect is the work the hot process gets done a second while it is looked at, against the seconds before; beside it the
same with nobody looking, for the machine's own noise.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from meter import Metered, compile_agent, slowness

HERE = Path(__file__).resolve().parent
BARS = {"help": 0.3, "version": 0.3, "idle": 10.0, "hot": 30.0}
"""Wall seconds. ``idle``: 5 s of sampling and at most 5 more to the first answer."""
BEFORE_S = 8.0
IDLE = "import time\nwhile True: time.sleep(1)\n"
HOT = """import sys, time

def squares(n):
    return sum(i * i for i in range(n))

done, due = 0, time.monotonic() + 0.5
while True:
    squares(2000)
    done += 1
    if time.monotonic() >= due:
        print(time.monotonic(), done, flush=True)
        due += 0.5
"""


class Patient:
    """A Python process that says twice a second how much work it has done."""

    def __init__(self, folder: Path, text: str) -> None:
        script = folder / "patient.py"
        script.write_text(text, encoding="utf-8")
        self.said: list[tuple[float, float]] = []
        self.process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            moment, done = line.split()
            self.said.append((float(moment), float(done)))

    def pace(self, start: float, end: float) -> float:
        """Work a second between two moments (monotonic)."""
        seen = [(t, n) for t, n in self.said if start <= t <= end]
        return (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0]) if len(seen) > 1 else float("nan")

    def end(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def patient(folder: Path, text: str) -> Iterator[Patient]:
    made = Patient(folder, text)
    try:
        time.sleep(1.0)
        yield made
    finally:
        made.end()


def ask(folder: Path, *words: str) -> dict[str, float]:
    """Run the command once to its end."""
    config = folder / "config.yaml"
    config.write_text(f"socket: {folder}/agent.sock\nstate_dir: {folder}/state\n", encoding="utf-8")
    began = time.monotonic()
    meter = Metered([sys.executable, "-m", "agent", "--config", str(config), *words], folder / "out", HERE.parent)
    code = meter.process.wait(180)
    wall, cpu = time.monotonic() - began, meter.cpu()
    meter.end()
    if code not in (0, 1, 3):
        raise SystemExit((folder / "out").read_text()[-2000:])
    return {"wall_s": wall, "cpu_s": cpu, "exit": code}


def looked_at(folder: Path, text: str, seconds: int) -> dict[str, float]:
    """One diagnosis of a fresh process, and how it fared: its pace with nobody looking, then looked at, then alone again."""
    with patient(folder, text) as target:
        time.sleep(BEFORE_S if text is HOT else 0.0)
        began = time.monotonic()
        found = ask(folder, "diagnose", "--local", "--pid", str(target.process.pid), "--for", f"{seconds}s", "--json")
        ended = time.monotonic()
        if text is HOT:
            time.sleep(BEFORE_S)
            before, after = target.pace(0.0, began), target.pace(ended, time.monotonic())
            alone = (before + after) / 2
            found |= {"slower_looked_at": 1 - target.pace(began, ended) / alone, "slower_alone": 1 - min(before, after) / alone}
            answer = json.loads((folder / "out").read_text().splitlines()[-1])
            found["names_it"] = float(any("squares" in str(c.get("function")) for x in answer["causes"] for c in x["culprits"]))
            found["target_pause_s"] = sum(cost["target_pause_s"] for cost in answer["cost"]["probes"])
    return found


def once(name: str) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp(prefix="anfl-bench-"))
    try:
        if name in ("help", "version"):
            return ask(folder, f"--{name}")
        return looked_at(folder, HOT if name == "hot" else IDLE, 15 if name == "hot" else 5)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(found: dict[str, dict[str, float]], slow: float) -> str:
    """Markdown."""
    lines = ["| question | wall s | bar | CPU s | the process, looked at | with nobody looking |", "| --- " * 6 + "|"]
    for name, f in found.items():
        over = "**" if f["wall_s"] > BARS[name] else ""
        felt = f"{f['slower_looked_at']:.1%} slower" if "slower_looked_at" in f else ""
        alone = f"{f['slower_alone']:.1%}" if felt else ""
        lines.append(f"| {name} | {over}{f['wall_s']:.2f}{over} | {BARS[name]:g} | {f['cpu_s']:.2f} | {felt} | {alone} |")
    hot = found["hot"]
    lines.append("")
    lines.append(f"The function was named: {hot['names_it']:.0%}; stopped for {hot['target_pause_s'] * 1e3:.0f} ms in all.")
    return "\n".join([*lines, f"Slowness {slow:.1f} ms, load {os.getloadavg()[0]:.1f}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="times each question is asked, in turn")
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--json", type=Path, help="write the figures here")
    o = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    compile_agent()
    slow = slowness()
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in BARS}
    for _ in range(1 if o.quick else o.rounds):
        for name, found in runs.items():
            found.append(once(name))
    medians = {name: {key: statistics.median(run[key] for run in found) for key in found[0]} for name, found in runs.items()}
    print(table(medians, slow))
    if o.json:
        o.json.write_text(json.dumps({"schema": "anfl.bench.diagnose/1", "medians": medians, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
