"""threads: kernel states over three seconds as shares."""

from __future__ import annotations

from agent.host.procs import Thread
from agent.host.threads import Look, WaitKind
from agent.host.tools import ProbeTools
from agent.model import Target
from agent.probes.threads import Probe, Watch, disk, judge

KEY = (5, 5)


def counters(voluntary: int = 0, delay: float = 0.0) -> dict[tuple[int, int], Thread]:
    """One thread's counters."""
    return {KEY: Thread(5, "loader", "S", 0.0, delay, voluntary, 0)}


def watch(*looks: Look, wakes: int = 0, delay: float = 0.0) -> Watch:
    """Two seconds of one thread."""
    return Watch(2.0, {KEY: looks}, counters(), counters(wakes, delay))


def test_a_thread_in_the_disk_is_named_with_the_kernels_function() -> None:
    """Three looks of four in D, in the page lock."""
    blocked = Look(5, "D", "folio_wait_bit_common", WaitKind.IO)
    found = judge(watch(blocked, blocked, blocked, Look(5, "R", "", WaitKind.NONE)))
    assert (found.answers["disk_wait_share"], found.answers["running_share"]) == (0.75, 0.25)
    assert "folio_wait_bit_common" in found.culprits["disk_wait_share"][0].detail


def test_a_network_file_system_counts_as_disk_even_when_it_can_be_interrupted() -> None:
    """An NFS wait in state S is told by its function."""
    assert disk(Look(5, "S", "rpc_wait_bit_killable", WaitKind.OTHER))
    assert not disk(Look(5, "S", "futex_do_wait", WaitKind.FUTEX))


def test_contending_threads_wake_often_to_wait_again() -> None:
    """Mostly in a futex and 100 wakes a second: contending; the same without wakes: idle."""
    waiting = Look(5, "S", "futex_do_wait", WaitKind.FUTEX)
    assert judge(watch(waiting, waiting, wakes=200)).answers["threads_contending"] == 1.0
    idle = judge(watch(waiting, waiting))
    assert (idle.answers["threads_contending"], idle.answers["futex_share"]) == (0.0, 1.0)


def test_run_delay_is_the_worst_threads_share_of_the_wall() -> None:
    """One of two seconds ready without a CPU."""
    assert judge(watch(Look(5, "R", "", WaitKind.NONE), delay=1.0)).answers["runqueue_share"] == 0.5


def test_nothing_seen_is_unknown() -> None:
    """No look at any thread leaves every answer unknown."""
    assert set(judge(Watch(1.0, {}, {})).answers.values()) == {None}


async def test_a_vanished_process_is_a_reason(tools: ProbeTools) -> None:
    """No exception for a pid that is gone."""
    evidence = await Probe().look(Target("process", pid=2**22 - 3), tools)
    assert "no process" in evidence.because
