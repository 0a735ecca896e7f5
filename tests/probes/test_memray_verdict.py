"""From sorted survivors to the verdict, the shares, and the function and line to blame."""

from __future__ import annotations

import dataclasses

import pytest

from agent.probes._memray_say import answers_of, says
from agent.probes._memray_sort import Growth
from agent.probes._memray_table import Cache, Facts, Place, Row, Table
from agent.probes._memray_verdict import Verdict, judge, mib
from agent.probes.memray import Probe
from agent.stacks import Frame

APP, LIB = "/srv/app.py", "/usr/lib/python3.12/site-packages/shop/client.py"
MAIN, HANDLE = Frame("<module>", APP, 40), Frame("handle", APP, 26)
SECONDS = 6.0
MIB = 1 << 20


def row(rate: float, *frames: Frame, kind: str = "python", flat: tuple[float, ...] = (1, 1, 1, 1), **more: object) -> Row:
    """Survivors of ``rate`` bytes per second in 200-byte blocks, spread over the quarters as ``flat`` says."""
    total = rate * SECONDS * 0.9
    size = tuple(total * part / sum(flat) for part in flat)
    made = Row(kind, (MAIN, *frames), size, tuple(part / 200 for part in size), size)
    return dataclasses.replace(made, **more)


def judged(rows: list[Row], growth: float = MIB, **more: object) -> Verdict:
    """The verdict on six seconds in which resident memory grew by ``growth`` bytes per second."""
    blocks = sum(row.blocks for row in rows)
    seen = dataclasses.replace(Facts(seconds=SECONDS, mode="pymalloc", blocks=blocks), **more)
    return judge(Table(tuple(rows), SECONDS, growth), seen)


LEAK = row(MIB, HANDLE, Frame("remember", APP, 14))


def test_a_leak_names_function_line_share_and_rate() -> None:
    """The deepest own function that owns the growth, and the line where most of it is allocated."""
    found = judged([LEAK, row(MIB / 50, HANDLE)])
    culprit = found.culprits["leak_share"][0]
    assert (found.word, culprit.function, culprit.file, culprit.line) == ("leak", "remember", APP, 14)
    assert found.leak_share > 0.95
    assert found.explained == pytest.approx(1.0)
    assert culprit.detail == "+1.0 MiB/s"


def test_a_leak_spread_over_many_leaves_is_found_by_what_they_share() -> None:
    """A server's leak lies in a dozen stacks, none with a large share: only the sum below their function is."""
    leaves = [row(MIB / 12, HANDLE, Frame("open", APP, 10), Frame(f"part_{n}", LIB, n)) for n in range(12)]
    found = judged(leaves)
    assert found.culprits["leak_share"][0].function == "open"
    assert found.leak_share == pytest.approx(1.0)


def test_own_code_is_named_before_the_library_it_calls() -> None:
    """The reader can change his own line; the library's is where the bytes are born."""
    found = judged([row(MIB, HANDLE, Frame("send", LIB, 90))])
    assert found.culprits["leak_share"][0].function == "handle"


def test_a_leak_inside_an_installed_package_names_the_package() -> None:
    """Without any own frame the package's function is named."""
    lib = dataclasses.replace(LEAK, frames=(Frame("run", LIB, 5), Frame("send", LIB, 90)))
    assert judged([lib]).culprits["leak_share"][0].function == "send"


def test_renaming_everything_changes_nothing_but_the_names() -> None:
    """Rules know the standard library's names only."""
    other = dataclasses.replace(LEAK, frames=tuple(Frame("x" + f.function, "/opt/y.py", f.line) for f in LEAK.frames))
    before, after = judged([LEAK]), judged([other])
    assert (before.word, before.leak_share) == (after.word, after.leak_share)


def test_a_leak_beside_a_larger_cache_is_still_a_leak() -> None:
    """What never ends matters more than what will."""
    cache = Cache(Place("look_up", APP, 6, 0), 100, 500, 9000)
    found = judged([LEAK, row(MIB * 1.1, Frame("look_up", APP, 7))], growth=2 * MIB, caches=(cache,))
    assert found.word == "leak"
    assert found.shares[Growth.CACHE] > 0.5


def test_a_filling_cache_says_how_full_it_is() -> None:
    """Its bound and its entries come from its own counters."""
    found = judged([LEAK], caches=(Cache(Place("remember", APP, 13, 0), 100, 700, 9000),))
    assert found.word == "cache-filling"
    assert "700 of 9000 entries" in found.culprits["cache_share"][0].detail


