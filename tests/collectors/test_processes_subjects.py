"""Which processes become subjects, how long they stay, and what a diagnosis may force; on made-up processes."""

import os
import random
import time
from pathlib import Path

import pytest

from agent.model import ENTITY_ENDED
from tests.collectors.processes_bench import MIB, Bench, bench

__all__ = ["bench"]


def test_idle_small_processes_are_no_subjects(bench: Bench) -> None:
    """On a calm host with small processes there is nothing to look at closely."""
    bench.tree.put(50, rss=2 * MIB)
    bench.tick(12)
    assert bench.roots == set()


def test_kernel_threads_and_init_are_never_chosen(bench: Bench) -> None:
    """A busy kernel thread shows in the host's figures; the tree of init would be the whole host."""
    bench.tree.put(1, rss=900 * MIB)
    bench.tree.put(60, ppid=2, flags=0x200000, name="kswapd0")
    for second in range(12):
        bench.tree.put(60, cpu=second * 100)
        bench.tick()
    assert bench.roots == set()


def test_pid_1_of_a_container_may_be_chosen(bench: Bench) -> None:
    """Where no kernel thread is seen, pid 1 is the program itself."""
    bench.tree.end(2)
    bench.tree.put(1, name="vllm", rss=900 * MIB)
    bench.tick()
    assert bench.roots == {"1"}


def test_a_busy_process_is_chosen_for_its_time(bench: Bench) -> None:
    """Half a core is enough, however small the process."""
    bench.tree.put(50, rss=MIB)
    for second in range(12):
        bench.tree.put(50, cpu=second * 50)
        bench.tick()
    assert bench.roots == {"50"}


def test_threads_that_stop_working_are_chosen_until_they_have_been_idle_for_long(tmp_path: Path) -> None:
    """Some of them, the latest first; one of few threads, or that never worked, is idle and no more."""
    bench = Bench(tmp_path)
    for pid in range(50, 56):
        bench.tree.put(pid, threads=5, cpu=0, rss=MIB)
    bench.tree.put(60, threads=2, cpu=4, rss=MIB)
    bench.tree.put(61, threads=5, cpu=0, rss=MIB)
    for pid in range(50, 56):
        bench.tree.put(pid, threads=5, cpu=4, rss=MIB)
        bench.tick(3)
    bench.tick(90)
    assert {"54", "55"} <= bench.roots <= {"50", "51", "52", "53", "54", "55"}
    bench.tick(700)
    assert bench.roots == set()


def test_a_growing_process_is_chosen_before_it_is_large(tmp_path: Path) -> None:
    """Growth is seen over half a minute, although eight others are larger."""
    bench = Bench(tmp_path)
    for pid in range(70, 80):
        bench.tree.put(pid, rss=100 * MIB)
    bench.tree.put(50, rss=MIB)
    for second in range(50):
        bench.tree.put(50, rss=MIB + second * 128)
        bench.tick()
    assert "50" in bench.roots


def test_a_process_that_reads_a_lot_is_chosen(bench: Bench) -> None:
    """Bytes from storage count, even when the processor is hardly used."""
    bench.tree.put(50, rss=MIB)
    for second in range(20):
        bench.tree.put(50, read=second * 1_000_000, cpu=second)
        bench.tick()
    assert bench.roots == {"50"}


def test_a_subject_stays_for_a_minute_and_then_goes(bench: Bench) -> None:
    """Series do not flap: it must not stand out for a minute before it is dropped, and dropping is no end."""
    bench.tree.put(50, rss=100 * MIB)
    bench.tick(10)
    bench.tree.put(50, rss=MIB)
    bench.tick(45)
    assert bench.roots == {"50"}
    bench.tick(30)
    assert bench.roots == set()
    assert bench.info == {}


def test_a_dropped_process_is_still_seen_to_end(bench: Bench) -> None:
    """The store has its series, so it is told."""
    bench.tree.put(50, rss=100 * MIB)
    bench.tick(10)
    bench.tree.put(50, rss=MIB)
    bench.tick(90)
    bench.tree.end(50)
    bench.tick()
    assert bench.events == [(ENTITY_ENDED, {"pid": "50"})]


def test_the_number_of_subjects_is_bounded(tmp_path: Path) -> None:
    """Whatever the host runs, the series stay within the stated bound."""
    bench = Bench(tmp_path, top=50, max_subjects=5, max_members=4, max_total=6)
    for pid in range(100, 120):
        bench.tree.put(pid, rss=100 * MIB)
    bench.tick(20)
    assert len(bench.roots) == 5
    assert len(bench.info) <= 6


