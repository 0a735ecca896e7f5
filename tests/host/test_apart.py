"""Tests of agent.host.apart: an answer comes back, and a failure is no answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import atexit, os, sys
from agent.host.apart import apart
print("once", end=" ")  # still in the buffer of the original when it is copied
atexit.register(print, "at the end", end=" ")

def failed():
    raise ValueError("as it may")

def killed():
    os.kill(os.getpid(), 9)

def other():
    import wave
    return str(os.getpid()).encode()

print(apart(lambda: b"x" * 300_000) == b"x" * 300_000, apart(failed), apart(killed), end=" ")
print(int(apart(other)) != os.getpid(), "wave" in sys.modules, end=" ")
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("nobody left", end=" ")
"""


@pytest.mark.real
def test_only_the_answer_comes_back() -> None:
    """Long ones whole; no import, no output and no child is left, and whatever goes wrong there is None here."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == "once True None None True False nobody left at the end".split()  # noqa: SIM905
    assert "ValueError" not in done.stderr


def test_where_no_process_can_be_made_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no descriptor is left open."""
    from agent.host.apart import apart

    def refused() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    before = len(os.listdir("/proc/self/fd"))
    assert apart(lambda: b"") is None
    assert len(os.listdir("/proc/self/fd")) == before
