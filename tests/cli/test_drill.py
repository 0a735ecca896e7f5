"""``anfl-agent drill``: what it leaves behind."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

CASE = """\
id: sleeper
tree: memory
title: it sleeps
start: ["{python}", "workload.py"]
target: host
for: 60s
control: true
"""
WORKLOAD = """\
import time
print("READY", flush=True)
time.sleep(120)
"""


@pytest.mark.real
def test_a_drill_that_is_terminated_leaves_no_workload_behind(tmp_path: Path) -> None:
    """As when it is interrupted: ``timeout`` and service managers end it so."""
    folder = tmp_path / "cases" / "sleeper"
    folder.mkdir(parents=True)
    (folder / "case.yaml").write_text(CASE)
    (folder / "workload.py").write_text(WORKLOAD)
    argv = [sys.executable, "-m", "agent", "drill", "--cases", str(folder.parent)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as drill:
        try:
            workload = awaited(psutil.Process(drill.pid))
            drill.send_signal(signal.SIGTERM)
            said = drill.communicate(timeout=60)[0]
        finally:
            drill.kill()
    assert not workload.is_running(), said
    assert drill.returncode not in (0, -signal.SIGTERM)


def awaited(drill: psutil.Process) -> psutil.Process:
    """The workload, once it runs."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for child in drill.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.cmdline()[-1:] == ["workload.py"]:
                    return child
        time.sleep(0.1)
    raise AssertionError("the workload was not started")