def test_growth_without_survivors_is_the_allocators() -> None:
    """Resident memory grew, nothing that was tracked stayed, the C heap hands out no more than before."""
    assert judged([], heap=0.0, growth=2 * MIB).word == "retention"


def test_growth_of_the_c_heap_that_nobody_saw_is_native() -> None:
    """Calls through ctypes bypass the tracker; the allocator's own count does not."""
    user = (Place("scale", APP, 17, 1), "None")
    found = judged([], heap=MIB * SECONDS, growth=MIB, foreign=(user,))
    assert found.word == "native"
    assert [c.kind for c in found.culprits["native_share"]] == ["code", "library"]
    assert found.culprits["native_share"][0].function == "scale"
    assert found.culprits["native_share"][1].name == "libc.so.6"


def test_the_trackers_own_memory_is_not_called_native() -> None:
    """A part of the heap's growth is ours."""
    assert judged([LEAK], heap=0.2 * MIB * SECONDS).shares.get(Growth.NATIVE, 0.0) == 0.0


def test_heap_taken_by_new_threads_belongs_to_them() -> None:
    """Each has an arena of its own."""
    start = row(3000, Frame("dispatch", APP, 22), Frame("start", "/usr/lib/python3.12/threading.py", 99))
    found = judged([start], heap=MIB * SECONDS, threads=60)
    assert found.shares[Growth.THREAD] == pytest.approx(1.0)
    assert found.culprits["thread_share"][0].line == 22


def test_unsharing_pages_is_copy_on_write() -> None:
    """A forked worker's private pages grow as its shared ones shrink."""
    assert judged([], private=8.0 * MIB, shared=-7.5 * MIB, growth=MIB).word == "copy-on-write"


def test_things_in_flight_are_nothing_to_blame() -> None:
    """Only the youngest are alive, as many were born before."""
    queue = row(MIB, Frame("enqueue", APP, 9), flat=(0, 0, 0, 1), born=(4e6, 4e6, 4e6, 4e6))
    found = judged([queue], growth=0.0)
    assert (found.word, found.leak_share, found.in_flight_share) == ("in-flight", 0.0, 1.0)


def test_a_trickle_is_not_worth_a_verdict() -> None:
    """A few kilobytes a second in a healthy service."""
    assert judged([row(3000, HANDLE)], growth=0.0).word == "none"


def test_arenas_alone_do_not_settle_who_leaks() -> None:
    """In default mode small objects show as arenas, which name whoever came by when one was full."""
    arenas = row(MIB, HANDLE, kind="mapped", count=(2, 2, 2, 2))
    blocks = row(MIB, HANDLE, kind="malloc", count=(50, 50, 50, 50))
    assert not judged([arenas], mode="default", blocks=30000).settled
    assert judged([blocks], mode="default", blocks=30000).settled


def test_tasks_name_their_creator_first_and_what_they_run_next() -> None:
    """Where the task is set going is the line to mend."""
    rows = [
        row(MIB, Frame("publish", APP, 26), Frame("create_task", "/usr/lib/python3.12/asyncio/tasks.py", 420)),
        row(MIB, Frame("deliver", APP, 17)),
    ]
    found = judged(rows, growth=2 * MIB, tasks=700, coroutines=(Place("deliver", APP, 16, 700),))
    named = [(c.function, c.line) for c in found.culprits["task_share"]]
    assert named == [("publish", 26), ("deliver", 16)]
    assert found.task_growth == pytest.approx(700 / SECONDS)


def test_every_declared_answer_is_given_and_explained() -> None:
    """Rules may use any of them."""
    found = judged([LEAK])
    declared = {metric.name for metric in Probe.answers}
    assert set(answers_of(found)) == declared
    words = says(found, Facts(SECONDS, "pymalloc"), pause_s=0.2)
    assert set(words) <= declared
    assert "remember (/srv/app.py:14)" in words["leak_share"]
    assert "held still 0.20 s" in words["verdict"]


def test_rates_read_as_people_write_them() -> None:
    """Mebibytes from one up, kibibytes below."""
    assert [mib(3.1 * MIB), mib(40 * 1024)] == ["+3.1 MiB", "+40 KiB"]
