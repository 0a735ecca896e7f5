"""One network interface: its line in /proc/net/dev and its state in /sys/class/net."""

from __future__ import annotations

import os
from collections.abc import Sequence

from agent.host.procfs import KeptFile
from agent.host.text import clean
from agent.model import Labels, Sample, Series, labels

COLUMNS = (0, 8, 1, 9, 2, 10, 3, 11)
"""Places in a line of /proc/net/dev: bytes, packets, errors, drops; received before sent."""
MEGABIT = 1e6 / 8
IFF_UP = 1
IDLE_EVERY = 5
"""A link that is up is looked at every time; one that is down, and loopback, which has no link, every so many readings."""
SPEED_EVERY = 60
"""Asking for the speed takes a kernel-wide lock and may ask the card; a link that renegotiates goes down in between anyway."""


def parse_dev(raw: bytes) -> dict[bytes, bytes]:
    """The counters of /proc/net/dev by interface, unparsed; the first two lines are headings."""
    halves = (line.partition(b":") for line in raw.splitlines()[2:])
    return {name.strip(): counters for name, _, counters in halves}


def parse_counters(counters: bytes) -> tuple[float, ...]:
    """Received and sent bytes, packets, errors and drops of one interface."""
    fields = counters.split(None, 12)
    return tuple(float(fields[i]) for i in COLUMNS)


def parse_speed(raw: bytes) -> float | None:
    """Bytes per second from the kernel's megabits; None where it does not know (-1, 0, or 2^32 - 1 on older kernels)."""
    megabits = int(raw)
    return megabits * MEGABIT if 0 < megabits < 0xFFFFFFFF else None


class Interface:
    """Keeps the state file open and re-uses samples whose text has not changed."""

    __slots__ = ("_age", "_counters", "_flags_file", "_raw", "_speed", "_state", "_state_file", "_sys", "_up", "labels", "virtual")

    def __init__(self, name: bytes, sys: str, names: Sequence[str]) -> None:
        self.labels: Labels = labels(interface=clean(name))
        self._sys = f"{sys}/class/net/{os.fsdecode(name)}"
        self.virtual = not os.path.exists(f"{self._sys}/device")
        self._state_file = KeptFile(f"{self._sys}/operstate", 32)
        self._flags_file = KeptFile(f"{self._sys}/flags", 32)
        *counters, up, speed = (Series(n, self.labels) for n in names)
        self._raw = self._state = b""
        self._age = 0
        self._counters = [Sample(s, 0.0) for s in counters]
        self._up = Sample(up, 0.0)
        self._speed: tuple[Series, float | None] = (speed, None)

    def read(self, counters: bytes) -> list[Sample]:
        """Counters from the interface's line, then whether it is up, then its speed where the kernel knows it."""
        if counters != self._raw:
            self._counters = [Sample(old.series, v) for old, v in zip(self._counters, parse_counters(counters), strict=True)]
            self._raw = counters
        if self._state == b"up" or self._age % IDLE_EVERY == 0:
            self._look(self._read_state())
        self._age += 1
        series, speed = self._speed
        return [*self._counters, self._up] if speed is None else [*self._counters, self._up, Sample(series, speed)]

    def _look(self, state: bytes) -> None:
        if state != b"up" or state != self._state:
            up = state == b"up" or (state == b"unknown" and self._wanted())
            self._up = Sample(self._up.series, 1.0 if up else 0.0)
        if state != self._state or self._age % SPEED_EVERY == 0:
            self._speed = (self._speed[0], self._read_speed() if self._up.value else None)
        self._state = state

    def _read_state(self) -> bytes:
        try:
            return self._state_file.read().strip()
        except OSError:  # renamed or gone since the list was read
            self._state_file.close()
            return b"down"

    def _wanted(self) -> bool:
        """Loopback and tunnels have no link state: they are up when they are switched on."""
        try:
            return bool(int(self._flags_file.read(), 16) & IFF_UP)
        except OSError:
            self._flags_file.close()
            return False

    def _read_speed(self) -> float | None:
        try:
            with open(f"{self._sys}/speed", "rb") as file:
                return parse_speed(file.read())
        except (OSError, ValueError):  # EINVAL where the interface has no speed
            return None
