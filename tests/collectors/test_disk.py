from pathlib import Path

import pytest

from agent.collectors.disk import Collector
from agent.errors import Unavailable
from tests.collectors.figures import figures


def devices(read: dict[str, float]) -> set[str]:
    """The devices that have figures."""
    return {name.split("'")[1] for name in read}


def test_whole_devices_only_and_idle_loops_left_out(proc: Path, sys: Path) -> None:
    """The partition and the loop device nobody uses are not there; the loop device in use is."""
    read = figures(Collector(proc=str(proc), sys=str(sys)).collect())
    assert devices(read) == {"nvme0n1", "loop1"}


def test_sectors_become_bytes_and_milliseconds_seconds(proc: Path, sys: Path) -> None:
    """Each column of the kernel's line lands in its own metric, in base units."""
    read = figures(Collector(proc=str(proc), sys=str(sys)).collect())
    assert {name.split("{")[0]: value for name, value in read.items() if "nvme0n1" in name} == {
        "disk_read_bytes_total": 1935722 * 512,
        "disk_written_bytes_total": 850032 * 512,
        "disk_reads_total": 9705,
        "disk_writes_total": 2162,
        "disk_read_time_seconds_total": 7.776,
        "disk_write_time_seconds_total": 2.649,
        "disk_io_time_seconds_total": 4.74,
        "disk_io_time_weighted_seconds_total": 11.1,
        "disk_io_now": 3,
    }


def test_an_unchanged_line_keeps_its_samples_and_a_changed_one_is_read(proc: Path, sys: Path) -> None:
    """Values follow the file, line by line."""
    collector = Collector(proc=str(proc), sys=str(sys))
    before = figures(collector.collect())
    text = (proc / "diskstats").read_text()
    (proc / "diskstats").write_text(text.replace(" 9705 ", " 9800 "))
    after = figures(collector.collect())
    assert after.pop("disk_reads_total{device='nvme0n1'}") == 9800
    assert all(before[name] == value for name, value in after.items())


def test_a_disk_that_is_pulled_stops_and_one_that_comes_back_is_seen(proc: Path, sys: Path) -> None:
    """No samples without the line, samples again with it."""
    collector = Collector(proc=str(proc), sys=str(sys))
    collector.collect()
    text = (proc / "diskstats").read_text()
    (proc / "diskstats").write_text("".join(line for line in text.splitlines(True) if "nvme0n1" not in line))
    assert devices(figures(collector.collect())) == {"loop1"}
    (proc / "diskstats").write_text(text)
    assert devices(figures(collector.collect())) == {"nvme0n1", "loop1"}


def test_names_are_cleaned_and_a_slash_is_found_in_sysfs(proc: Path, sys: Path) -> None:
    """Old RAID drivers name devices with a slash, which sysfs writes as an exclamation mark; an escape never gets through."""
    (sys / "block" / "cciss!c0d0").mkdir()
    (sys / "block" / "x\x1b[31m").mkdir()
    (proc / "diskstats").write_text("104 0 cciss/c0d0 1 0 2 3 4 5 6 7 8 9 10\n9 9 x\x1b[31m 1 0 2 3 4 5 6 7 8 9 10\n")
    assert devices(figures(Collector(proc=str(proc), sys=str(sys)).collect())) == {"cciss/c0d0", "x\ufffd[31m"}


def test_no_diskstats_is_unavailable(tmp_path: Path) -> None:
    """A host without block devices lacks the source; nothing is broken."""
    with pytest.raises(Unavailable):
        Collector(proc=str(tmp_path)).collect()
