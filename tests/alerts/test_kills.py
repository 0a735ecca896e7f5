"""Killed at random, again and again: nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench" / "alerts.py"


@pytest.mark.real
def test_fifty_kills_lose_nothing_and_every_copy_has_its_first_one_s_id() -> None:
    """A receiver that fails a tenth, SIGKILL at random points of looking, leasing, sending and marking."""
    done = subprocess.run(
        [sys.executable, str(BENCH), "kill", "--kills", "50"], capture_output=True, text=True, timeout=240, check=True
    )
    said = json.loads(done.stdout)
    assert said["finished"], done.stderr
    assert said["incidents"] > 20
    assert said["killed_with_messages"].get("leased", 0) > 0
    zeros = ("lost_begins", "lost_ends", "copies_with_another_id", "ends_before_begins", "messages_that_only_count")
    assert {name: said[name] for name in zeros} == dict.fromkeys(zeros, 0)
