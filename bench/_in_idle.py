"""Runs inside the machine that bench/idle_hour.py boots: reads the agent's page once a minute, and tells what was in it."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

PAGE = "http://127.0.0.1:9477/metrics"
AGENT = "/opt/anfl-agent/bin/anfl-agent"
UP_S = 300.0


def page() -> dict[str, float]:
    """The agent's page: value by series."""
    with urllib.request.urlopen(PAGE, timeout=20) as answer:
        text = answer.read().decode()
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in rows}


def wait_for_page() -> dict[str, float]:
    """The first page; raises OSError if the agent does not come up."""
    end = time.monotonic() + UP_S
    while True:
        try:
            return page()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(2)


def pss_mib() -> float:
    """The agent's proportional set size as the kernel counts it."""
    pid = out("systemctl", "show", "--value", "-p", "MainPID", "anfl-agent").strip()
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return round(sum(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 1024, 1)


def out(*argv: str) -> str:
    """What a command prints."""
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def summed(seen: dict[str, float], name: str) -> float:
    """All series of one name together."""
    return sum(value for series, value in seen.items() if series.partition("{")[0] == name)


def main() -> None:
    """Wait, look, tell."""
    minutes = float(os.environ["MINUTES"])
    first, began, sizes, failed = wait_for_page(), time.monotonic(), [], 0
    seen = first
    while time.monotonic() - began < minutes * 60:
        time.sleep(60)
        try:
            seen = page()
            sizes.append(pss_mib())
        except OSError:
            failed += 1
    words = ["journalctl", "-u", "anfl-agent", "-o", "cat", "--no-pager"]
    status = json.loads(out(AGENT, "status", "--json"))
    told: dict[str, Any] = {
        "minutes": round((time.monotonic() - began) / 60, 1),
        "incidents": summed(seen, "anfl_incidents_total"),
        "symptoms": status["symptoms"],
        "diagnoses": len(status["diagnoses"]),
        "cpu_s_per_min": round(
            (summed(seen, "anfl_agent_cpu_seconds_total") - summed(first, "anfl_agent_cpu_seconds_total")) / minutes, 2
        ),
        "pss_mib": sizes[:: max(1, len(sizes) // 12)],
        "series": summed(seen, "anfl_agent_series"),
        "ticks_skipped": summed(seen, "anfl_agent_ticks_skipped_total"),
        "failed_reads": failed,
        "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
        "unusual_lines": out(*words, "-p", "warning").splitlines(),
        "lines": out(*words).splitlines()[-40:],
        "open": json.loads(out(AGENT, "incidents", "list", "--all", "--json") or "{}"),
    }
    for name, value in told.items():
        print("ANFL " + json.dumps({name: value}), flush=True)


if __name__ == "__main__":
    main()
