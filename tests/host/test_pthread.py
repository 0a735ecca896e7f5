"""Thread ids out of the C library's thread records."""

from __future__ import annotations

import struct

from agent.host.pthread import find


def record(tid: int, at: int = 720, noise: int = 0) -> bytes:
    """A thread's record with its id at one offset and something else before it."""
    raw = bytearray(2048)
    struct.pack_into("=i", raw, 16, noise)
    struct.pack_into("=i", raw, at, tid)
    return bytes(raw)


def test_the_offset_is_where_the_main_thread_holds_the_process_id() -> None:
    """Every other record then holds its own thread's id there."""
    records = {1 << 33: record(100), 2 << 33: record(101), 3 << 33: record(102)}
    assert find(records, 100, {100, 101, 102}) == 720


def test_an_offset_that_gives_no_real_threads_is_not_believed() -> None:
    """A place where the main record happens to hold the process id is passed over; without a right one nothing is told."""
    misleading = {1 << 33: record(100, noise=100), 2 << 33: record(101, noise=7)}
    assert find(misleading, 100, {100, 101}) == 720
    assert find({1 << 33: record(100), 2 << 33: record(555)}, 100, {100, 101}) is None
    assert find({1 << 33: record(100), 2 << 33: b""}, 100, {100, 101}) is None
