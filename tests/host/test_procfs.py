import os
from pathlib import Path

import pytest

from agent.host.procfs import KeptFile, read_once


def test_a_kept_file_is_read_anew_each_time(tmp_path: Path) -> None:
    """The descriptor stays, the content is today's."""
    path = tmp_path / "f"
    path.write_text("one")
    kept = KeptFile(str(path))
    assert kept.read() == b"one"
    path.write_text("two")
    assert kept.read() == b"two"
    kept.close()


def test_a_file_larger_than_the_buffer_is_whole(tmp_path: Path) -> None:
    """The buffer grows and stays grown."""
    path = tmp_path / "f"
    path.write_bytes(bytes(range(256)) * 100)
    kept = KeptFile(str(path), 64)
    assert kept.read() == kept.read() == path.read_bytes()


def test_a_kernel_file_of_several_pages_is_whole() -> None:
    """Files of many records hand out one page a read, however large the buffer: what lies behind must not be lost."""
    text = KeptFile("/proc/self/maps", 1 << 20).read()
    assert len(text) > 2 * 4096
    assert b"[stack]" in text
    assert text.endswith(b"\n")


def test_a_file_that_is_not_there_can_come_later(tmp_path: Path) -> None:
    """The error is the kernel's; nothing is kept of it."""
    kept = KeptFile(str(tmp_path / "late"))
    with pytest.raises(FileNotFoundError):
        kept.read()
    (tmp_path / "late").write_text("here")
    assert kept.read() == b"here"


def test_a_kept_file_gives_its_descriptor_back() -> None:
    """Closing, or forgetting the object, frees it."""
    before = len(os.listdir("/proc/self/fd"))
    kept = KeptFile("/proc/self/stat")
    kept.read()
    del kept
    assert len(os.listdir("/proc/self/fd")) == before


def test_reading_once_stops_at_the_limit(tmp_path: Path) -> None:
    """A file without an end cannot fill the memory."""
    (tmp_path / "f").write_bytes(b"x" * 1000)
    assert len(read_once(str(tmp_path / "f"), 100)) == 100
