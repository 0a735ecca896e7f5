"""Integers in byte planes, all at once."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.store import lanes

ITEMS = st.integers(1, 64).flatmap(
    lambda bits: st.lists(st.integers(-(1 << bits - 1), (1 << bits - 1) - 1), min_size=1, max_size=20)
)


@given(ITEMS)
def test_the_planes_are_those_of_the_zigzag_form(items: list[int]) -> None:
    """Whatever number of bytes they take."""
    used = lanes.width(items)
    raw = struct.pack(f"<{len(items)}Q", *(2 * i if i >= 0 else -2 * i - 1 for i in items))
    assert used == max((i + 1 for i in range(8) if any(raw[i::8])), default=0)
    assert lanes.planes(items, used) == b"".join(raw[i::8] for i in range(used))


@given(ITEMS)
def test_items_come_back_from_their_planes(items: list[int]) -> None:
    """Also where a plane more was written than they need."""
    n, used = len(items), max(1, lanes.width(items))
    for count in {used, min(8, used + 1)}:
        written = lanes.planes(items, count)
        assert list(lanes.unplanes([written[i * n : (i + 1) * n] for i in range(count)])) == items


def test_what_has_more_than_64_bits_is_refused() -> None:
    """The caller finds another form."""
    items = [1 << 63]
    with pytest.raises(struct.error):
        lanes.planes(items, lanes.width(items))


@given(st.lists(st.tuples(*[st.integers(-(1 << 40), 1 << 40) | st.integers(-2, 2)] * 3), min_size=1, max_size=20))
def test_the_planes_each_part_takes_are_those_it_would_take_alone(parts: list[tuple[int, ...]]) -> None:
    """Told from the planes of all."""
    items = [item for part in parts for item in part]
    used = lanes.width(items)
    assert lanes.widths(lanes.planes(items, used), used, len(parts)) == [lanes.width(part) for part in parts]
