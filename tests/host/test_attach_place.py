"""Where captures live: in the target's root, safe from its links, one at a time, and never left behind."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from agent.errors import Refused, Unavailable
from agent.host import procs
from agent.host.attach_place import Ledger, Place, beneath, make


@pytest.fixture
def place() -> Place:
    """A capture folder for ourselves."""
    made = make(os.getpid(), os.urandom(8).hex(), os.geteuid(), os.getegid())
    yield made
    made.remove()


def test_the_targets_part_is_closed_to_others(place: Place) -> None:
    """The folder itself is ours, what the target writes to is its own."""
    assert stat.S_IMODE(os.fstat(place.top_fd).st_mode) == 0o755
    assert stat.S_IMODE(os.fstat(place.out_fd).st_mode) == 0o700
    assert Path(place.inner, "out").is_dir()


def test_small_files_go_both_ways(place: Place) -> None:
    """A file that is not there yet is None."""
    assert place.read("started-1") is None
    place.write("next-1", b"{}")
    assert place.read("next-1") == b"{}"


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_plain_files_are_read(place: Place, kind: str) -> None:
    """A target may put anything there: a link to a secret, a pipe that never answers."""
    path = Path(place.inner, "out", "capture-1")
    {"link": lambda: path.symlink_to("/etc/passwd"), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    assert place.read("capture-1") is None
    with pytest.raises(Unavailable):
        place.open_capture("capture-1", 1 << 20)


def test_a_capture_larger_than_allowed_is_not_read(place: Place) -> None:
    """A hostile target could fill the analysis instead of the disk."""
    Path(place.inner, "out", "capture-1").write_bytes(b"x" * 100_000)
    with pytest.raises(Unavailable, match="larger"):
        place.open_capture("capture-1", 50_000)
    os.close(place.open_capture("capture-1", 200_000))


def test_links_on_the_way_are_not_followed(tmp_path: Path) -> None:
    """A container could point its /tmp at a folder of ours."""
    (tmp_path / "tmp").symlink_to("/etc")
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(OSError):
            beneath(root, "tmp")
    finally:
        os.close(root)


def test_one_capture_of_a_process_at_a_time(tmp_path: Path) -> None:
    """The lock dies with its holder."""
    ledger = Ledger(str(tmp_path))
    held = ledger.take(4711)
    with pytest.raises(Refused, match="already"):
        ledger.take(4711)
    ledger.release(held)
    ledger.release(ledger.take(4711))


def test_what_a_dead_agent_left_is_removed_at_the_next_capture(tmp_path: Path, place: Place) -> None:
    """Only what the ledger names, and only in a process that is still the same."""
    ledger = Ledger(str(tmp_path))
    held = ledger.take(4711)
    ledger.note(held, os.getpid(), procs.start_time(os.getpid()), place)
    os.close(held)
    ledger.sweep()
    assert not Path(place.inner).exists()
    assert os.listdir(ledger.folder) == []
