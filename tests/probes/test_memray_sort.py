"""Survivors to kinds of growth: hand-made tables, each shaped like a capture that was measured."""

from __future__ import annotations

import dataclasses

import pytest

from agent.probes._memray_sort import Growth, age, kinds
from agent.probes._memray_table import Cache, Facts, Place, Row, plain
from agent.stacks import Frame

APP = "/srv/app.py"
MAIN = Frame("<module>", APP, 40)
THREADING = "/usr/lib/python3.11/threading.py"
TASKS = "/usr/lib/python3.11/asyncio/tasks.py"


def row(size: tuple[float, ...], *frames: Frame, born: tuple[float, ...] | None = None, count: float = 100, **more: object) -> Row:
    """Survivors by quarter in kB below ``<module>``, ``count`` blocks in each quarter that has any."""
    made = Row(
        kind="python",
        frames=(MAIN, *frames),
        size=tuple(s * 1000 for s in size),
        count=tuple(count if s else 0 for s in size),
        born=tuple(b * 1000 for b in (born or size)),
    )
    return dataclasses.replace(made, **more)


def facts(**more: object) -> Facts:
    """Six seconds, object by object, with as many objects more as survive in a leak."""
    return dataclasses.replace(Facts(seconds=6.0, mode="pymalloc", blocks=400), **more)


LEAK = row((2400, 2440, 2430, 2430), Frame("open_session", APP, 8))


def test_as_many_survivors_from_every_quarter_are_a_leak() -> None:
    """Measured on a session dict: 2421 2441 2431 2431 kB."""
    assert kinds([LEAK], facts()) == [Growth.LEAK]


def test_fading_survivors_are_a_cache_that_fills() -> None:
    """Measured on an lru_cache: 3157 1467 681 309 kB; fewer are born in each quarter, all stay."""
    assert age([row((3157, 1467, 681, 309), Frame("look_up", APP, 6))]) is Growth.CACHE


def test_a_bounded_queue_keeps_only_the_young() -> None:
    """Of what was born in the first quarters nothing is left, though as much was allocated then."""
    queue = row((0, 0, 0, 1600), Frame("enqueue", APP, 9), born=(9000, 9000, 9000, 9000))
    assert age([queue]) is Growth.FLIGHT


def test_a_queue_that_holds_half_the_capture_is_in_flight_too() -> None:
    """Survival that rises with youth means that things go with age."""
    queue = row((0, 300, 2000, 2000), Frame("enqueue", APP, 9), born=(2000, 2000, 2000, 2000))
    assert age([queue]) is Growth.FLIGHT


def test_what_began_only_now_is_no_trend() -> None:
    """A load that started in the second half has no older survivors and had no older allocations."""
    assert age([row((0, 0, 900, 900), Frame("load", APP, 9))]) is Growth.LUMP


def test_a_full_cache_swaps_entries_and_is_no_leak() -> None:
    """Its survivors are flat, but the process has hardly more objects than before."""
    assert kinds([LEAK], facts(blocks=12)) == [Growth.FLIGHT]


def test_cycles_that_wait_for_the_collector_are_no_leak() -> None:
    """Full collections of this process freed as much before; none ran during the capture."""
    assert kinds([LEAK], facts(collected=40.0)) == [Growth.FLIGHT]


def test_survivors_of_two_full_collections_are_a_leak_however_much_those_freed() -> None:
    """What two full collections left alive is reachable."""
    assert kinds([LEAK], facts(collected=40.0, full_collections=2)) == [Growth.LEAK]


def test_growth_below_a_bounded_cache_with_room_is_the_cache_filling() -> None:
    """In a few seconds a cache that fills slowly is flat; its own counters tell what it is."""
    entry = Cache(Place("Shop.open_session", APP, 7, 0), before=100, after=700, bound=9000)
    assert kinds([LEAK], facts(caches=(entry,))) == [Growth.CACHE]


@pytest.mark.parametrize(("bound", "after"), [(None, 700), (700, 700)])
def test_an_unbounded_or_full_cache_does_not_excuse_growth(bound: float | None, after: float) -> None:
    """Without a bound it leaks; at its bound and no longer growing, it is not what grows."""
    entry = Cache(Place("open_session", APP, 7, 0), before=after if bound else 100, after=after, bound=bound)
    assert kinds([LEAK], facts(caches=(entry,))) == [Growth.LEAK]


