import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.collectors.filesystem import PSEUDO, Collector, choose
from agent.host.mounts import parse_mountinfo
from tests.collectors.figures import events, figures

ROOM = os.statvfs_result((4096, 4096, 1000, 400, 300, 5000, 4000, 4000, 0, 255))


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opens at the end of the test, so that no thread hangs on."""
    opened = threading.Event()
    yield opened
    opened.set()


def collector(proc: Path, dead: str = "", gate: threading.Event | None = None) -> Collector:
    """A collector of the fixture's mounts; looking at ``dead`` hangs until the gate opens."""

    def statvfs(path: str) -> os.statvfs_result:
        if path == dead and gate is not None:
            gate.wait(10)
        return ROOM

    made = Collector(proc=str(proc), patience=0.5 if dead else 5.0)
    made.statvfs = statvfs
    return made


def test_real_places_only_each_filesystem_once(proc: Path) -> None:
    """Kernel filesystems, snap images, container overlays, automounts and bind mounts are left out; /dev/shm stays."""
    mounts = parse_mountinfo((proc / "self/mountinfo").read_bytes())
    assert [m.mountpoint for m in choose(mounts, frozenset(PSEUDO.split()))] == ["/", "/dev/shm", "/mnt/nfs", "/data one"]


def test_of_two_mounts_at_one_place_the_upper_one_counts(proc: Path) -> None:
    """The lower one cannot be reached any more."""
    mounts = parse_mountinfo((proc / "self/mountinfo").read_bytes())
    assert [m.device for m in choose(mounts, frozenset()) if m.mountpoint == "/dev/shm"] == ["0:27"]


def test_an_overlay_counts_where_it_is_the_root() -> None:
    """Inside a container the overlay is the only disk there is."""
    mounts = parse_mountinfo(b"1 0 0:61 / / rw - overlay overlay rw\n2 1 0:62 / /x rw - overlay overlay rw\n")
    assert [m.mountpoint for m in choose(mounts, frozenset(PSEUDO.split()))] == ["/"]


def test_room_is_bytes_and_inodes(proc: Path) -> None:
    """Blocks are multiplied by the fragment size."""
    read = figures(collector(proc).collect())
    assert {name.split("{")[0]: value for name, value in read.items() if "mountpoint='/'" in name} == {
        "filesystem_size_bytes": 4096000,
        "filesystem_free_bytes": 1638400,
        "filesystem_avail_bytes": 1228800,
        "filesystem_files": 5000,
        "filesystem_files_free": 4000,
        "filesystem_readonly": 0,
        "filesystem_stalled": 0,
        "filesystem_info": 1,
    }
    assert "filesystem_info{device='store:/export',fstype='nfs4',mountpoint='/mnt/nfs'}" in read


def test_a_filesystem_the_kernel_shut_down_is_read_only(proc: Path) -> None:
    """xfs writes ``shutdown``, ext4 ``emergency_ro`` or ``ro``; the mount itself still says ``rw``."""
    assert figures(collector(proc).collect())["filesystem_readonly{mountpoint='/data one'}"] == 1


def test_a_dead_server_is_reported_and_does_not_hide_the_others(proc: Path, gate: threading.Event) -> None:
    """The hanging mount is stalled, the rest have their figures, and no second call is piled on the first."""
    watcher = collector(proc, dead="/mnt/nfs", gate=gate)
    watcher.collect()
    threads = threading.active_count()
    read = figures(watcher.collect())
    assert threading.active_count() == threads
    assert read["filesystem_stalled{mountpoint='/mnt/nfs'}"] == 1
    assert "filesystem_size_bytes{mountpoint='/mnt/nfs'}" not in read
    assert read["filesystem_size_bytes{mountpoint='/data one'}"] == 4096000


def test_a_server_that_comes_back_is_asked_again(proc: Path, gate: threading.Event) -> None:
    """Once the hanging call returns, the mount is no longer stalled."""
    watcher = collector(proc, dead="/mnt/nfs", gate=gate)
    assert figures(watcher.collect())["filesystem_stalled{mountpoint='/mnt/nfs'}"] == 1
    gate.set()
    watcher.patience, late = 5.0, time.monotonic() + 20
    while (read := figures(watcher.collect()))["filesystem_stalled{mountpoint='/mnt/nfs'}"] == 1 and time.monotonic() < late:
        time.sleep(0.01)  # its thread has not come round to it yet
    assert read["filesystem_stalled{mountpoint='/mnt/nfs'}"] == 0
    assert read["filesystem_size_bytes{mountpoint='/mnt/nfs'}"] == 4096000


def test_a_remount_does_not_pile_a_second_call_on_one_that_hangs(proc: Path, gate: threading.Event) -> None:
    """New options make no new mount."""
    watcher = collector(proc, dead="/mnt/nfs", gate=gate)
    watcher.collect()
    threads = threading.active_count()
    table = proc / "self/mountinfo"
    table.write_text(table.read_text().replace("/mnt/nfs rw", "/mnt/nfs ro"))
    read = figures(watcher.collect())
    assert threading.active_count() == threads
    assert read["filesystem_readonly{mountpoint='/mnt/nfs'}"] == 1


@pytest.mark.parametrize(("number", "stalled"), [(errno.ENOTCONN, 1.0), (errno.ESTALE, 1.0), (errno.EACCES, None)])
def test_an_answer_of_the_dead_is_stalled_and_a_refusal_is_unknown(proc: Path, number: int, stalled: float | None) -> None:
    """A stale handle or a crashed FUSE process is reported; what we may not see is neither good nor bad."""

    def refuse(path: str) -> os.statvfs_result:
        raise OSError(number, os.strerror(number))

    watcher = Collector(proc=str(proc))
    watcher.statvfs = refuse
    assert figures(watcher.collect()).get("filesystem_stalled{mountpoint='/'}") == stalled


def test_an_unmount_ends_the_entity(proc: Path) -> None:
    """Somebody took it away on purpose; its alerts close as gone."""
    watcher = collector(proc)
    watcher.collect()
    table = proc / "self/mountinfo"
    table.write_text("".join(line for line in table.read_text().splitlines(True) if "nfs4" not in line))
    assert events(watcher.collect()) == [("entity_ended", {"mountpoint": "/mnt/nfs"})]


def test_hostile_mount_names_are_cleaned_for_show_and_kept_for_the_call(proc: Path) -> None:
    """Line breaks and escapes in a path never reach a page; the call gets the true path."""
    (proc / "self/mountinfo").write_bytes(b"1 0 259:9 / /a\\012b\\040\x1b[31m rw - ext4 /dev/x rw\n")
    asked: list[str] = []
    watcher = Collector(proc=str(proc))
    watcher.statvfs = lambda path: asked.append(path) or ROOM  # type: ignore[func-returns-value]
    read = figures(watcher.collect())
    assert asked == ["/a\nb \x1b[31m"]
    assert "filesystem_size_bytes{mountpoint='/a\ufffdb \ufffd[31m'}" in read


def test_the_first_process_shows_the_hosts_view(proc: Path) -> None:
    """A sandboxed service sees everything read-only; the mount table of pid 1 tells the truth."""
    (proc / "1").mkdir()
    (proc / "1/mountinfo").write_text("1 0 259:1 / / rw - ext4 /dev/x rw\n")
    (proc / "self/mountinfo").write_text("1 0 259:1 / / ro - ext4 /dev/x rw\n")
    assert figures(collector(proc).collect())["filesystem_readonly{mountpoint='/'}"] == 0
