"""The agent on a sample service that has two faults: starts both, asks for a diagnosis, prints it, cleans up.

Exit code 0 only if both faulty lines were named. Flame graphs and stacks stay in ``.demo/``. Takes about a minute.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from agent.drill.pythons import base_python
from agent.reports import terminal

SERVICE = Path(__file__).resolve().with_name("service.py")
KEPT = Path.cwd() / ".demo"
START_S = 60
DIAGNOSE_S = 120
SHOWN_METRICS = ("anfl_process_tree_", "anfl_process_threads", "anfl_process_open_fds")


def say(text):
    print(text, flush=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def wait_for(url, what, process):
    """Until something answers at ``url``; SystemExit if the process behind it ends first, or takes too long."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"demo: {what} ended with exit {process.returncode} before it was ready; see {KEPT / 'agent.log'}")
        try:
            return fetch(url)
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"demo: {what} was not ready within {START_S} s; see {KEPT / 'agent.log'}")


class Started:
    """Everything that was started, ended together."""

    def __init__(self):
        self.processes = []

    def start(self, argv, log=subprocess.DEVNULL):
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)
        return process

    def end(self):
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes:
                if process.poll() is None:
                    os.killpg(process.pid, sign)
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline and any(process.poll() is None for process in self.processes):
                time.sleep(0.05)


def agent(config, *args):
    return [sys.executable, "-m", "agent", "--config", str(config), *args]


def faulty_lines():
    """The two lines that the service's own comments own up to."""
    lines = SERVICE.read_text().splitlines()
    return {word: next(n for n, line in enumerate(lines, 1) if f"# the {word}:" in line) for word in ("leak", "hotspot")}


def named_lines(diagnosis):
    """Lines of the service that are culprits of a named cause, by cause id."""
    return {
        (cause["id"], culprit.get("line"))
        for cause in diagnosis["causes"]
        for culprit in cause.get("culprits", ())
        if str(culprit.get("file", "")).endswith(SERVICE.name)
    }


def judge(diagnosis):
    """True if both lines were named by the right cause; tells which."""
    found, wanted = named_lines(diagnosis), faulty_lines()
    right = True
    for word, cause in (("leak", "memory.python-leak"), ("hotspot", "latency.cpu-hotspot")):
        hit = any(name == cause and line is not None and abs(line - wanted[word]) <= 2 for name, line in found)
        say(f"  {'named' if hit else 'MISSED'}: the {word} in {SERVICE.name}:{wanted[word]} ({cause})")
        right = right and hit
    return right


def show_metrics(page, pid):
    chosen = [line for line in page.splitlines() if line.startswith(SHOWN_METRICS) and f'pid="{pid}"' in line]
    for line in chosen[:6]:
        say(f"  {line}")


def diagnose(config, pid):
    """What ``anfl-agent diagnose`` answers, as JSON; its page is printed."""
    say(f"\n$ anfl-agent diagnose --pid {pid} --for 15s")
    done = subprocess.run(
        agent(config, "diagnose", "--pid", str(pid), "--for", "15s", "--json"), capture_output=True, text=True, timeout=DIAGNOSE_S
    )
    try:
        diagnosis = json.loads(done.stdout)
    except ValueError:
        raise SystemExit(f"demo: no diagnosis (exit {done.returncode}): {done.stderr.strip()}") from None
    if diagnosis.get("schema") != "anfl.diagnosis/1":
        raise SystemExit(f"demo: no diagnosis: {diagnosis.get('message')}")
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    say(terminal.render(diagnosis, colour=colour, width=min(shutil.get_terminal_size((100, 40)).columns, 120)))
    return diagnosis


def run_demo(scratch, started):
    metrics, port = f"127.0.0.1:{free_port()}", free_port()
    config = scratch / "config.yaml"
    kept = {"dir": str(KEPT / "artifacts")}
    config.write_text(
        json.dumps({"listen": metrics, "socket": str(scratch / "agent.sock"), "state_dir": str(scratch / "state"), "artifacts": kept})
    )
    say("starting the agent and a sample service with a leak and a hotspot (examples/service.py)")
    with open(KEPT / "agent.log", "wb") as log:
        daemon = started.start(agent(config, "run"), log)
    service = started.start([base_python(), str(SERVICE), "serve", str(port)])
    wait_for(f"http://127.0.0.1:{port}/ready", "the service", service)
    started.start([base_python(), str(SERVICE), "load", str(port)])
    wait_for(f"http://{metrics}/metrics", "the agent", daemon)
    time.sleep(5)  # some history for the agent, some load for the service
    diagnosis = diagnose(config, service.pid)
    say("what /metrics says meanwhile:")
    show_metrics(fetch(f"http://{metrics}/metrics"), service.pid)
    say(f"\nflame graphs and stacks, to be opened in a browser: {KEPT / 'artifacts'}")
    for path in sorted((KEPT / "artifacts").rglob("*")):
        if path.is_file():
            say(f"  {path}")
    say("\nthe two lines that are wrong with the service:")
    return judge(diagnosis)


def main():
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir()
    scratch, started = Path(tempfile.mkdtemp(prefix="anfl-demo-")), Started()
    try:
        return 0 if run_demo(scratch, started) else 1
    finally:
        started.end()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
