"""What the process collector brings of one process and its tree, on made-up processes."""

from pathlib import Path

import pytest

from agent.collectors._board import Board
from agent.collectors.processes import Collector
from agent.errors import Unavailable
from agent.model import ENTITY_ENDED
from tests.collectors.processes_bench import MIB, Bench, bench
from tests.fakes.proctree import BOOT

__all__ = ["bench"]


def test_a_large_process_has_all_its_figures(bench: Bench) -> None:
    """Sizes in bytes, times in seconds, from status, io, schedstat, limits and the descriptors' folder."""
    bench.tree.put(50, rss=100 * MIB, swap=8, cpu=250, read=4096, threads=3, state="D", fds=5, nice=10)
    got = bench.tick()
    told = {name.split("{")[0]: value for name, value in got.items() if "pid='50'" in name}
    assert told["process_cpu_seconds_total"] == 2.5
    assert told["process_resident_bytes"] == 100 * MIB * 1024
    assert told["process_anonymous_bytes"] == 50 * MIB * 1024
    assert told["process_swap_bytes"] == 8192
    assert told["process_threads"] == 3
    assert told["process_read_bytes_total"] == 4096
    assert told["process_run_delay_seconds_total"] == 0.005
    assert told["process_blocked"] == 1
    assert told["process_fd_limit"] == 1024
    assert told["process_open_fds"] == 5
    assert told["process_start_time_seconds"] == BOOT + 10
    assert {m.name for m in Collector.metrics if "pid" in m.labels} == told.keys()


def test_who_stands_back_for_others_is_told_and_who_no_longer_does(bench: Bench) -> None:
    """A nice value above 0, or SCHED_IDLE, whatever the name looks like; most processes have no such series."""
    bench.tree.put(50, rss=100 * MIB, nice=19, name="backup 1) 5")
    bench.tree.put(51, rss=100 * MIB, policy=5)
    bench.tree.put(52, rss=100 * MIB, nice=-5)
    got = bench.tick()
    assert (got["process_nice{pid='50'}"], got["process_nice{pid='51'}"]) == (19, 20)
    assert "process_nice{pid='52'}" not in got
    bench.tree.put(50, nice=0)
    assert bench.tick(4)["process_nice{pid='50'}"] == 0


def test_a_single_change_is_looked_at_closely_within_four_ticks(bench: Bench) -> None:
    """Status and the like are read every few ticks, yet a change that is followed by quiet is not forgotten."""
    for pid in range(50, 58):
        bench.tree.put(pid, rss=100 * MIB)
    bench.tick(6)
    for pid in range(50, 58):
        bench.tree.put(pid, rss=200 * MIB)
    got = bench.tick(4)
    seen = {got[f"process_anonymous_bytes{{pid='{pid}'}}"] for pid in range(50, 58)}
    assert seen == {100 * MIB * 1024}


def test_who_the_process_is_is_told(bench: Bench) -> None:
    """The labels of process_info come from the stat line, the cgroup path and the folder's owner."""
    bench.tree.put(50, rss=100 * MIB, cgroup="/system.slice/vllm.service")
    bench.tick()
    assert bench.info["50"] | {"user": ""} == {
        "pid": "50",
        "comm": "python3",
        "subject": "50",
        "cgroup": "/system.slice/vllm.service",
        "unit": "vllm.service",
        "container": "",
        "job": "",
        "user": "",
    }


def test_of_a_quiet_process_nothing_has_moved(bench: Bench) -> None:
    """What has not moved costs nothing: the same figures are handed out, with nothing in them for the store to look at."""
    bench.tree.put(50, rss=100 * MIB)
    bench.tick()
    first = bench.brought
    for board in first:
        assert isinstance(board, Board)
        board.moved.clear()  # the store has looked
    bench.tick()
    assert bench.brought == first
    assert not any(board.moved for board in bench.brought if isinstance(board, Board))


def test_the_tree_is_summed_over_all_of_it(bench: Bench) -> None:
    """Workers count for the root of their tree, and for themselves as members."""
    bench.tree.put(50, session=50, rss=100 * MIB)
    for pid in (51, 52):
        bench.tree.put(pid, ppid=50, session=50, rss=30 * MIB, threads=2, fds=4, cpu=100)
    got = bench.tick(6)
    assert bench.roots == {"50"}
    assert got["process_tree_resident_bytes{pid='50'}"] == 160 * MIB * 1024
    assert got["process_tree_processes{pid='50'}"] == 3
    assert got["process_tree_threads{pid='50'}"] == 5
    assert got["process_tree_open_fds{pid='50'}"] == 11
    assert got["process_tree_cpu_seconds_total{pid='50'}"] == 2
    assert bench.info["51"]["subject"] == "50"
    assert got["process_children{pid='50'}"] == 2


