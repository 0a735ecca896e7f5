"""A kernel file that is read every tick, with the samples it gave last time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.host.procfs import KeptFile
from agent.model import Sample, Series

Parse = Callable[[bytes], Mapping[str, float]]
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


def numbers(raw: bytes, keys: Mapping[str, bytes], scale: int = 1) -> dict[str, float]:
    """Values by metric name for the lines of ``raw`` that ``keys`` names, times ``scale``; a missing line has no value."""
    found = ((name, number(raw, key)) for name, key in keys.items())
    return {name: float(value * scale) for name, value in found if value is not None}