def test_a_large_tree_gives_series_to_its_root_and_its_largest(tmp_path: Path) -> None:
    """The sums hold all of it; series of their own have the root and those that stand out."""
    bench = Bench(tmp_path, max_members=6)
    bench.tree.put(50, session=50, rss=10 * MIB)
    for pid in range(100, 120):
        bench.tree.put(pid, ppid=50, session=50, rss=pid * 200)
    got = bench.tick(10)
    assert got["process_tree_processes{pid='50'}"] == 21
    assert got["process_tree_anonymous_bytes{pid='50'}"] == (5 * MIB + sum(range(100, 120)) * 100) * 1024
    assert len(bench.info) <= 6
    assert {"50", "119", "118"} <= bench.info.keys()


@pytest.mark.parametrize("seed", range(3))
def test_sums_of_a_tree_stay_right_whatever_happens_to_it(bench: Bench, seed: int) -> None:
    """They are kept up to date by what changes; processes that come, grow, go, end and are pinned must not leave a rest behind."""
    draw, alive = random.Random(seed), [50]
    bench.tree.put(50, session=50, rss=900 * MIB)
    for pid in range(100, 160):
        what = draw.choice(("born", "born", "grow", "grow", "end", "pin", "wait"))
        others = alive[1:] or [50]
        if what == "born":
            bench.tree.put(pid, ppid=draw.choice(alive), session=50, rss=draw.randint(1, 90) * MIB, threads=draw.randint(1, 3))
            alive.append(pid)
        elif what == "grow":
            bench.tree.put(draw.choice(alive), rss=draw.randint(1, 90) * MIB, cpu=draw.randint(0, 9))
        elif what == "end" and len(alive) > 1:
            gone = draw.choice(others)
            alive.remove(gone)
            for p in [p for p in bench.tree.processes.values() if p.ppid == gone]:
                bench.tree.put(p.pid, by_itself=False, ppid=50)
            bench.tree.end(gone)
        elif what == "pin":
            bench.collector.pin(draw.sample(alive, 1))
        bench.tick(draw.randint(1, 4))
    bench.tree.put(50, rss=900 * MIB)
    got = bench.tick(25)
    made = [bench.tree.processes[pid] for pid in alive]
    assert got["process_tree_processes{pid='50'}"] == len(made)
    assert got["process_tree_resident_bytes{pid='50'}"] == sum(p.rss for p in made) * 1024
    assert got["process_tree_threads{pid='50'}"] == sum(p.threads for p in made)
    assert got["process_tree_anonymous_bytes{pid='50'}"] == sum(p.rss // 2 for p in made) * 1024
    assert got["process_tree_open_fds{pid='50'}"] == sum(p.fds for p in made)


def test_memory_of_a_tree_waits_until_all_of_it_was_read(bench: Bench) -> None:
    """Half a sum would look like growth while a large tree is read for the first time."""
    bench.tree.put(50, session=50, rss=100 * MIB)
    for pid in range(100, 180):
        bench.tree.put(pid, ppid=50, session=50, rss=MIB)
    seen = [bench.tick().get("process_tree_anonymous_bytes{pid='50'}") for _ in range(6)]
    assert {value for value in seen if value is not None} == {90 * MIB * 1024}


def test_a_pinned_process_is_a_subject_at_once(bench: Bench) -> None:
    """A diagnosis has the figures with the next tick, tree included, whatever the size."""
    bench.tree.put(50, session=50, rss=MIB)
    bench.tree.put(51, ppid=50, session=50, rss=MIB)
    bench.collector.pin([50])
    got = bench.tick()
    assert got["process_tree_processes{pid='50'}"] == 2
    assert bench.info.keys() == {"50", "51"}


def test_a_pinned_worker_is_a_subject_inside_another(bench: Bench) -> None:
    """Both have their sums; the outer one's still hold all of it."""
    bench.tree.put(50, session=50, rss=100 * MIB)
    bench.tree.put(51, ppid=50, session=50, rss=10 * MIB)
    bench.tree.put(52, ppid=51, session=50, rss=10 * MIB)
    bench.tick()
    bench.collector.pin([51])
    got = bench.tick()
    assert got["process_tree_processes{pid='50'}"] == 3
    assert got["process_tree_processes{pid='51'}"] == 2
    assert bench.info["52"]["subject"] == "51"


def test_two_diagnoses_do_not_undo_each_other(bench: Bench) -> None:
    """Each lets go of its own pins only, and what is let go stays a while as an ordinary subject."""
    for pid in (50, 60):
        bench.tree.put(pid, rss=MIB)
    bench.collector.pin([50], by="a")
    bench.collector.pin([60], by="b")
    bench.tick()
    bench.collector.pin([], by="a")
    bench.tick(100)
    assert bench.roots == {"60"}


def test_a_pinned_quiet_process_is_read_each_tick(bench: Bench) -> None:
    """Even after it has slept for long, a change shows in the very next tick."""
    bench.tree.put(50, rss=MIB)
    bench.collector.pin([50])
    bench.tick(25)
    bench.tree.put(50, cpu=100)
    assert bench.tick()["process_cpu_seconds_total{pid='50'}"] == 1


def test_favoured_processes_are_subjects_while_they_are_named(bench: Bench) -> None:
    """Another source, such as the one for GPUs, tells which processes matter."""
    bench.tree.put(50, rss=MIB)
    bench.collector.favour([50])
    bench.tick()
    assert bench.roots == {"50"}
    bench.collector.favour([])
    bench.tick(80)
    assert bench.roots == set()


@pytest.mark.parametrize("pattern", ["unit:trainer", "unit:train*.service", "cgroup:/system.slice", "cgroup:/*/trainer.service"])
def test_a_match_by_unit_or_cgroup_makes_a_subject(tmp_path: Path, pattern: str) -> None:
    """The topmost matching process is the root."""
    bench = Bench(tmp_path, match=(pattern,))
    bench.tree.put(1, cgroup="/init.scope")
    bench.tree.put(50, rss=MIB, cgroup="/system.slice/trainer.service")
    bench.tree.put(51, ppid=50, rss=MIB, cgroup="/system.slice/trainer.service")
    bench.tree.put(60, rss=MIB, cgroup="/user.slice/x.scope")
    bench.tick()
    assert bench.roots == {"50"}


def test_a_match_by_command_line_makes_a_subject(tmp_path: Path) -> None:
    """The command line is read aside, so it may take a tick or a few."""
    bench = Bench(tmp_path, match=("train.py --lr",))
    bench.tree.put(50, rss=MIB, command="python3 train.py --lr 1e-4")
    bench.tree.put(60, rss=MIB, command="python3 serve.py")
    for _ in range(200):
        bench.tick()
        if bench.roots:
            break
        time.sleep(0.01)
    assert bench.roots == {"50"}


def test_a_command_line_that_never_comes_stalls_nobody(tmp_path: Path) -> None:
    """Reading it can hang with its process; the sweep goes on and others' command lines still come."""
    bench = Bench(tmp_path, match=("train.py",))
    bench.tree.put(50, rss=MIB)
    bench.tree.put(60, rss=MIB, command="python3 train.py")
    hung = tmp_path / "50" / "cmdline"
    hung.unlink()
    os.mkfifo(hung)  # opening it waits for a writer: as good as a lock that is never given back
    for _ in range(400):
        bench.tick()
        if bench.roots:
            break
        time.sleep(0.005)
    assert bench.roots == {"60"}
    for _ in range(4):  # let whoever waits go
        os.close(os.open(hung, os.O_RDWR | os.O_NONBLOCK))


def test_the_agent_is_no_subject_of_its_own(tmp_path: Path) -> None:
    """Unless asked for, the largest process of all is left alone if it is the agent, and so is no part of its parent's tree."""
    bench = Bench(tmp_path)
    bench.tree.put(os.getpid(), ppid=50, session=50, rss=900 * MIB)
    bench.tree.put(50, session=50, rss=100 * MIB)
    bench.tick()
    assert bench.roots == {"50"}
    assert bench.info.keys() == {"50"}


def test_workers_whose_root_has_ended_are_subjects_again_by_themselves(bench: Bench) -> None:
    """Their old subject ends at once; what they do next decides."""
    bench.tree.put(50, session=50, rss=100 * MIB)
    bench.tree.put(51, ppid=50, session=50, rss=90 * MIB)
    bench.tick(10)
    bench.tree.end(50)
    bench.tree.put(51, ppid=1)
    bench.tick()
    assert bench.events == [(ENTITY_ENDED, {"pid": "50"})]
    assert bench.roots == set()
    bench.tick(5)
    assert bench.roots == {"51"}
    assert bench.info["51"]["subject"] == "51"
