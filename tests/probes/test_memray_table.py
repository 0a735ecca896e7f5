"""What a capture's reader and the census bring is hostile text until it is checked."""

from __future__ import annotations

import pytest

from agent.probes import _memray_read as reading
from agent.probes._memray_table import facts, table


class Interval:
    """A group of allocations, as memray's reader gives it."""

    def __init__(self, born: int, died: int | None, count: int, size: int) -> None:
        self.allocated_before_snapshot, self.deallocated_before_snapshot = born, died
        self.n_allocations, self.n_bytes = count, size


class Record:
    """One stack of a capture, innermost frame first."""

    def __init__(self, allocator: int, stack: list[tuple[str, str, int]], intervals: list[Interval]) -> None:
        self.allocator, self.stack, self.intervals = allocator, stack, intervals

    def stack_trace(self, limit: int) -> list[tuple[str, str, int]]:
        return self.stack[:limit]


def test_survivors_are_counted_by_quarter_of_birth_and_the_last_tenth_apart() -> None:
    """A capture of 100 looks: births at 10, 30, 95; one died, at the last look of all."""
    stack = [("keep", "/srv/app.py", 3), ("<module>", "/srv/app.py", 9)]
    intervals = [Interval(10, None, 2, 200), Interval(30, 100, 5, 500), Interval(30, None, 1, 100), Interval(95, None, 1, 50)]
    rows, ours = reading.survivors([Record(2, stack, intervals)], native=False)
    assert ours == 0
    assert rows[0]["bytes"] == [200, 100, 0, 0]
    assert rows[0]["born"] == [200, 600, 0, 0]
    assert (rows[0]["late"], rows[0]["kind"], rows[0]["largest"]) == (50, "python", 100)
    assert rows[0]["frames"][0][0] == "<module>"


def test_what_our_own_payload_allocates_is_left_out() -> None:
    """Its frames carry a file name of ours."""
    rows, ours = reading.survivors([Record(6, [("watch", reading.OURS, 1)], [Interval(1, None, 1, 9)])], native=False)
    assert (rows, ours) == ([], 1)


@pytest.mark.parametrize("line", ["f = open(path)", "s = socket.socket()", "Popen(argv)", "  os.pipe()"])
def test_lines_that_open_something_are_known(line: str) -> None:
    """Only the standard library's names."""
    assert reading.OPENS.search(line.encode())


@pytest.mark.parametrize("line", ["reopened(x)", "openness = 3", "self.opened.append(1)"])
def test_lines_that_open_nothing_are_not(line: str) -> None:
    """A word that merely contains one of the names."""
    assert not reading.OPENS.search(line.encode())


def test_nonsense_from_the_reader_becomes_nothing() -> None:
    """Wrong types, endless numbers and control signs do no harm."""
    raw = {
        "seconds": "x",
        "rows": [3, {"frames": [["a\x1b[31m", "/f", 1], 7], "bytes": [1e30, -5, True], "kind": "python"}],
    }
    found = table(raw, [[1, 2, 3], "no", [0, "x"]])
    assert found.growth == 0.0
    assert found.rows[0].frames[0].function == "a\ufffd[31m"
    assert found.rows[0].size == (0.0, 0.0, 0.0, 0.0)


def test_growth_of_resident_memory_leaves_out_the_trackers_start() -> None:
    """The first part of a capture is not compared."""
    points = [[n / 10, 10_000 if n < 3 else 20_000 + (n - 3) * 1000] for n in range(21)]
    assert table({"seconds": 2.0, "rows": []}, points).growth == pytest.approx(10_000)


def test_two_census_files_make_growths() -> None:
    """What one end lacks is unknown, not zero."""
    first = {"blocks": 100, "tasks": {"count": 2, "by": [["a", "/f", 1, 2]]}, "heap": {"used": 4294967000, "modulo": 1 << 32}}
    last = {
        "blocks": 400,
        "tasks": {"count": 9, "by": [["a", "/f", 1, 8], ["b", "/f", 5, 1]]},
        "heap": {"used": 704, "modulo": 1 << 32},
    }
    found = facts(first, last, mode="pymalloc", seconds=5.0, age=100.0)
    assert (found.blocks, found.tasks, found.threads) == (300, 7, None)
    assert [(p.function, p.number) for p in found.coroutines] == [("a", 6), ("b", 1)]
    assert found.heap == 1000
