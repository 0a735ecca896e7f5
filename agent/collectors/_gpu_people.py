"""Who is on the GPUs: pids as NVML lists them, joined to program, user, unit, container and job."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from agent.collectors._gpu_values import MOST_BYTES, number, scaled
from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host import procs, procstat
from agent.model import ENTITY_ENDED, Event, Labels, Sample, Series, labels

INITIAL_PID_NAMESPACE = "pid:[4026531836]"
DEAD = "ZX"


@dataclass
class Person:
    """One process on one GPU, with the handles of its series."""

    pid: int
    own: Labels
    start: int | None = None
    info: Series | None = None
    memory: Series = field(init=False)
    load: Series = field(init=False)
    alive: Series = field(init=False)

    def __post_init__(self) -> None:
        self.memory = Series("gpu_process_memory_bytes", self.own)
        self.load = Series("gpu_process_utilization_ratio", self.own)
        self.alive = Series("gpu_process_alive", self.own)


class People:
    """Processes on one GPU. ``told`` is False until NVML has brought a utilisation sample: none before means none taken yet."""

    def __init__(self, gpu: Labels, proc: str = "/proc") -> None:
        self._gpu = gpu
        self._proc = proc
        self._there: dict[int, Person] = {}
        self._count = Series("gpu_processes", gpu)
        self._told = False
        self._sees_all = sees_all(proc)

    def read(self, raw: Mapping[str, Any], now: float) -> Iterator[Sample | Event]:
        """Samples of everybody on the GPU, and the end of those that left it."""
        sizes: dict[int, float | None] = {}
        for pid, size, _ in raw["procs"]:
            if pid > 0:
                known = number(size, MOST_BYTES)
                sizes[pid] = known if sizes.get(pid) is None else (sizes[pid] or 0.0) + (known or 0.0)
        loads = {pid: scaled(busy, 0.01, 100) for pid, busy in raw.get("putil") or ()}
        self._told = self._told or bool(loads)
        yield from self._leave({pid for pid in self._there if pid not in sizes}, now)
        yield Sample(self._count, float(len(sizes)))
        for pid, size in sizes.items():
            person = self._there.get(pid) or Person(pid, labels(**dict(self._gpu), pid=pid))
            self._there[pid] = person
            yield from self._who(person)
            if size is not None:
                yield Sample(person.memory, size)
            busy = loads.get(pid, 0.0 if self._told else None)
            if busy is not None:
                yield Sample(person.load, busy)

    def last(self, now: float) -> Iterator[Sample | Event]:
        """While the GPU says nothing: those who were on it and still run, for they are who suffers."""
        yield from self._leave({pid for pid in self._there if self._state(pid) is None}, now)
        for person in self._there.values():
            yield from self._who(person)

    def pids(self) -> tuple[int, ...]:
        """Who is on it, as last read."""
        return tuple(self._there)

    def _leave(self, gone: set[int], now: float) -> Iterator[Event]:
        for pid in gone:
            yield Event(now, ENTITY_ENDED, self._there.pop(pid).own)

    def _state(self, pid: int) -> procstat.Stat | None:
        try:
            return procstat.stat(pid, self._proc)
        except AgentError:
            return None

    def _who(self, person: Person) -> Iterator[Sample]:
        state = self._state(person.pid)
        start = state.start_ticks if state is not None else None
        if person.info is None or (start is not None and start != person.start):
            person.start, person.info = start, self._name(person)
        yield Sample(person.info, 1.0)
        if state is not None or self._sees_all:
            yield Sample(person.alive, 0.0 if state is None or state.state in DEAD else 1.0)

    def _name(self, person: Person) -> Series:
        who: procs.Identity | None = None
        try:
            who = procs.identity(person.pid, self._proc)
        except (AgentError, OSError):  # gone, or not ours to see
            pass
        known = {
            "comm": who.comm if who else "",
            "user": who.user if who else "",
            "unit": (who.unit if who else None) or "",
            "container": (who.container if who else None) or "",
            "job": (who.job if who else None) or "",
        }
        return Series("gpu_process_info", labels(**dict(person.own), **known))


def sees_all(proc: str) -> bool:
    """Whether a pid that is not under /proc is really gone.

    In a container with processes of its own the real driver may name those of the host, which cannot be seen from here.
    """
    try:
        initial = os.readlink(f"{proc}/self/ns/pid") == INITIAL_PID_NAMESPACE
    except OSError:
        initial = True
    return initial or not os.path.exists(f"{proc}/driver/nvidia/version")
