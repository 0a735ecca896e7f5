"""Block devices: bytes, operations, time spent, requests in flight."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import field
from typing import ClassVar

from agent.collectors._declare import counter, gauge
from agent.dataclass import dataclass
from agent.errors import Unavailable
from agent.host.procfs import KeptFile
from agent.host.text import clean
from agent.model import Metric, Sample, Series, labels

SECTOR = 512
"""/proc/diskstats counts in units of 512 bytes, whatever the device's own sector is."""
SELDOM_USED = (b"loop", b"ram", b"zram", b"nbd", b"fd", b"sr")
"""Devices that exist by the dozen without a medium; left out until they do some I/O."""


def parse_name(line: bytes) -> bytes:
    """The device of one line of /proc/diskstats."""
    return line.split(None, 3)[2]


def parse_disk(line: bytes) -> tuple[float, ...]:
    """Values of one line of /proc/diskstats, in the order of ``Collector.metrics``."""
    _, _, _, reads, _, sectors_in, ms_in, writes, _, sectors_out, ms_out, now, busy, weighted = map(
        _number, line.split(None, 14)[:14]
    )
    return (
        sectors_in * SECTOR,
        sectors_out * SECTOR,
        reads,
        writes,
        ms_in / 1e3,
        ms_out / 1e3,
        busy / 1e3,
        weighted / 1e3,
        now,
    )


def _number(token: bytes) -> float:
    return float(token) if token.isdigit() else 0.0


class _Disk:
    """One device with its handles and last line."""

    __slots__ = ("_raw", "_samples", "_seldom", "_series")

    def __init__(self, name: bytes, metrics: Iterable[Metric]) -> None:
        own = labels(device=clean(name))
        self._series = tuple(Series(m.name, own) for m in metrics)
        self._seldom = name.startswith(SELDOM_USED)
        self._raw = b""
        self._samples: list[Sample] = []

    def read(self, line: bytes) -> list[Sample]:
        if line != self._raw:
            values = parse_disk(line)
            used = not self._seldom or values[2] or values[3]
            self._samples = list(map(Sample, self._series, values)) if used else []
            self._raw = line
        return self._samples


@dataclass
class Collector:
    """Reads /proc/diskstats, whole devices only: partitions are left out."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        counter("disk_read_bytes_total", "bytes", "Bytes read from the device.", "device"),
        counter("disk_written_bytes_total", "bytes", "Bytes written to the device.", "device"),
        counter("disk_reads_total", "", "Reads the device completed.", "device"),
        counter("disk_writes_total", "", "Writes the device completed.", "device"),
        counter("disk_read_time_seconds_total", "seconds", "Time all reads took, from request to answer, summed.", "device"),
        counter("disk_write_time_seconds_total", "seconds", "Time all writes took, from request to answer, summed.", "device"),
        counter("disk_io_time_seconds_total", "seconds", "Time in which the device had at least one request: busy time.", "device"),
        counter(
            "disk_io_time_weighted_seconds_total", "seconds", "Busy time times requests; its rate is the queue length.", "device"
        ),
        gauge("disk_io_now", "", "Requests the device has at this moment.", "device"),
    )
    may_block: ClassVar[bool] = False

    interval: float = 1.0
    timeout: float = 1.0
    proc: str = "/proc"
    sys: str = "/sys"
    _file: KeptFile = field(init=False, repr=False)
    _disks: dict[bytes, _Disk | None] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._file = KeptFile(f"{self.proc}/diskstats", 16384)

    def collect(self) -> Iterable[Sample]:
        """Figures of every whole device; :class:`Unavailable` without block devices."""
        try:
            lines = self._file.read().splitlines()
        except FileNotFoundError:
            raise Unavailable(f"no block devices: {self._file.path} is not there") from None
        if len(lines) < len(self._disks):
            self._forget(lines)
        samples: list[Sample] = []
        for line in lines:
            disk = self._disk(parse_name(line))
            if disk is not None:
                samples += disk.read(line)
        return samples

    def _disk(self, name: bytes) -> _Disk | None:
        """The device of that name, None for a partition; looked up in /sys/block once."""
        try:
            return self._disks[name]
        except KeyError:
            whole = os.path.isdir(f"{self.sys}/block/{os.fsdecode(name).replace('/', '!')}")
            disk = self._disks[name] = _Disk(name, self.metrics) if whole else None
            return disk

    def _forget(self, lines: list[bytes]) -> None:
        there = {parse_name(line) for line in lines}
        self._disks = {name: disk for name, disk in self._disks.items() if name in there}
