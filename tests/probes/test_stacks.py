"""stacks: queues on locks, deadlocks and hangs are told from pools, queues and servers with nothing to do."""

from __future__ import annotations

import pytest

from agent.host.procs import Thread
from agent.host.threads import Look, WaitKind
from agent.host.tools import ProbeTools
from agent.model import Target
from agent.probes._locks import Picture, Shot, cycle, holders
from agent.probes._source import Source, analyse
from agent.probes.stacks import Probe, judge
from agent.stacks import Frame, ThreadDump
from tests.probes.conftest import Start

APP = "/srv/app/a.py"
SOURCE = analyse(
    b"""
def save(self):
    with self.lock:
        write()

def work(self):
    with self.lock:
        self.n += 1

def both(self):
    with self.first:
        self.second.acquire()
        try:
            pass
        finally:
            self.second.release()

def back(self):
    with self.second:
        with self.first:
            pass
"""
)


def thread(tid: int, function: str, line: int, file: str = APP) -> ThreadDump:
    """A thread whose innermost frame stands on that line."""
    return ThreadDump(
        tid, f"t{tid}", False, False, (Frame("run", "/usr/lib/python3.11/threading.py", 982), Frame(function, file, line))
    )


def shot(time: float, *threads: tuple[ThreadDump, WaitKind, int], switches: int = 0) -> Shot:
    """One moment; ``switches`` is what every thread's counter shows."""
    looks = {dump.tid: Look(dump.tid, "S", "", kind, address) for dump, kind, address in threads}
    kernel = {dump.tid: Thread(dump.tid, dump.name, "S", 1.0, 0.0, switches, 0) for dump, _, _ in threads}
    return Shot(time, tuple(dump for dump, _, _ in threads), looks, kernel)


def picture(*shots: Shot, source: Source | None = SOURCE) -> Picture:
    """The shots with one source behind every file."""
    return Picture(shots, lambda file: source)


def test_the_syntax_tells_where_a_lock_is_taken_and_held() -> None:
    """With blocks and acquire/release pairs alike, each in its own function."""
    assert SOURCE is not None
    assert SOURCE.wanted(7) == ("self.lock",)
    assert SOURCE.wanted(4) == ()
    assert [region.lock for region in SOURCE.held(4)] == ["self.lock"]
    assert [region.lock for region in SOURCE.held(14)] == ["self.first", "self.second"]
    assert [region.lock for region in SOURCE.held(12, waiting=True)] == ["self.first"]
    assert SOURCE.held(7, waiting=True) == ()


def test_text_that_is_no_python_has_no_locks_known() -> None:
    """A newer or broken syntax is unknown, not empty."""
    assert analyse(b"def f(:") is None
    assert analyse(b"\x00") is None


def test_a_queue_names_the_holder_not_the_waiters() -> None:
    """Threads that wait on one futex, and the one that sleeps inside the region of the same lock."""
    queue = [(thread(tid, "work", 7), WaitKind.FUTEX, 0xA) for tid in (1, 2, 3)]
    holder = (thread(9, "save", 4), WaitKind.SLEEP, 0)
    seen = picture(shot(0, *queue, holder, switches=1), shot(1, *queue, holder, switches=20))
    assert [len(waiters) for waiters in seen.waiters] == [3, 3]
    (held, share), *_ = holders(seen)
    assert (held.frame.function, held.region.lock, share) == ("save", "self.lock", 1.0)


def test_waiters_for_the_interpreter_lock_are_no_queue() -> None:
    """A timed futex with two hundred wakes a second is the interpreter lock, wherever the line stands."""
    queue = [(thread(tid, "work", 7), WaitKind.TIMED, 0xA) for tid in (1, 2)]
    seen = picture(shot(0, *queue, switches=0), shot(1, *queue, switches=190))
    assert seen.waiters == [[], []]


def test_threads_that_wait_for_work_are_no_queue() -> None:
    """A futex below the standard library, or on an own line that takes no lock, is idleness."""
    idle = (thread(1, "wait", 327, "/usr/lib/python3.11/threading.py"), WaitKind.FUTEX, 0xA)
    getter = (thread(2, "save", 4), WaitKind.FUTEX, 0xB)
    seen = picture(shot(0, idle, getter), shot(1, idle, getter))
    assert seen.waiters == [[], []]


def test_two_threads_that_hold_what_the_other_wants_are_a_deadlock() -> None:
    """Frozen, each inside one region, at different futexes."""
    pair = [(thread(1, "both", 12), WaitKind.FUTEX, 0xA), (thread(2, "back", 20), WaitKind.FUTEX, 0xB)]
    assert {w.thread for w in cycle(picture(shot(0, *pair), shot(1, *pair)))} == {"t1", "t2"}


