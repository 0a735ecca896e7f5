"""Lossless packing of a run of float64 values: deltas of scaled integers where they are exact, XOR of bits where not.

Measured values are integers or short decimals (bytes, jiffies / 100, µs / 1e6), so ``round(v * scale)`` gives them back exactly
and the deltas are small. That is checked bit for bit; whatever fails (NaN, -0.0, true reals) is kept as XOR of neighbouring bits.
Node-shaped data take about 0.35 bytes a value in chunks of 300 (bench/ring.py).
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, repeat
from math import trunc
from operator import add, mul, sub

_HEADER = struct.Struct("<HHB")  # length of what follows, number of values, form
_LINE = struct.Struct("<qq")  # first integer, smallest delta
_DOUBLE = struct.Struct("<d")
_CONSTANT, _BITS, _INTEGERS = 0, 1, 2
SCALES: tuple[int, ...] = (1, 100, 1000, 1_000_000, 1_000_000_000)
STILL_BYTES = _HEADER.size + _DOUBLE.size
"""Length of a chunk of one value."""
_CODES = ("B", "H", "I", "Q")
_PROBES = 6
LIMIT = 4096
"""Most values in one chunk; keeps lengths within 16 bits."""


def constant(values: array[float]) -> bool:
    """Whether all values have the same bits."""
    raw = values.tobytes()
    return bool(raw[8:] == raw[:-8])


def still(value: float, count: int) -> bytes:
    """The chunk of a value that did not move, 1 to ``LIMIT`` times."""
    return _HEADER.pack(_DOUBLE.size, count, _CONSTANT) + _DOUBLE.pack(value)


def pack(values: array[float]) -> bytes:
    """One chunk of 1 to ``LIMIT`` values, self-delimiting: chunks can be joined end to end."""
    form, body = _CONSTANT, b""
    if constant(values):
        body = values[:1].tobytes()
    else:
        form, body = _integers(values) or (_BITS, _bits(values))
    return _HEADER.pack(len(body), len(values), form) + body


def unpack(data: bytes, at: int = 0) -> array[float]:
    """The values of the chunk that begins at ``at``."""
    length, count, form = _HEADER.unpack_from(data, at)
    at += _HEADER.size
    if form == _CONSTANT:
        return array("d", _DOUBLE.unpack_from(data, at)) * int(count)
    body = data[at : at + length]
    return _from_bits(body, count) if form == _BITS else _from_integers(body, count, form - _INTEGERS)


def after(data: bytes, at: int) -> int:
    """Where the chunk that follows the one at ``at`` begins."""
    length, _, _ = _HEADER.unpack_from(data, at)
    return at + _HEADER.size + int(length)


def count(data: bytes, at: int) -> int:
    """How many values the chunk at ``at`` holds."""
    return int(_HEADER.unpack_from(data, at)[1])


def _deflate(data: bytes) -> bytes:
    # A small window and memory level cost no ratio on a few hundred bytes and save setting up 256 KiB: 14 µs instead of 80.
    packer = zlib.compressobj(1, zlib.DEFLATED, -10, 4)
    return packer.compress(data) + packer.flush()


def planes(data: bytes, width: int) -> bytes:
    """Items of ``width`` bytes as byte planes: all their lowest bytes, then all second ones, and so on."""
    return data if width == 1 else b"".join([data[i::width] for i in range(width)])


def unplanes(data: bytes, width: int) -> bytes:
    """The inverse of :func:`planes`."""
    if width == 1:
        return data
    out, n = bytearray(len(data)), len(data) // width
    for i in range(width):
        out[i::width] = data[i * n : (i + 1) * n]
    return bytes(out)


def scale_of(values: Sequence[float]) -> int | None:
    """Index of the smallest scale that makes a few probed values exact integers."""
    probes = values[:: max(1, len(values) // _PROBES)]
    for index, scale in enumerate(SCALES):
        if all(round(v * scale) / scale == v for v in probes):
            return index
    return None


def _integers(values: array[float]) -> tuple[int, bytes] | None:
    """Form and body as deltas of integers, or None if that would not be exact."""
    try:
        index = scale_of(values)
        if index is None:
            return None
        scale = SCALES[index]
        ints = list(map(trunc, values)) if scale == 1 else list(map(float.__round__, map(mul, values, repeat(scale))))
        if _floats(ints, scale).tobytes() != values.tobytes():
            return None
        deltas = list(map(sub, ints[1:], ints))
        low = min(deltas)
        width = _width(max(deltas) - low)
        line = _LINE.pack(ints[0], low)
        rest = array(_CODES[width], [d - low for d in deltas] if low else deltas)
    except (ValueError, OverflowError, struct.error):  # NaN, infinity, or beyond 64 bits
        return None
    return _INTEGERS + 4 * index + width, line + _deflate(planes(rest.tobytes(), 1 << width))


def _width(span: int) -> int:
    return 0 if span < 1 << 8 else 1 if span < 1 << 16 else 2 if span < 1 << 32 else 3


def _floats(ints: Iterable[float], scale: int) -> array[float]:
    return array("d", ints if scale == 1 else [i / scale for i in ints])


def _from_integers(body: bytes, count: int, form: int) -> array[float]:
    index, width = divmod(form, 4)
    first, low = _LINE.unpack_from(body)
    raw = unplanes(zlib.decompress(body[_LINE.size :], -10, (count - 1) << width), 1 << width)
    deltas: Iterable[int] = raw if width == 0 else array(_CODES[width], raw)
    return _floats(accumulate(map(add, deltas, repeat(low)) if low else deltas, initial=first), SCALES[index])


def _bits(values: array[float]) -> bytes:
    """Each value's bits XORed with its predecessor's, as eight byte planes; one wide integer does all values at once."""
    size = 8 * len(values)
    wide = int.from_bytes(values.tobytes(), "little")
    wide ^= (wide << 64) & ((1 << 8 * size) - 1)
    return _deflate(planes(wide.to_bytes(size, "little"), 8))


def _from_bits(body: bytes, count: int) -> array[float]:
    size = 8 * count
    wide = int.from_bytes(unplanes(zlib.decompress(body, -10, size), 8), "little")
    mask, shift = (1 << 8 * size) - 1, 64
    while shift < 8 * size:  # prefix XOR by doubling
        wide ^= (wide << shift) & mask
        shift *= 2
    return array("d", wide.to_bytes(size, "little"))
