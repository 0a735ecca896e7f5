"""What a drill leaves on purpose."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.drill.kept import furnish, room

REPO = Path(__file__).resolve().parents[2]
LIMIT_S = 300.0


def test_every_drill_gets_a_folder_of_its_own_that_only_its_owner_may_enter(tmp_path: Path) -> None:
    """Held again, or as another variant, it does not write over the one before."""
    made = [room(tmp_path / "kept", "notes", number) for number in (0, 0, 3)]
    assert [one.name for one in made] == ["notes", "notes-2", "notes-v3"]
    assert {one.stat().st_mode & 0o777 for one in (*made, tmp_path / "kept")} == {0o700}


def test_the_configuration_lies_beside_the_state(tmp_path: Path) -> None:
    """So that a command can be pointed at what was kept."""
    config = tmp_path / "config.yaml"
    config.write_text("state_dir: /somewhere")
    made = room(tmp_path / "kept", "notes", 0)
    furnish(made, str(config))
    assert (made / "config.yaml").read_text() == "state_dir: /somewhere"


@pytest.mark.real
def test_what_an_agent_said_of_a_fault_it_says_again_from_its_recording(tmp_path: Path) -> None:
    """A real agent, two real drills, the real command, rules from elsewhere; the bench does it with all of them."""
    argv = [
        sys.executable,
        "bench/replays.py",
        "--keep",
        str(tmp_path),
        "--for",
        "3s",
        "--case",
        "kernel-nvme",
        "--case",
        "cpu-hotspot",
    ]
    done = subprocess.run(argv, cwd=REPO, capture_output=True, text=True, timeout=LIMIT_S)
    held = [line for line in done.stdout.splitlines() if line.endswith("| yes |")]
    skipped = done.stdout.count("| skipped |")
    assert len(held) + skipped == 2, done.stdout + done.stderr
    assert done.returncode == 0
