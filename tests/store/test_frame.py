"""One record's payload, there and back."""

from __future__ import annotations

import math
import struct
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import Event, Series, labels
from agent.store.frame import Frame, Track, encode
from agent.store.framing import Framing
from agent.store.unframe import Decoder

VALUES = st.one_of(
    st.integers(-(2**40), 2**40).map(float),
    st.integers(-(10**9), 10**9).map(lambda n: n / 100),
    st.floats(allow_nan=True, allow_infinity=True, width=64),
    st.sampled_from([0.0, -0.0, math.pi, 1e300, -1e300, 5e-324, 2.0**63, -(2.0**63)]),
)


def frame_of(framing: Framing, tracks: list[tuple[Series, Track]], rows: list[list[float]], start: float = 0.0) -> Frame:
    """A frame in which every series was read at the same moments."""
    times = array("d", [start + i for i in range(len(rows[0]))]).tobytes()
    frame = framing.begin_frame([])
    for (series, track), values in zip(tracks, rows, strict=True):
        framing.add(series, track, framing.group(times), array("d", values))
    framing.close_frame()
    return frame


def bits(values: list[float]) -> bytes:
    """Exactly these values: NaN equals itself, 0.0 is not -0.0."""
    return struct.pack(f"<{len(values)}d", *values)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_value_comes_back_to_the_bit(data: st.DataObject) -> None:
    """Whatever the values, over several records of one block, whole or one series at a time."""
    count, k = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    row = st.lists(VALUES, min_size=k, max_size=k) | VALUES.map(lambda v: [v] * k)
    frames = data.draw(st.lists(st.lists(row, min_size=count, max_size=count), min_size=1, max_size=3))
    framing, decoder, single = Framing(), Decoder(), Decoder()
    framing.begin_file()
    tracks = [(Series(f"s{i}"), Track()) for i in range(count)]
    for rows in frames:
        payload = encode(frame_of(framing, tracks, rows))
        found: dict[int, array[float]] = {}
        for section in decoder.head(payload)[1]:
            ids, values = decoder.values(section)
            found |= {number: values[i * k : i * k + k] for i, number in enumerate(ids)}
        assert [found[i].tobytes() for i in range(count)] == [bits(values) for values in rows]
        for section in single.head(payload)[1]:
            if (place := section.place(count - 1)) >= 0:
                assert single.one(section, count - 1, place).tobytes() == bits(rows[count - 1])


def test_a_moment_is_read_without_the_records_between() -> None:
    """Only the first record of a block and the one that holds the moment."""
    framing, decoder = Framing(), Decoder()
    framing.begin_file()
    tracks = [(Series("a"), Track()), (Series("b"), Track())]
    payloads = [encode(frame_of(framing, tracks, [[n * 10.0 + i for i in range(3)], [7.5, 7.5, 7.5]], n * 3.0)) for n in range(4)]
    for section in decoder.head(payloads[0])[1]:
        decoder.learn(section)
    found: dict[int, float] = {}
    for section in decoder.head(payloads[3])[1]:
        found |= dict(zip(section.numbers(), decoder.at(section, 1), strict=True))
    assert found == {0: 31.0, 1: 7.5}


def test_events_and_names_come_back() -> None:
    """With all their fields."""
    event = Event(5.0, "kernel", labels(pid=7), "Xid 79", {"xid": 79, "pci": "0000:01:00"}, trusted=False)
    frame = Frame(series=[(0, "up", labels(device="sda"))], events=[event])
    decoder = Decoder()
    directory, _ = decoder.head(encode(frame))
    assert decoder.names.keys() == {0: ("up", labels(device="sda"))}
    assert directory["events"] == [[5.0, "kernel", {"pid": "7"}, "Xid 79", {"xid": 79, "pci": "0000:01:00"}, False]]


@pytest.mark.parametrize("cut", [0, 3, 20, -1])
def test_a_payload_that_is_too_short_is_refused(cut: int) -> None:
    """It never reads as other values."""
    framing = Framing()
    framing.begin_file()
    payload = encode(frame_of(framing, [(Series("a"), Track())], [[1.0, 300.0, 2.0]]))
    with pytest.raises((ValueError, LookupError, struct.error)):
        Decoder().head(payload[:cut])


def test_a_series_that_outgrows_64_bits_is_kept_by_its_bits() -> None:
    """Its scale fitted when it was small."""
    framing, decoder = Framing(), Decoder()
    framing.begin_file()
    tracks = [(Series("a"), Track()), (Series("b"), Track())]
    for i, row in enumerate(([1.0, 2.0, 3.0], [2.0**62, -(2.0**62), 2.0**63], [4.0, -0.0, 5.0])):
        payload = encode(frame_of(framing, tracks, [row, [0.0, float(i), 0.0]], 3.0 * i))
        found: dict[int, bytes] = {}
        for section in decoder.head(payload)[1]:
            ids, values = decoder.values(section)
            found |= {number: values[j * 3 : j * 3 + 3].tobytes() for j, number in enumerate(ids)}
        assert found == {0: bits(row), 1: bits([0.0, float(i), 0.0])}


def test_a_series_may_stand_further_from_its_base_than_64_bits() -> None:
    """It climbed there in steps that fit; the next record begins it anew."""
    framing, decoder = Framing(), Decoder()
    framing.begin_file()
    tracks = [(Series("a"), Track()), (Series("b"), Track())]
    steps = [[-4e18, 0.0, 4e18, 8e18], [1.0, 2.0, 3.0, 4.0]]
    for rows in ([steps[0][:1] * 4, steps[1]], steps, [[8e18] * 4, [4.0] * 4], [[8e18] * 4, [5.0] * 4]):
        found: dict[int, array[float]] = {}
        for section in decoder.head(encode(frame_of(framing, tracks, rows)))[1]:
            ids, values = decoder.values(section)
            found |= {number: values[i * 4 : i * 4 + 4] for i, number in enumerate(ids)}
        assert [list(found[i]) for i in range(2)] == rows
