"""What is read from a kernel log and what is found in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KERNEL = 0
"""Facility of the kernel's own records. User space cannot write it: the kernel gives a record written to /dev/kmsg another one."""

AGAIN = "last message repeated"
"""Text of a record in which a syslog daemon says how often its last message came again."""

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its text, and what stood before it where that was said.

    ``facility`` and ``level`` are syslog's numbers; ``stamp`` is seconds since the boot, ``wall`` Unix seconds; ``tag`` names the
    program of a record that is not the kernel's; ``repeat`` is what a syslog daemon wrapped up. ``keys`` are the record's
    dictionary (``SUBSYSTEM``, ``DEVICE``).
    """

    text: str
    facility: int | None = None
    level: int | None = None
    seq: int | None = None
    stamp: float | None = None
    wall: float | None = None
    tag: str | None = None
    repeat: int = 1
    keys: Mapping[str, str] = field(default_factory=dict)
    flag: str = ""

    @property
    def trusted(self) -> bool | None:
        """True if the kernel wrote it, False if not, None where the text does not say."""
        if self.tag is not None:
            return False
        return None if self.facility is None else self.facility == KERNEL

    @property
    def moment(self) -> float | None:
        """Seconds on the record's own clock: to compare records of one log."""
        return self.stamp if self.stamp is not None else self.wall


@dataclass(slots=True, eq=False)
class Happening:
    """One event: what kind, its fields, and the first record that told of it. More records may add to it while it is fresh."""

    kind: str
    record: Record
    fields: dict[str, Value]
    same: tuple[object, ...]
    count: int = 1
    last: float | None = None
    incident: int = 0
    resolved: bool = False
    turn: int = 0
    waits: bool = False

    def get(self, name: str) -> Value:
        """A field, or None."""
        return self.fields.get(name)