def test_a_worker_stands_for_its_whole_program(bench: Bench) -> None:
    """The tree begins at the topmost program of the session, below shells and supervisors."""
    bench.tree.put(40, name="bash", session=40, rss=MIB)
    bench.tree.put(50, ppid=40, session=40, rss=MIB, name="gunicorn")
    bench.tree.put(51, ppid=50, session=40, rss=500 * MIB, name="gunicorn")
    bench.tick()
    assert bench.roots == {"50"}


def test_tree_time_never_falls(bench: Bench) -> None:
    """A worker that ends takes nothing away, and its time is not counted again when its parent has waited for it."""
    bench.tree.put(50, session=50, rss=100 * MIB, cpu=100)
    bench.tree.put(51, ppid=50, session=50, rss=10 * MIB, cpu=400)
    assert bench.tick(6)["process_tree_cpu_seconds_total{pid='50'}"] == 5
    bench.tree.end(51)
    assert bench.tick()["process_tree_cpu_seconds_total{pid='50'}"] == 5
    bench.tree.put(50, reaped=400, cpu=150)
    assert bench.tick()["process_tree_cpu_seconds_total{pid='50'}"] == 5.5


def test_children_too_short_lived_to_be_seen_count(bench: Bench) -> None:
    """A parent that waits for a child nobody saw brings the child's time into the tree."""
    bench.tree.put(50, session=50, rss=100 * MIB)
    bench.tick()
    bench.tree.put(50, reaped=300)
    assert bench.tick()["process_tree_cpu_seconds_total{pid='50'}"] == 3


def test_a_worker_born_into_the_tree_counts_from_its_birth(bench: Bench) -> None:
    """Its first second is not lost, and it is told of as an event."""
    bench.tree.put(50, session=50, rss=100 * MIB)
    bench.tick(2)
    bench.tree.put(51, ppid=50, session=50, cpu=30)
    got = bench.tick()
    assert got["process_tree_cpu_seconds_total{pid='50'}"] == 0.3
    assert bench.events == [("process_started", {"pid": "51"})]


def test_zombie_children_are_counted_for_their_parent(bench: Bench) -> None:
    """Unreaped children show with the parent, and in the host's figures."""
    bench.tree.put(50, session=50, rss=100 * MIB)
    for pid in (51, 52):
        bench.tree.put(pid, ppid=50, session=50, state="Z", rss=0)
    got = bench.tick()
    assert got["process_zombie_children{pid='50'}"] == 2
    assert got["host_processes_zombie"] == 2
    assert got["host_processes"] == 5


def test_an_ended_process_closes_its_series_once(bench: Bench) -> None:
    """The event comes in the tick that notices, and the process brings nothing any more."""
    bench.tree.put(50, rss=100 * MIB)
    bench.tick()
    bench.tree.end(50)
    got = bench.tick()
    assert bench.events == [(ENTITY_ENDED, {"pid": "50"})]
    assert not any("pid='50'" in name for name in got)
    bench.tick()
    assert bench.events == []


def test_a_process_without_series_ends_without_a_word(bench: Bench) -> None:
    """Events are about what the store knows."""
    bench.tree.put(50, rss=MIB)
    bench.tick()
    bench.tree.end(50)
    bench.tick()
    assert bench.events == []


def test_a_reused_pid_is_a_new_process(bench: Bench) -> None:
    """The old one ends before the new one brings its first figure, and no counter is carried over."""
    bench.tree.put(50, session=50, rss=100 * MIB, cpu=900)
    bench.tick(2)
    bench.tree.put(50, start=5000, cpu=10, name="other")
    bench.collector.pin([50])
    got = bench.tick()
    assert bench.events[0] == (ENTITY_ENDED, {"pid": "50"})
    assert got["process_cpu_seconds_total{pid='50'}"] == 0.1
    assert got["process_tree_cpu_seconds_total{pid='50'}"] == 0.1
    assert got["process_start_time_seconds{pid='50'}"] == BOOT + 50
    assert bench.info["50"]["comm"] == "other"


def test_another_program_in_the_same_process_is_renamed(bench: Bench) -> None:
    """After exec the same process has a new name; its series go on."""
    bench.tree.put(50, rss=100 * MIB, name="sh")
    bench.tick()
    bench.tree.put(50, name="python3")
    bench.tick()
    assert bench.info["50"]["comm"] == "python3"
    assert bench.events == []


def test_no_process_file_system_is_said(tmp_path: Path) -> None:
    """Without /proc the collector is absent, not broken."""
    with pytest.raises(Unavailable, match="cannot be read"):
        list(Collector(proc=str(tmp_path / "none")).collect())
