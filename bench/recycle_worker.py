"""A worker that leaks, under a real systemd with the agent as its unit there: the playbook recycle-worker restarts it, by itself.

    python bench/recycle_worker.py [--json]        # as root; boots this machine's own files in a container for a minute or two

The whole agent runs inside as the shipped unit with the shipped drop-in for acting: it finds the leak, decides, keeps evidence,
restarts the unit and judges the new worker. Two settings are the site's: growth over 20 s stands for the hour a slope needs by
itself, and the playbook may act on that one unit. The worker leaks in its first life only; memory is also measured from here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
UNIT = "leaky.service"
LEAKS = """
import os, time
mine, once = [], "/var/tmp/anfl-once"
leaks = not os.path.exists(once)
open(once, "w").close()
while True:
    leaks and mine.append(b"x" * 1000000)
    time.sleep(0.1)
"""
CONFIG = """
budget: {judge_every: 1s}
subjects: {match: ["unit:leaky.service"]}
playbooks: {ceiling: auto}
"""
RULES = """
tree: memory
symptom:
  when: "grow(process_anonymous_bytes, 20s) > 30MiB / 1m"
  clear: "grow(process_anonymous_bytes, 20s) < 1MiB / 1m"
  for: 5s
  keep_for: 5s
checks:
  - {id: anon_grows, expr: "grow(process_anonymous_bytes, 20s) > 30MiB / 1m"}
