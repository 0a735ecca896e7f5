"""A kernel file that is read every tick, with the samples it gave last time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.host.procfs import KeptFile
from agent.model import Sample, Series

Parse = Callable[[bytes], Mapping[str, float]]
SLACK = 64
"""Bytes a line may move towards the beginning between two readings and still be found at once."""
RETRY_READS = 60
"""A file that is not there is looked for again after so many reads: a module may be loaded later."""


class KeptSource:
    """Reads one file; the same bytes as last time give the kept samples without parsing.

    ``parse`` maps the text to values by metric name; ``series`` has the handle of each name.
    """

    __slots__ = ("_file", "_parse", "_raw", "_samples", "_series", "_wait")

    def __init__(self, path: str, parse: Parse, series: Mapping[str, Series]) -> None:
        self._file = KeptFile(path)
        self._parse = parse
        self._series = series
        self._raw = b""
        self._samples: list[Sample] = []
        self._wait = 0

    def read(self) -> list[Sample]:
        """The samples now; OSError as the kernel gives it."""
        raw = self._file.read()
        if raw != self._raw:
            series = self._series
            self._samples = [Sample(series[name], value) for name, value in self._parse(raw).items()]
            self._raw = raw
        return self._samples

    def read_if_there(self) -> list[Sample]:
        """The samples now, or none where the host has no such file."""
        if self._wait:
            self._wait -= 1
            return []
        try:
            return self.read()
        except OSError:
            self._file.close()
            self._wait = RETRY_READS
            return []


def number(raw: bytes, key: bytes) -> int | None:
    """The integer that follows ``key``; ``key`` names its line, with the line break before it. None where there is none."""
    at = raw.find(key)
    if at < 0:
        return None
    at += len(key)
    return int(raw[at : at + 32].split(None, 1)[0])


class Numbers:
    """Picks the numbers of some lines out of a file that is read again and again: values by metric name, times ``scale``.

    ``keys`` names each line, with the line break before it. A line is looked for near where it was last time, which makes a
    large file (vmstat) three times cheaper; one that is not there has no value.
    """

    __slots__ = ("_keys", "_near", "_scale")

    def __init__(self, keys: Mapping[str, bytes], scale: int = 1) -> None:
        self._keys = keys
        self._scale = scale
        self._near = dict.fromkeys(keys, 0)

    def pick(self, raw: bytes) -> dict[str, float]:
        """The values in ``raw``, which begins with a line break."""
        found: dict[str, float] = {}
        near, scale = self._near, self._scale
        for name, key in self._keys.items():
            at = raw.find(key, near[name])
            if at < 0 and (at := raw.find(key)) < 0:
                continue
            near[name] = max(0, at - SLACK)
            at += len(key)
            found[name] = float(int(raw[at : at + 32].split(None, 1)[0]) * scale)
        return found
