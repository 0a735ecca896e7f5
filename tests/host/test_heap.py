"""Tests of agent.host.heap: what was taken for a moment goes back."""

import ctypes
import gc
import subprocess
import sys
from pathlib import Path

import pytest

from agent.host import heap

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import ctypes, threading
from agent.host import heap
{tune}
kept = []
threads = [threading.Thread(target=lambda: kept.append(bytes(20_000))) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


def heaps(tune: str) -> int:
    """How many heaps glibc made for a program with a few threads."""
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(tune=tune)], check=True, capture_output=True, text=True, cwd=ROOT)
    return done.stderr.count("Arena ")


@pytest.mark.real
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="this C library is not glibc")
def test_all_threads_share_one_heap() -> None:
    """What one of them took for a moment serves the next one, whichever it is."""
    assert heaps("heap.frugal()") == 1 < heaps("")


def test_once_settled_the_collector_looks_seldom_and_not_at_what_was_there() -> None:
    """It runs again, at the agent's own threshold, and earlier objects are out of its way."""
    before, was = gc.get_threshold(), gc.isenabled()
    frozen = gc.get_freeze_count()
    gc.disable()
    try:
        heap.settle()
        assert gc.isenabled()
        assert gc.get_threshold()[0] == heap.GC_AFTER
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
        if not was:
            gc.disable()
