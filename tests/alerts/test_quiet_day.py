"""A quiet machine stays quiet, and a sick one does not: a compressed day in small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench" / "quiet_day.py"


def test_healthy_hosts_send_nothing_and_a_leak_is_told() -> None:
    """A training that starts up and a server in traffic for twenty minutes: looked into here and there, nothing sent."""
    words = ["--hours", "0.3", "--hosts", "training,serving", "--json"]
    done = subprocess.run([sys.executable, str(BENCH), *words], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    *healthy, sick = json.loads(done.stdout)["hosts"]
    assert [(host["host"], host["pages"]) for host in healthy] == [("training", 0), ("serving", 0)]
    assert sum(host["suspicions"] for host in healthy) > 0
    assert sick["pages"] >= 1
    assert "Memory grows from one place in the Python code" in sick["told"][0]
