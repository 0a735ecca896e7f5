"""What the agent remembers of the GPUs between readings: who they are, what they last said, which are left alone and why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from agent.dataclass import dataclass
from agent.host import nvml_wire as wire
from agent.host.nvml_child import Child
from agent.host.nvml_driver import Board
from agent.host.text import clean

log = logging.getLogger("anfl.nvml")

FIRST_PAUSE_S = 5.0
MOST_PAUSE_S = 60.0


def address(bus_id: str) -> str:
    """NVML's ``00000000:18:00.0`` as everybody else writes it, ``0000:18:00.0``; "" if it is none."""
    domain, _, rest = bus_id.strip().lower().partition(":")
    if not rest or any(c not in "0123456789abcdef" for c in domain):
        return ""
    return f"{int(domain, 16):04x}:{rest}"


@dataclass
class Pause:
    """Growing pauses between tries: 5, 10, 20, 40, 60 s."""

    until: float = 0.0
    _last: float = 0.0

    def longer(self, now: float) -> None:
        """It failed again."""
        self._last = min(2 * self._last, MOST_PAUSE_S) or FIRST_PAUSE_S
        self.until = now + self._last

    def over(self) -> None:
        """It worked."""
        self.until = self._last = 0.0

    def cut(self, now: float) -> None:
        """Something has changed: try at once."""
        self.until = min(self.until, now)


@dataclass(frozen=True)
class GpuState:
    """One GPU as last known. ``index`` is as first seen; ``answered`` is on the monotonic clock, 0 for never.

    ``facts`` do not change while the driver is loaded; ``values`` is what this reading brought, None where it brought nothing.
    ``gone`` is NVML's code for why, 0 if it answers; ``listed`` is False for one that NVML no longer names; ``hung`` is the call
    that did not come back.
    """

    index: int
    uuid: str
    pci: str
    facts: Mapping[str, Any]
    answered: float
    values: Mapping[str, Any] | None = None
    gone: int = 0
    listed: bool = True
    hung: str = ""

    @property
    def lost(self) -> bool:
        """NVML says so, or does not know the GPU any more."""
        return self.gone in wire.LOST or not self.listed


Status = Literal["starting", "up", "down", "hung", "released"]


@dataclass(frozen=True)
class Reading:
    """How NVML stands and what it said; ``code`` is NVML's for why it cannot be opened, 0 for none."""

    status: Status
    why: str = ""
    hung: bool = False
    mismatch: bool = False
    driver: str = ""
    gpus: tuple[GpuState, ...] = ()
    code: int = 0

    @property
    def up(self) -> bool | None:
        """Whether NVML answers; None while nobody can tell."""
        return {"up": True, "down": False, "hung": False}.get(self.status)


@dataclass
class Counters:
    """Sums over all processes since the start."""

    calls: int = 0
    seconds: float = 0.0
    timeouts: int = 0
    respawns: int = 0


@dataclass
class Gpu:
    """One GPU. ``index`` is as first seen, ``index_now`` what NVML calls it at present; ``left`` since when it is left alone."""

    index: int
    uuid: str
    pci: str = ""
    index_now: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    answered: float = 0.0
    gone: int = 0
    listed: bool = True
    left: float = 0.0
    hung: str = ""
    with_others: bool = False
    pause: Pause = field(default_factory=Pause)
    scout: Child | None = None

    def enlist(self, entry: Mapping[str, Any]) -> None:
        """NVML names it. Facts that a GPU in trouble does not tell stay as they were."""
        self.listed, self.index_now = True, entry["index"]
        self.gone = entry.get("gone", 0)
        self.facts |= {key: value for key, value in entry.items() if value not in (None, "")}
        self.pci = self.facts.get("pci", self.pci)

    def heard(self, got: Mapping[str, Any], now: float) -> None:
        """What a reading said about it."""
        if "error" in got and self.gone != got["gone"]:
            log.warning("NVML: GPU %d (%s) answered what cannot be read: %s", self.index, self.uuid, clean(str(got["error"])))
        self.gone = got.get("gone", 0)
        if not self.gone:
            self.answered = now
        elif self.gone == wire.TIMEOUT:  # the driver itself gave up waiting: each further call would cost as much
            self.leave_alone(now, "timeout")

    def leave_alone(self, now: float, hung: str, with_others: bool = False) -> None:
        """Ask it no more with the others; ``hung`` names the call that did not come back."""
        self.left, self.hung, self.with_others = self.left or now, hung, with_others
        self.pause.longer(now)

    def back(self) -> None:
        """It answers again."""
        self.left, self.hung, self.with_others = 0.0, "", False
        self.pause.over()

    def state(self, values: Mapping[str, Any] | None = None) -> GpuState:
        """As it is known now."""
        return GpuState(self.index, self.uuid, self.pci, self.facts, self.answered, values, self.gone, self.listed, self.hung)


class Roster:
    """All GPUs ever seen, by UUID: indexes shift when one is lost."""

    def __init__(self) -> None:
        self._gpus: dict[str, Gpu] = {}

    def __iter__(self) -> Iterator[Gpu]:
        return iter(self._gpus.values())

    def __bool__(self) -> bool:
        return bool(self._gpus)

    def at(self, index: int) -> Gpu | None:
        """The GPU that NVML calls so now."""
        return next((g for g in self._gpus.values() if g.index_now == index and g.listed), None)

    def skipped(self) -> list[int]:
        """Indexes of those left alone."""
        return sorted(g.index_now for g in self._gpus.values() if g.left and g.listed)

    def enlist(self, listed: Iterable[dict[str, Any]], boards: Callable[[], Sequence[Board]] = tuple) -> None:
        """Take over a new list; those left alone are not on it and keep their place. ``boards`` are those the driver has."""
        for gpu in self._gpus.values():
            gpu.listed = gpu.listed and gpu.left > 0
        nameless = []
        for entry in listed:
            if entry.get("uuid"):
                self._named(entry["uuid"], entry["index"]).enlist(entry)
            else:
                nameless.append(entry)
        for entry in nameless:  # a lost GPU does not tell its name: it is the one that stood there
            known = [g for g in self._gpus.values() if not g.listed]
            there = next((g for g in known if g.index_now == entry["index"]), known[0] if len(known) == 1 else None)
            if there is None:
                there = self._never_seen(entry["index"], boards())
            if there is not None:
                there.enlist(entry)

    def _never_seen(self, index: int, boards: Sequence[Board]) -> Gpu | None:
        """A GPU that was lost before anybody asked its name: the first of the driver's that nobody else is."""
        others = {address(g.pci) for g in self._gpus.values()}
        board = next((b for b in boards if address(b.pci) not in others), None)
        if board is None:
            return None
        gpu = self._named(board.uuid or board.pci, index)
        gpu.pci, gpu.facts = board.pci, {"pci": board.pci, "name": board.name}
        return gpu

    def _named(self, uuid: str, index: int) -> Gpu:
        gpu = self._gpus.get(uuid)
        if gpu is None:
            taken = {g.index for g in self._gpus.values()}
            gpu = self._gpus[uuid] = Gpu(max(taken) + 1 if index in taken else index, uuid)
        return gpu

    def states(self, values: Mapping[str, Any], now: float) -> tuple[GpuState, ...]:
        """Everything known, with what a reading brought."""
        for uuid, got in values.items():
            if uuid in self._gpus:
                self._gpus[uuid].heard(got, now)
        return tuple(g.state(got if (got := values.get(g.uuid)) and "gone" not in got else None) for g in self._gpus.values())
