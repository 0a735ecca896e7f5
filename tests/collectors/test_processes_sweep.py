"""The sweep alone: whom it reads when, and what it does with processes that vanish, hide, move or are too many."""

import os
import shutil
from pathlib import Path

import pytest

from agent.collectors._proc import is_thread
from agent.collectors._sweep import AGAIN, Sweep
from tests.fakes.proctree import Process, Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """One process, pid 50, beside init."""
    tree = Tree(tmp_path)
    tree.put(1, ppid=0)
    tree.put(50)
    return tree


def swept(tree: Tree, ticks: int = 1) -> Sweep:
    """A sweep that has run so often."""
    sweep = Sweep(str(tree.root))
    for _ in range(ticks):
        sweep.tick()
    return sweep


def changes(sweep: Sweep, ticks: int) -> list[list[int]]:
    """Pids seen to change, tick by tick."""
    found = []
    for _ in range(ticks):
        sweep.tick()
        found.append([p.pid for p in sweep.changed])
    return found


def test_an_awake_process_is_read_each_tick(tree: Tree) -> None:
    """One that moved less than ten ticks ago is never late."""
    sweep = swept(tree, 5)
    tree.put(50, cpu=7)
    assert changes(sweep, 2) == [[50], []]
    assert sweep.procs[50].dcpu == 7


def test_a_quiet_process_is_seen_at_most_ten_ticks_late_and_then_at_once(tree: Tree) -> None:
    """After ten still readings it is looked at every tenth tick; a change wakes it."""
    sweep = swept(tree, 15)
    tree.put(50, cpu=7)
    late = changes(sweep, 10)
    assert late.count([50]) == 1
    assert late.count([]) == 9
    tree.put(50, cpu=9)
    assert changes(sweep, 1) == [[50]]


def test_quiet_processes_are_spread_over_the_ticks(tree: Tree) -> None:
    """Whoever sleeps is read in the tick of its last digit, so that no tick reads all of them."""
    for pid in range(100, 120):
        tree.put(pid)
    sweep = swept(tree, 15)
    for pid in range(100, 120):
        tree.put(pid, cpu=1)
    assert sorted(map(len, changes(sweep, 10))) == [2] * 10


def watched(sweep: Sweep, pid: int) -> bool:
    """Whether only the process's schedstat is read."""
    return sweep.procs[pid].ran != b""


def test_a_quiet_process_of_one_thread_is_only_asked_whether_it_has_run(tree: Tree) -> None:
    """Its stat line is read again when it has, and for good when that is all that moves; a change ends that."""
    sweep = swept(tree, 25)
    assert watched(sweep, 50)
    tree.put(50)
    assert changes(sweep, 10) == [[]] * 10
    assert not watched(sweep, 50)
    changes(sweep, 30)
    assert not watched(sweep, 50)
    tree.put(50, cpu=1)
    assert changes(sweep, 10).count([50]) == 1
    changes(sweep, 12)
    assert watched(sweep, 50)


def test_other_threads_do_not_show_in_schedstat(tree: Tree) -> None:
    """So a process that has some is read as ever."""
    tree.put(50, threads=2)
    sweep = swept(tree, 25)
    assert not watched(sweep, 50)


@pytest.mark.parametrize("text", [None, "0 0 0\n"])
def test_a_kernel_that_does_not_count_runs_is_no_matter(tree: Tree, text: str | None) -> None:
    """Without schedstat, or with one that says nothing, the stat line is read."""
    tree.put(50, by_itself=False)
    schedstat = tree.root / "50" / "schedstat"
    schedstat.unlink() if text is None else schedstat.write_text(text)
    sweep = swept(tree, 25)
    (tree.root / "50" / "stat").write_text(Process(50, cpu=7).stat())
    assert changes(sweep, 10).count([50]) == 1


def test_pages_taken_from_a_process_that_never_runs_are_seen_in_the_end(tree: Tree) -> None:
    """Swapping out is not its own doing; every five minutes its stat line is read all the same."""
    sweep = swept(tree, 25)
    tree.put(50, by_itself=False, rss=4)
    assert changes(sweep, AGAIN).count([50]) == 1


def test_orphans_that_sleep_are_found(tree: Tree) -> None:
    """A process need not run to get a new parent."""
    tree.put(60, ppid=50)
    sweep = swept(tree, 25)
    tree.end(50)
    tree.put(60, by_itself=False, ppid=1)
    found = []
    for _ in range(11):
        sweep.tick()
        found += [p.pid for p in sweep.moved]
    assert found == [60]


def test_a_held_process_never_sleeps(tree: Tree) -> None:
    """What a diagnosis holds is read each tick, and may sleep again afterwards."""
    sweep = swept(tree, 15)
    sweep.hold({50})
    tree.put(50, cpu=7)
    assert changes(sweep, 1) == [[50]]
    changes(sweep, 15)
    tree.put(50, cpu=8)
    assert changes(sweep, 1) == [[50]]
    changes(sweep, 15)
    sweep.hold(())
    tree.put(50, cpu=9)
    assert changes(sweep, 10).count([50]) == 1


