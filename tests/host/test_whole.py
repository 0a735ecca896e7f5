"""Files that stand whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from agent.host.whole import whole


@pytest.fixture
def no_room() -> Iterator[None]:
    """No file may grow beyond 4 KiB: the kernel refuses the rest, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_takes_its_place_when_it_is_complete(tmp_path: Path) -> None:
    """Until then the old one stands."""
    path = tmp_path / "a"
    path.write_text("old")
    with whole(str(path)) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert (path.read_text(), os.listdir(tmp_path)) == ("new", ["a"])


@pytest.mark.usefixtures("no_room")
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither half of the new file nor something beside it."""
    with pytest.raises(OSError), whole(str(tmp_path / "a")) as file:
        file.write(b"x" * 8192)
    assert os.listdir(tmp_path) == []


def _press_ctrl_c(file: BinaryIO) -> None:
    file.write(b"half")
    raise KeyboardInterrupt


def test_a_filling_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    """Also when somebody presses Ctrl-C."""
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole(str(tmp_path / "a")) as file:
        _press_ctrl_c(file)
    assert (os.listdir(tmp_path), (tmp_path / "a").read_text()) == (["a"], "old")


def test_a_fresh_file_takes_nobodys_place(tmp_path: Path) -> None:
    """Not even that of a link that leads nowhere."""
    (tmp_path / "a").symlink_to("nowhere")
    with pytest.raises(FileExistsError), whole(str(tmp_path / "a"), fresh=True):
        pass
    assert os.listdir(tmp_path) == ["a"]


def test_of_two_that_are_fresh_at_once_the_first_stays(tmp_path: Path) -> None:
    """The second comes too late, however close behind."""
    with pytest.raises(FileExistsError), whole(str(tmp_path / "a"), fresh=True, lasting=True) as file:
        file.write(b"second" if (tmp_path / "a").write_text("first") else b"")
    assert (os.listdir(tmp_path), (tmp_path / "a").read_text()) == (["a"], "first")


def test_where_there_are_no_hard_links_it_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a FAT filesystem."""

    def link(*_: str) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with whole(str(tmp_path / "a"), fresh=True) as file:
        file.write(b"new")
    assert (os.listdir(tmp_path), (tmp_path / "a").read_text()) == (["a"], "new")


def test_a_link_is_followed_and_a_device_written_as_it_is(tmp_path: Path) -> None:
    """``-o /dev/null`` must not turn the device into a file, nor a link into a copy."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with whole(str(tmp_path / "link")) as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    with whole("/dev/null") as file:
        file.write(b"x")
    assert not os.path.isfile("/dev/null")
