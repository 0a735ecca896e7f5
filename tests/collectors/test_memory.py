from pathlib import Path

from agent.collectors.memory import PAGE, Collector, parse_meminfo, parse_vmstat
from tests.collectors.figures import figures


def test_levels_are_bytes(proc: Path) -> None:
    """The kernel's kB become bytes, and Cached is not mistaken for SwapCached nor Writeback for WritebackTmp."""
    read = figures(Collector(proc=str(proc)).collect())
    assert read["host_memory_total_bytes"] == 24684092 * 1024
    assert read["host_memory_cached_bytes"] == 210684 * 1024
    assert read["host_memory_writeback_bytes"] == 4 * 1024
    assert read["host_swap_free_bytes"] == 2000000 * 1024


def test_counters_of_hard_work(proc: Path) -> None:
    """Swapped pages are bytes, refaults of both kinds are one sum, and scanned is not mistaken for throttled."""
    read = figures(Collector(proc=str(proc)).collect())
    assert read["host_swap_in_bytes_total"] == 3 * PAGE
    assert read["host_workingset_refaults_total"] == 314027
    assert read["host_direct_reclaim_pages_total"] == 66
    assert read["host_oom_kills_total"] == 2


def test_older_kernels_have_one_kind_of_refault_and_no_oom_count() -> None:
    """What a kernel does not count is left out, never 0."""
    read = parse_vmstat(b"nr_free_pages 5\nworkingset_refault 12\npgmajfault 1\n")
    assert read == {"host_page_faults_major_total": 1.0, "host_workingset_refaults_total": 12.0}


def test_a_line_that_is_missing_gives_no_value() -> None:
    """MemAvailable is unknown on very old kernels, and so it stays."""
    assert parse_meminfo(b"MemTotal:  2048 kB\nMemFree:  1024 kB\n") == {
        "host_memory_total_bytes": 2048 * 1024,
        "host_memory_free_bytes": 1024 * 1024,
    }


def test_no_vmstat_leaves_the_levels(proc: Path) -> None:
    """A container runtime may hide /proc/vmstat; memory levels are still read."""
    (proc / "vmstat").unlink()
    read = figures(Collector(proc=str(proc)).collect())
    assert "host_memory_free_bytes" in read
    assert "host_oom_kills_total" not in read
