"""Repeats are one event."""

from __future__ import annotations

from tests.engine.kernel.said import read

A = "PCI:0000:3b:00"


def test_repeats_are_one_event_with_a_count() -> None:
    """Equal records one after the other; another between them, or an hour, makes a new event."""
    line = f"NVRM: Xid ({A}): 95, x"
    assert [e.count for e in read([line] * 40)] == [40]
    assert [e.count for e in read([line, f"NVRM: Xid ({A}): 95, y", line])] == [1, 1, 1]
    assert [e.count for e in read([f"[1.0] {line}", f"[3600.0] {line}"])] == [1, 1]
    assert [e.count for e in read([line, "last message repeated 3 times"])] == [4]
    assert [e.count for e in read([line, "something else", "last message repeated 3 times"])] == [1]