"""
AGENT = "/opt/anfl-agent/bin/anfl-agent"
PATIENCE_S = 150.0
LOOK_S = 5.0


@contextmanager
def container() -> Iterator[int]:
    """A systemd of its own; the pid of its first process as seen from here."""
    with tempfile.TemporaryDirectory(prefix="anfl-bench-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", folder], check=True)
        up, work, merged = (f"{folder}/{name}" for name in ("up", "work", "merged"))
        for path in (up, work, merged):
            os.mkdir(path)
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={up},workdir={work}", merged], check=True)
        furnish(Path(merged))
        words = ["systemd-nspawn", "--quiet", f"--directory={merged}", "--boot", "--register=no", "--keep-unit"]
        words += [f"--machine=anfl{os.getpid()}", "--private-network", "--link-journal=no", "--console=pipe"]
        words += [f"--bind-ro={REPO}:/srv/anfl", f"--bind-ro={sys.prefix}", "systemd.unit=basic.target"]
        machine = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield leader(machine.pid)
        finally:
            machine.terminate()
            machine.wait(30)
            subprocess.run(["umount", merged], check=False)
            subprocess.run(["umount", folder], check=False)


def furnish(root: Path) -> None:
    """The agent as it is installed, its configuration, and the worker."""
    (root / "etc/machine-id").write_text("")
    units, own = root / "etc/systemd/system", root / "etc/anfl-agent"
    shutil.rmtree(own, ignore_errors=True)
    for folder in (units / "anfl-agent.service.d", own / "rules.d", own / "playbooks.d", (root / AGENT[1:]).parent):
        folder.mkdir(parents=True)
    shutil.copy(REPO / "systemd/anfl-agent.service", units)
    shutil.copy(REPO / "systemd/anfl-agent-acts.conf", units / "anfl-agent.service.d/acts.conf")
    (units / "anfl-agent.service.d/container.conf").write_text("[Service]\nStandardInput=null\n")  # no /dev/kmsg there
    (units / "anfl-agent.service.d/container.conf").write_text("[Service]\nStandardInput=null\n")  # it has no kernel log
    (root / AGENT[1:]).write_text(f'#!/bin/sh\nPYTHONPATH=/srv/anfl exec {sys.executable} -m agent "$@"\n')
    (root / AGENT[1:]).chmod(0o755)
    (own / "config.yaml").write_text(CONFIG)
    (own / "rules.d/memory.yaml").write_text(RULES)
    (own / "playbooks.d/recycle-worker.yaml").write_text(playbook())
    (root / "srv/leaky.py").write_text(LEAKS)
    (units / UNIT).write_text("[Service]\nUser=nobody\nExecStart=/usr/bin/python3 /srv/leaky.py\n")


def playbook() -> str:
    """The shipped one; it may act on the worker by itself, and is told to be content after ten seconds."""
    text = (REPO / "rules/playbooks/recycle-worker.yaml").read_text()
    for old, new in (
        ("mode: propose", "mode: auto"),
        ("kinds: [process, unit],", f"kinds: [process, unit], allow: [{{unit: {UNIT}}}],"),
        ("settle: 2m, within: 15m", "settle: 10s, within: 2m"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    return text


def leader(pid: int) -> int:
    """The first process in there, once its systemd answers."""
    for _ in range(200):
        time.sleep(0.1)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children and call(int(children[0]), "systemctl", "is-active", "-q", "basic.target").returncode == 0:
            return int(children[0])
    raise SystemExit("the container did not boot")


def call(inside: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Run something in there."""
    argv = ["nsenter", "-t", str(inside), "-m", "-u", "-i", "-n", "-p", "-C", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def shown(inside: int, unit: str, name: str) -> str:
    """A property of a unit."""
    return call(inside, "systemctl", "show", "-P", name, unit).stdout.strip()


def slope(inside: int) -> float:
    """MiB a second that the worker's anonymous memory grows by, over five seconds."""

    def held() -> int:
        found = call(inside, "grep", "RssAnon", f"/proc/{shown(inside, UNIT, 'MainPID')}/status").stdout.split()
        return int(found[1]) if len(found) > 1 else 0

    first = held()
    time.sleep(LOOK_S)
    return round((held() - first) / 1024 / LOOK_S, 2)


def run_of(inside: int) -> dict[str, Any]:
    """The playbook's newest run that went beyond a proposal; empty while there is none."""
    with contextlib.suppress(ValueError, KeyError):
        found = json.loads(call(inside, AGENT, "playbooks", "history", "--json").stdout)["runs"]
        return next((r for r in found if r["playbook"] == "recycle-worker"), {})
    return {}


def recycle(inside: int, told: list[str]) -> dict[str, Any]:
    """From the leak to the verified end."""
    call(inside, "systemctl", "daemon-reload")
    for unit in (UNIT, "anfl-agent.service"):
        done = call(inside, "systemctl", "start", unit)
        told += [f"# systemctl start {unit}", *(done.stdout + done.stderr).splitlines()]
    began = time.monotonic()
    first, before = shown(inside, UNIT, "MainPID"), slope(inside)
    over: dict[str, Any] = {}
    while time.monotonic() - began < PATIENCE_S and over.get("phase") not in ("verified", "failed", "escalated", "denied"):
        time.sleep(2.0)
        over = run_of(inside)
    took = time.monotonic() - began
    for words in (("playbooks", "history"), ("incidents", "list", "--all"), ("audit", "verify"), ("status",)):
        done = call(inside, AGENT, *words)
        told += [f"# anfl-agent {' '.join(words)}", *(done.stdout + done.stderr).splitlines()]
    told += ["# journal", *call(inside, "journalctl", "-q", "-o", "cat", "-u", "anfl-agent").stdout.splitlines()]
    evidence = call(inside, "sh", "-c", "ls /var/lib/anfl-agent/artifacts/evidence").stdout.split()
    return {
        "phase": over.get("phase"),
        "reason": over.get("reason"),
        "cause": over.get("cause"),
        "slope_before_mib_s": before,
        "slope_after_mib_s": slope(inside),
        "another_process": shown(inside, UNIT, "MainPID") not in ("0", first),
        "evidence_files": len(evidence),
        "verified_after_s": round(took, 1),
        "agent_restarts": int(shown(inside, "anfl-agent.service", "NRestarts") or 0),
    }


def main() -> int:
    """Print what was seen; 1 if the leak is not gone, 3 where it cannot be tried."""
    if os.geteuid() != 0 or not shutil.which("systemd-nspawn"):
        print("cannot be done here: it needs root and systemd-nspawn (package systemd-container)", file=sys.stderr)
        return 3
    words: list[str] = []
    with container() as inside:
        told = recycle(inside, words)
    print(json.dumps({**told, "told": words}) if "--json" in sys.argv else "\n".join([*words, json.dumps(told, indent=1)]))
    return 0 if told["phase"] == "verified" and told["another_process"] and abs(told["slope_after_mib_s"]) < 0.5 else 1


if __name__ == "__main__":
    sys.exit(main())