def test_a_slow_holder_is_no_deadlock() -> None:
    """Threads that hold one lock each and all wait on one futex get their turn."""
    same = [(thread(1, "both", 12), WaitKind.FUTEX, 0xA), (thread(2, "both", 12), WaitKind.FUTEX, 0xA)]
    assert cycle(picture(shot(0, *same), shot(1, *same))) == []


def test_waiters_that_switch_between_the_shots_are_no_deadlock() -> None:
    """A circle that moves is none."""
    pair = [(thread(1, "both", 12), WaitKind.FUTEX, 0xA), (thread(2, "back", 20), WaitKind.FUTEX, 0xB)]
    assert cycle(picture(shot(0, *pair, switches=1), shot(1, *pair, switches=2))) == []


def test_without_the_source_waiting_is_unknown() -> None:
    """Own code that sleeps in a futex and cannot be read: no guess."""
    queue = [(thread(tid, "work", 7, "/nowhere/gone.py"), WaitKind.FUTEX, 0xA) for tid in (1, 2)]
    found = judge(1, [shot(0, *queue), shot(1, *queue)])
    assert (found.answers["lock_waiters"], found.answers["hold_and_wait"]) == (None, None)


async def test_a_program_that_is_not_python_is_refused_with_a_remedy(tools: ProbeTools) -> None:
    """A vanished pid gives a reason and a mend."""
    evidence = await Probe().look(Target("process", pid=2**22 - 3), tools)
    assert (evidence.answers, bool(evidence.because), bool(evidence.try_)) == ({}, True, True)


CONVOY = """
    import threading, time
    lock = threading.Lock()
    def save():
        with lock:
            time.sleep(0.05)
    def work():
        while True:
            with lock:
                pass
            time.sleep(0.001)
    for _ in range(5):
        threading.Thread(target=work, daemon=True).start()
    print("READY", flush=True)
    while True:
        save()
"""
DEADLOCK = """
    import threading
    a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
    def there():
        with a:
            both.wait()
            with b:
                pass
    def back():
        with b:
            both.wait()
            a.acquire()
            a.release()
    threads = [threading.Thread(target=f, name=f.__name__) for f in (there, back)]
    [t.start() for t in threads]
    print("READY", flush=True)
    threads[0].join()
"""
IDLE = """
    import queue, threading, time
    from concurrent.futures import ThreadPoolExecutor
    pool = ThreadPoolExecutor(4)
    [pool.submit(time.sleep, 0.01) for _ in range(8)]
    jobs, event, simple, lock = queue.Queue(), threading.Event(), queue.SimpleQueue(), threading.Lock()
    def take():
        jobs.get()
    def consume():
        with lock:
            simple.get()
    threads = [threading.Thread(target=f, daemon=True) for f in (take, take, event.wait, consume)]
    [t.start() for t in threads]
    print("READY", flush=True)
    threads[0].join()
"""


@pytest.mark.real
async def test_a_real_queue_on_a_lock_moves_and_names_its_holder(start: Start, tools: ProbeTools) -> None:
    """Five workers queue behind a save that sleeps under the lock; not all of them at every moment."""
    evidence = await Probe(snapshots=4, gap=0.15).look(start(CONVOY), tools)
    assert evidence.answers["lock_waiters"] >= 3  # type: ignore[operator]
    assert (evidence.answers["lock_moving"], evidence.answers["hold_and_wait"]) == (True, 0.0)
    assert evidence.culprits["lock_waiters"][0].function == "save"
    assert evidence.target_pause_s == 0


@pytest.mark.real
async def test_a_real_deadlock_names_both_frames(start: Start, tools: ProbeTools) -> None:
    """Two threads that hold one lock each and want the other's."""
    evidence = await Probe(snapshots=3, gap=0.15).look(start(DEADLOCK), tools)
    assert (evidence.answers["hold_and_wait"], evidence.answers["frozen"]) == (2.0, True)
    assert {(c.function, c.line) for c in evidence.culprits["hold_and_wait"]} == {("there", 7), ("back", 12)}


@pytest.mark.real
async def test_a_real_idle_program_has_no_waiters(start: Start, tools: ProbeTools) -> None:
    """Pools, queues, events and a main that joins wait for work, one even with a lock in its hand."""
    evidence = await Probe(snapshots=3, gap=0.15).look(start(IDLE), tools)
    assert (evidence.answers["lock_waiters"], evidence.answers["hold_and_wait"]) == (0.0, 0.0)
