"""Packing gives back every bit."""

from __future__ import annotations

import math
import random
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.store import chunk


@given(st.lists(st.floats(width=64), min_size=1, max_size=64))
@settings(max_examples=200, deadline=None)
def test_any_floats_come_back_bit_for_bit(values: list[float]) -> None:
    """NaN, infinities, -0.0 and subnormals included."""
    column = array("d", values)
    assert chunk.unpack(chunk.pack(column)).tobytes() == column.tobytes()


@given(st.lists(st.integers(-(2**53), 2**53), min_size=2, max_size=64), st.sampled_from([1, 100, 1000, 10**6, 10**9]))
@settings(max_examples=200, deadline=None)
def test_scaled_integers_come_back_bit_for_bit(values: list[int], scale: int) -> None:
    """Whatever the scale and the spread, nothing is rounded away."""
    column = array("d", [v / scale for v in values])
    assert chunk.unpack(chunk.pack(column)).tobytes() == column.tobytes()


@pytest.mark.parametrize(
    ("shape", "limit"),
    [
        pytest.param(lambda rng, t: 42.0, 13, id="constant"),
        pytest.param(lambda rng, t: 1e9 + 4096.0 * t, 60, id="steady counter"),
        pytest.param(lambda rng, t: (50_000 + 60 * t + rng.randint(0, 20)) / 100, 300, id="processor seconds"),
        pytest.param(lambda rng, t: round(300 + rng.gauss(0, 12), 3), 800, id="noisy watts"),
    ],
)
def test_measured_shapes_pack_far_below_eight_bytes(shape, limit: int) -> None:
    """300 values of each shape take no more bytes than they should."""
    rng = random.Random(1)
    column = array("d", [shape(rng, t) for t in range(300)])
    assert len(chunk.pack(column)) <= limit


def test_chunks_joined_end_to_end_can_be_walked() -> None:
    """Each chunk says where the next begins and how many values it holds."""
    runs = [array("d", [1.0, 2.0, 4.0]), array("d", [7.0] * 5), array("d", [math.pi])]
    joined = b"".join(map(chunk.pack, runs))
    at, found = 0, []
    while at < len(joined):
        assert chunk.count(joined, at) == len(chunk.unpack(joined, at))
        found.append(chunk.unpack(joined, at))
        at = chunk.after(joined, at)
    assert found == runs


def test_the_longest_chunk_keeps_its_length_in_the_header() -> None:
    """A chunk of the greatest allowed size that cannot be compressed still fits."""
    rng = random.Random(2)
    column = array("d", [rng.random() * 10.0 ** rng.randint(-300, 300) for _ in range(chunk.LIMIT)])
    assert chunk.unpack(chunk.pack(column)) == column
