"""A dead training's worker holds a GPU's memory: the agent finds it, a person approves, the worker is ended, the memory is free.

    python bench/gpu_orphans.py [--json]

As root. The processes are real, the GPUs are the simulator's; all of it runs in namespaces of its own, with a ``/dev`` where
``nvidia0`` is a plain file. The part of the driver is played by this program: memory is given back when the last one closes the
device. A second worker whose trainer lives holds the same device, and must be left alone. What is asked and answered on the command
line is printed. Exit 1 if anything is not as it should be.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
DEVICE = "/dev/nvidia0"
TRAINER = f"""
import os, signal, sys, time
os.setsid()
device = open({DEVICE!r})
worker = os.fork()
if worker:
    print(worker, flush=True)
    time.sleep(float(sys.argv[1]))
    os._exit(1)
os.close(1)
time.sleep(300)
"""
"""Leads a session, opens the GPU, forks a worker, which inherits it; dies after so many seconds without ending it."""
CONFIG = """
listen: 127.0.0.1:0
state_dir: {home}/state
socket: {home}/agent.sock
budget: {{judge_every: 1s}}
collectors: {{gpu: {{interval: 1s}}}}
playbooks: {{ceiling: {ceiling}}}
"""
RULES = "tree: gpu_process\nsymptom: {for: 2s, keep_for: 2s}\n"
"""As shipped, but that nobody has to wait for a minute."""
HELD = "40GiB"
PATIENCE_S = 60.0


class Host:
    """The simulated GPU host and the agent on it."""

    def __init__(self, home: Path, ceiling: str, told: list[str]) -> None:
        self.home, self.told = home, told
        self.env = {**os.environ, "PYTHONPATH": str(REPO), "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
        (home / "rules.d").mkdir()
        (home / "playbooks.d").mkdir()
        (home / "rules.d/gpu_process.yaml").write_text(RULES)
        (home / "playbooks.d/end-gpu-orphans.yaml").write_text(self.playbook())
        (home / "config.yaml").write_text(CONFIG.format(home=home, ceiling=ceiling))

    @staticmethod
    def playbook() -> str:
        """The shipped one with a target allowed, and seconds in place of minutes."""
        text = (REPO / "rules/playbooks/end-gpu-orphans.yaml").read_text()
        for old, new in (
            ("kinds: [gpu, process]", 'kinds: [gpu, process], allow: [{gpu: "GPU-*"}]'),
            ("{do: kill_gpu_orphans,", "{do: kill_gpu_orphans, with: {age: 1s, grace: 3s},"),
            ("settle: 15s", "settle: 2s"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        return text

    def call(self, *words: str, shown: bool = True) -> str:
        """One call of the command line; what it said is kept."""
        argv = [sys.executable, "-m", "agent", "--config", f"{self.home}/config.yaml", *words]
        done = subprocess.run(argv, env=self.env, cwd=self.home, capture_output=True, text=True, timeout=60)
        if shown:
            self.told += [f"$ anfl-agent {' '.join(words)}", *(done.stdout + done.stderr).splitlines()]
        return done.stdout

    def sim(self, *words: str, shown: bool = True) -> str:
        """One call about the GPUs."""
        return self.call("sim", "gpu", words[0], "--state", f"{self.home}/gpu.json", *words[1:], shown=shown)

    def runs(self) -> list[dict[str, Any]]:
        """Of the playbook; none while the agent does not answer."""
        with contextlib.suppress(ValueError, KeyError):
            found = json.loads(self.call("playbooks", "history", "--json", shown=False))["runs"]
            return [run for run in found if run["playbook"] == "end-gpu-orphans"]
        return []

    def used_gib(self) -> float:
        """Of GPU 0, as any client of NVML would see it."""
        return float(json.loads(self.sim("show", "--json", shown=False))["gpus"][0]["memory_used"]) / 2**30

    def said(self) -> str:
        """What is known when it does not come to an end."""
        for words in (("playbooks", "history"), ("incidents", "list"), ("status",)):
            self.call(*words)
        return "\n".join([*self.told, (self.home / "log").read_text()])

    @contextlib.contextmanager
    def agent(self) -> Iterator[None]:
        """The daemon, until the block is left."""
        sim = [sys.executable, "-m", "agent", "sim", "gpu", "run", "--state", f"{self.home}/gpu.json", "--", sys.executable]
        with (self.home / "log").open("w") as log:
            process = subprocess.Popen(
                [*sim, "-m", "agent", "--config", f"{self.home}/config.yaml", "run"],
                env=self.env,
                cwd=self.home,
                stdout=log,
                stderr=log,
            )
            try:
                yield
            finally:
                process.terminate()
                process.wait(30)


def trainer(seconds: float) -> tuple[subprocess.Popen[str], int]:
    """A training and its worker."""
    process = subprocess.Popen([sys.executable, "-c", TRAINER, str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def alive(pid: int) -> bool:
    """Whether it runs: what is only waited for does not."""
    with contextlib.suppress(OSError):
        return not re.search(r"\) [ZX] ", Path(f"/proc/{pid}/stat").read_text())
    return False


def drive(host: Host, dead: int, worker: int, gone: threading.Event) -> None:
    """The driver's part: a dead one's memory is free when nobody holds its device for it any more."""
    while alive(worker):
        time.sleep(0.1)
    host.sim("set", "0", f"processes.{dead}=null", shown=False)
    gone.set()


def until(what: Callable[[], Any], why: Callable[[], str]) -> Any:
    """Wait for it. SystemExit with the reason if it does not come."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(1.0)
    raise SystemExit(f"in vain: {why()}")


