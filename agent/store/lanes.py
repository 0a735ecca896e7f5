"""Signed integers as byte planes of their zigzag form: all lowest bytes, then all second ones, and so on; small ones pack well.

Zigzag: ``d >= 0`` is written 2d, ``d < 0`` as -2d - 1. One wide integer does all of them at once; a loop takes five times as long.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence

WIDTH = 8
"""Most planes: differences are of 64 bits."""
_CODES = {1: "b", 2: "h", 4: "i", 8: "q"}
_LANES = (1, 1, 2, 4, 4, 8, 8, 8, 8)  # bytes an item is worked on in, by the number of its planes
_FORTH = bytes(2 * b if b < 128 else 511 - 2 * b for b in range(256))  # a signed byte's zigzag
_BACK = bytes(b >> 1 if b % 2 == 0 else 255 - (b >> 1) for b in range(256))


def width(items: Sequence[int]) -> int:
    """How many planes these take; 0 if all are 0."""
    if not items:
        return 0
    low, high = min(items), max(items)
    return (max(2 * high, -2 * low - 1, 0).bit_length() + 7) // 8


def planes(items: Sequence[int], used: int) -> bytes:
    """``used`` planes (see :func:`width`). struct.error if the items are not of 64 bits."""
    if not used:
        return b""
    lane = _LANES[min(used, WIDTH)]
    raw = struct.pack(f"<{len(items)}{_CODES[lane]}", *items)
    if lane == 1:
        return raw.translate(_FORTH)
    ones, whole = _ones(len(items), lane), int.from_bytes(raw, "little")
    sign = (whole >> (8 * lane - 1)) & ones
    mask = (sign << (8 * lane)) - sign  # all ones where negative
    lifted = (whole << 1) & ((1 << 8 * len(raw)) - 1)
    raw = ((lifted | ones) ^ ones ^ mask).to_bytes(len(raw), "little")
    return b"".join([raw[i::lane] for i in range(used)])


def widths(data: bytes, used: int, count: int) -> list[int]:
    """How many planes each of ``count`` equal parts of the items takes, of the ``used`` planes in ``data``."""
    size = len(data) // max(used, 1)
    steps = size // count
    if not steps:
        return [0] * count
    rows = []
    for i in range(used):
        plane, any_of = data[i * size : (i + 1) * size], 0
        for j in range(steps):
            any_of |= int.from_bytes(plane[j::steps], "little")
        rows.append(any_of.to_bytes(count, "little").translate(bytes((0,)) + bytes((i + 1,)) * 255))
    return list(map(max, zip(*rows, strict=True)))


def unplanes(parts: Sequence[bytes]) -> array[int]:
    """The items of these planes, lowest first."""
    if not parts:
        raise ValueError("no planes")
    lane = _LANES[len(parts)]
    if lane == 1:
        return array("b", parts[0].translate(_BACK))
    raw = bytearray(lane * len(parts[0]))
    for i, part in enumerate(parts):
        raw[i::lane] = part
    ones, whole = _ones(len(parts[0]), lane), int.from_bytes(raw, "little")
    sign = whole & ones
    mask = (sign << (8 * lane)) - sign
    halved = (whole ^ sign) >> 1  # the bit that crosses into the lane below is the cleared one
    return array(_CODES[lane], (halved ^ mask).to_bytes(len(raw), "little"))


def _ones(count: int, lane: int) -> int:
    return int.from_bytes((b"\1" + bytes(lane - 1)) * count, "little")