def test_a_vanished_folder_is_an_end(tree: Tree) -> None:
    """The next listing shows it; children and sets forget it too."""
    tree.put(51, ppid=50, state="Z")
    sweep = swept(tree)
    assert sweep.children[50] == {51}
    tree.end(51)
    sweep.tick()
    assert [p.pid for p in sweep.ended] == [51]
    assert 50 not in sweep.children
    assert sweep.zombies == set()


def test_a_process_that_vanishes_between_listing_and_reading_is_no_matter(tree: Tree) -> None:
    """A folder without files is what such a process looks like."""
    (tree.root / "60").mkdir()
    sweep = swept(tree)
    assert sweep.procs.keys() == {1, 50}


def test_another_start_time_is_another_process(tree: Tree) -> None:
    """The same pid with another start time ends one process and starts the next in the same tick."""
    sweep = swept(tree)
    old = sweep.procs[50]
    tree.put(50, start=9999, cpu=3)
    sweep.tick()
    assert sweep.ended == [old]
    assert sweep.started == [sweep.procs[50]]
    assert sweep.procs[50].dcpu == 0


def test_a_new_parent_is_told(tree: Tree) -> None:
    """An orphan moves to init's children."""
    tree.put(51, ppid=50)
    sweep = swept(tree)
    tree.put(51, ppid=1)
    sweep.tick()
    assert [p.pid for p in sweep.moved] == [51]
    assert sweep.children[1] == {50, 51}


@pytest.mark.parametrize("name", ["a) S 1 1", "new\nline", "\x1b[31mred", "(((", ")", ""])
def test_any_name_is_parsed(tree: Tree, name: str) -> None:
    """Fields count from the last parenthesis, whatever the name holds."""
    tree.put(60, name=name, cpu=12)
    assert swept(tree).procs[60].cpu == 12


@pytest.mark.parametrize("line", ["", "garbage", "60 (x) S 1", "60 (x) S a b c", ")"])
def test_a_broken_line_costs_only_that_process(tree: Tree, line: str) -> None:
    """The others are read as ever."""
    sweep = swept(tree)
    (tree.root / "60").mkdir()
    (tree.root / "60" / "stat").write_text(line)
    tree.put(50, cpu=5)
    assert changes(sweep, 1) == [[50]]
    assert 60 not in sweep.procs


def test_nothing_is_listed_while_nobody_forks(tree: Tree) -> None:
    """A process that appears without the fork counter moving is found by the next regular listing."""
    sweep = swept(tree)
    shutil.copytree(tree.root / "50", tree.root / "77")
    sweep.tick()
    assert 77 not in sweep.procs
    changes(sweep, 30)
    assert 77 in sweep.procs


def test_newcomers_beyond_the_time_slice_wait_for_the_next_tick(tree: Tree) -> None:
    """A thousand new processes do not hold up the tick; those asked for come first."""
    for pid in range(100, 140):
        tree.put(pid)
    sweep = Sweep(str(tree.root), slice_s=0.0)
    sweep.tick()
    assert len(sweep.procs) == 1
    assert not sweep.settled
    changes(sweep, 41)
    assert len(sweep.procs) == 42
    assert sweep.settled


def test_the_first_look_of_a_diagnosis_is_complete(tree: Tree) -> None:
    """With pids asked for before the first tick their trees must be whole."""
    sweep = Sweep(str(tree.root), slice_s=0.0)
    sweep.tick({50})
    assert sweep.procs.keys() == {1, 50}


def test_without_descriptors_to_spare_processes_are_still_followed(tree: Tree) -> None:
    """Stat lines are then opened for each reading, and the start time tells a reused pid."""
    sweep = Sweep(str(tree.root))
    sweep._files.most = 1
    sweep.tick()
    assert sweep._files.kept == 1
    tree.put(50, cpu=5)
    assert changes(sweep, 1) == [[50]]
    tree.put(50, start=4444)
    sweep.tick()
    assert [p.pid for p in sweep.ended] == [50]


def test_sleepers_give_their_descriptors_back_when_they_are_scarce(tree: Tree) -> None:
    """Only those who move keep theirs."""
    sweep = Sweep(str(tree.root))
    sweep._files.most = 2
    for second in range(15):
        tree.put(50, cpu=second)
        sweep.tick()
    assert sweep.procs[50].fd >= 0
    assert sweep.procs[1].fd < 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_process_closed_to_us_is_counted_only(tree: Tree) -> None:
    """With hidepid its files are refused; it is no error and not asked for again and again."""
    (tree.root / "50" / "stat").chmod(0)
    sweep = swept(tree, 3)
    assert 50 not in sweep.procs
    assert len(sweep) == 2


def test_a_thread_is_told_from_a_process_by_its_exit_signal() -> None:
    """/proc/TID can be opened although it is not listed."""
    line = b"60 (x) S 1" + b" 0" * 33 + b" %d" + b" 0" * 14
    assert is_thread(line % -1)
    assert not is_thread(line % 17)