def play(home: Path, told: list[str]) -> dict[str, Any]:
    """From the trainer's death to the freed memory."""
    host = Host(home, "propose", told)
    host.sim("init", "--gpus", "2")
    Path(DEVICE).write_text("")
    dying, orphan = trainer(0.5)
    living, worker = trainer(300)
    dying.wait()
    host.sim("set", "0", f"processes.{dying.pid}.memory={HELD}", f"processes.{living.pid}.memory=20GiB")
    gone = threading.Event()
    threading.Thread(target=drive, args=(host, dying.pid, orphan, gone), daemon=True).start()
    before = host.used_gib()
    with host.agent():
        began = time.monotonic()
        (waiting,) = until(lambda: [r for r in host.runs() if r["phase"] == "proposed"], host.said)
        host.call("playbooks", "list")
        proposed = time.monotonic() - began
        spared = alive(orphan)
        host.call("approve", str(waiting["id"]))
        (over,) = until(lambda: [r for r in host.runs() if r["phase"] in ("verified", "failed", "escalated")], host.said)
        took = time.monotonic() - began
        host.call("playbooks", "history")
        host.call("incidents", "list")
        host.call("audit", "verify")
        host.sim("show")
    found = {
        "phase": over["phase"],
        "reason": over["reason"],
        "untouched_until_approved": spared,
        "orphan_ended": gone.wait(2) and not alive(orphan),
        "live_trainer_untouched": alive(living.pid) and alive(worker),
        "gib_before": round(before, 1),
        "gib_after": round(host.used_gib(), 1),
        "proposed_after_s": round(proposed, 1),
        "verified_after_s": round(took, 1),
    }
    for pid in (living.pid, worker):
        os.kill(pid, signal.SIGKILL)
    return found


def inside() -> int:
    """In the namespaces: a /dev of its own, then the play."""
    home = Path(tempfile.mkdtemp(prefix="anfl-bench-"))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(home)], check=True)
    for name in ("up", "work", "home"):
        (home / name).mkdir()
    subprocess.run(
        ["mount", "-t", "overlay", "o", "-o", f"lowerdir=/dev,upperdir={home}/up,workdir={home}/work", "/dev"], check=True
    )
    told: list[str] = []
    try:
        print(json.dumps({**play(home / "home", told), "told": told}))
    finally:
        if (log := os.environ.get("ANFL_BENCH_LOG")) and (home / "home/log").exists():
            shutil.copy(home / "home/log", log)
    return 0


def main() -> int:
    """Print what was seen; 3 where it cannot be done."""
    if "--inside" in sys.argv:
        return inside()
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "mount", "gcc"))):
        print("cannot be done here: it needs root, unshare, mount and gcc", file=sys.stderr)
        return 3
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, __file__, "--inside"]
    done = subprocess.run(own, capture_output=True, text=True, timeout=300)
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
        return 1
    told = json.loads(done.stdout)
    if "--json" in sys.argv:
        print(json.dumps(told))
    else:
        print("\n".join(told.pop("told")), json.dumps(told, indent=1), sep="\n")
    good = (
        told["phase"] == "verified" and told["orphan_ended"] and told["live_trainer_untouched"] and told["untouched_until_approved"]
    )
    return 0 if good and told["gib_after"] < told["gib_before"] - 39 else 1


if __name__ == "__main__":
    sys.exit(main())