def test_a_resized_table_is_a_lump() -> None:
    """A dict that doubled leaves one large block; it says nothing about a trend."""
    table = row((0, 7000, 0, 0), Frame("open_session", APP, 8), count=1, largest=7_000_000)
    assert kinds([LEAK, table], facts())[1] is Growth.LUMP


def test_tasks_that_pile_up_own_what_their_coroutine_and_creator_keep() -> None:
    """The census counts the tasks; the object, the coroutine's locals and the argument made for it are theirs."""
    publish, deliver = Frame("publish", APP, 26), Frame("deliver", APP, 17)
    rows = [
        row((45, 45, 45, 45), publish, Frame("create_task", TASKS, 361), count=165),
        row((70, 70, 70, 70), Frame("_run", "/usr/lib/python3.11/asyncio/events.py", 80), deliver, count=330),
        row((1000, 1000, 1000, 1000), Frame("publish", APP, 25), count=165),
        LEAK,
    ]
    seen = facts(blocks=3000, tasks=733, coroutines=(Place("deliver", APP, 16, 733),))
    assert kinds(rows, seen) == [Growth.TASK, Growth.TASK, Growth.TASK, Growth.LEAK]


def test_tasks_that_come_and_go_own_nothing() -> None:
    """Without growth in their number the same rows are judged by age."""
    rows = [row((45, 45, 45, 45), Frame("publish", APP, 26), Frame("create_task", TASKS, 361), count=165)]
    assert kinds(rows, facts(blocks=600, tasks=1)) == [Growth.LEAK]


def test_a_leak_inside_requests_that_run_in_tasks_is_not_the_tasks() -> None:
    """A few connections more, each a task, do not own the thousands of objects their requests leave behind."""
    page = row((2400, 2440, 2430, 2430), Frame("handle_request", APP, 20), Frame("sign", APP, 14), count=900)
    seen = facts(blocks=3600, tasks=3, coroutines=(Place("handle_request", APP, 20, 3),))
    assert kinds([page], seen) == [Growth.LEAK]


def test_threads_that_pile_up_own_what_their_start_and_their_function_keep() -> None:
    """Also what the interpreter takes for each of them, which has no Python frame."""
    rows = [
        row((3, 3, 3, 3), Frame("dispatch", APP, 22), Frame("start", THREADING, 992), count=24),
        row((16, 16, 16, 16), Frame("run", THREADING, 1010), Frame("wait_long", APP, 14), count=8),
        dataclasses.replace(row((131, 131, 131, 131), count=8), frames=(), kind="mapped"),
    ]
    seen = facts(blocks=300, threads=35, targets=(Place("wait_long", APP, 13, 35),))
    assert kinds(rows, seen) == [Growth.THREAD] * 3


def test_files_kept_open_own_the_line_that_opens_them() -> None:
    """The descriptors are counted; the line calls something that opens."""
    rows = [row((100, 100, 100, 100), Frame("open_shard", APP, 4), count=150, opens=True)]
    assert kinds(rows, facts(fds=128)) == [Growth.OPEN]
    assert kinds(rows, facts(fds=0)) == [Growth.LEAK]


def test_memory_of_the_c_library_without_a_python_object_beside_it_is_native() -> None:
    """An extension that forgets to free."""
    lost = row((900, 900, 900, 900), Frame("scale", APP, 18), kind="malloc")
    assert kinds([lost], facts(blocks=0)) == [Growth.NATIVE]


def test_an_array_is_python_memory_though_its_data_comes_from_the_c_library() -> None:
    """Its object is born on the same line, as often."""
    data = row((900, 900, 900, 900), Frame("batch", APP, 18), kind="malloc")
    head = row((11, 11, 11, 11), Frame("batch", APP, 18))
    assert kinds([data, head], facts()) == [Growth.LEAK, Growth.LEAK]


def test_without_tracking_objects_their_count_tells_python_from_native() -> None:
    """In default mode large Python objects come from malloc, too."""
    data = row((900, 900, 900, 900), Frame("batch", APP, 18), kind="malloc")
    assert kinds([data], facts(mode="default", blocks=400)) == [Growth.LEAK]
    assert kinds([data], facts(mode="default", blocks=3)) == [Growth.NATIVE]


def test_comprehensions_belong_to_the_function_around_them() -> None:
    """Up to 3.11 they have a frame of their own, since 3.12 they have none; the owner must be the same."""
    inner = Frame("compute", APP, 4)
    assert plain([MAIN, inner, Frame("<listcomp>", APP, 4)]) == (MAIN, inner)
