"""The artefact folder: private, within its quota of bytes and days."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.errors import AgentError
from agent.store.shelf import YOUNG_S, Shelf

NOW = 1_700_000_000.0


def put(folder: Path, name: str, size: int, age: float) -> Path:
    """A file of that size, last written that long ago."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (NOW - age, NOW - age))
    return path


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """Stacks may show what a program works on."""
    folder = tmp_path / "state" / "artifacts"
    assert Shelf(str(folder), 100, 100).tidy(NOW) == 0
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_oldest_go_when_the_quota_is_full(tmp_path: Path) -> None:
    """In whatever folder below they lie."""
    old = put(tmp_path, "sub/old.svg", 60, 3000)
    middle = put(tmp_path, "middle.svg", 60, 2000)
    new = put(tmp_path, "new.svg", 60, 1000)
    assert Shelf(str(tmp_path), 130, 1e9).tidy(NOW) == 1
    assert (old.exists(), middle.exists(), new.exists()) == (False, True, True)


def test_what_was_kept_long_enough_goes(tmp_path: Path) -> None:
    """Even with room left."""
    old, new = put(tmp_path, "old.svg", 1, 2000), put(tmp_path, "new.svg", 1, 500)
    assert Shelf(str(tmp_path), 1e9, 1000).tidy(NOW) == 1
    assert (old.exists(), new.exists()) == (False, True)


def test_a_file_that_may_still_be_written_stays(tmp_path: Path) -> None:
    """Over the quota or not."""
    young = put(tmp_path, "capture.part", 1000, YOUNG_S / 2)
    assert Shelf(str(tmp_path), 10, 1e9).tidy(NOW) == 0
    assert young.exists()


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    """Whoever puts one there does not choose what is deleted."""
    outside = put(tmp_path / "outside", "precious", 10, 5000)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "link").symlink_to(outside)
    (shelf / "folder").symlink_to(outside.parent)
    os.utime(shelf / "link", (NOW - 5000, NOW - 5000), follow_symlinks=False)
    Shelf(str(shelf), 1e9, 1000).tidy(NOW)
    assert outside.read_bytes() == b"x" * 10
    assert not (shelf / "link").is_symlink()


def test_a_folder_that_cannot_be_made_is_told_with_the_mend(tmp_path: Path) -> None:
    """Here a file is in the way."""
    (tmp_path / "file").write_text("")
    with pytest.raises(AgentError) as caught:
        Shelf(str(tmp_path / "file" / "artifacts"), 1, 1).tidy(NOW)
    assert "Not a directory" in caught.value.message
    assert "artifacts.dir" in caught.value.help
