"""Bound what a cgroup may use: memory, CPU, disk."""

from __future__ import annotations

import os
import re
from typing import ClassVar

from agent.actions._action import Base
from agent.actions._cgroup import Knob, knobs, of
from agent.actions._unit import shown, unit_of
from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.lane import aside
from agent.host.reach import Class, WillNot
from agent.model import JsonObject, Target
from agent.yamlfile import Bytes

SHOWN = {"CPUQuota": "CPUQuotaPerSecUSec"}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|min|h)\b")
_SPANS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass
class Action(Base):
    """``memory`` bytes (reclaim, no kill), ``cpus`` cores, ``io_weight`` 1..1000; v1 and v2. A unit is asked through systemd.

    Only a cgroup of its own is bounded: one that others share would bound them too.
    """

    class_: ClassVar[Class] = "reversible"
    kinds: ClassVar[tuple[str, ...]] = ("process", "unit", "cgroup")
    idempotent: ClassVar[bool] = True
    undoable: ClassVar[bool] = True
    memory: Bytes = 0.0
    cpus: float = 0.0
    io_weight: int = 0

    def plan(self) -> str:
        """In words."""
        parts = [f"memory to {self.memory / 2**20:.0f} MiB"] if self.memory else []
        parts += [f"CPU to {self.cpus:g} cores"] if self.cpus else []
        parts += [f"disk weight to {self.io_weight}"] if self.io_weight else []
        return f"bound {self.target.unit or self.target.cgroup or self.name}: {', '.join(parts)}"

    @property
    def _controllers(self) -> frozenset[str]:
        wanted = {"memory": self.memory, "cpu": self.cpus, "blkio": self.io_weight}
        return frozenset(name for name, value in wanted.items() if value)

    async def check(self) -> None:
        """There is a limit, a cgroup, and nobody else in it."""
        if not (self.memory or self.cpus or self.io_weight):
            raise WillNot("say memory, cpus or io_weight")
        if self.memory and self.memory < 16 * 2**20:
            raise WillNot("less than 16 MiB would stop it")
        if self.target.unit is None:
            await aside(lambda: of(self.target, self._controllers))

    async def act(self) -> JsonObject:
        """Set; what it was comes back."""
        if self.target.unit is not None:
            return await self._through_systemd(unit_of(self.target))
        return await aside(self._directly)

    async def _through_systemd(self, unit: str) -> JsonObject:
        wanted = {"MemoryHigh": self.memory, "CPUQuota": round(self.cpus * 100, 1), "IOWeight": self.io_weight}
        wanted = {name: value for name, value in wanted.items() if value}
        before = {name: await shown(self, unit, SHOWN.get(name, name)) for name in wanted}
        for name, value in wanted.items():
            if (has := _figure(before[name])) is not None and has < value:
                raise WillNot(f"{unit} has {name}={has:g} already")
        values = [f"{name}={value:g}%" if name == "CPUQuota" else f"{name}={value:.0f}" for name, value in wanted.items()]
        await self.command("systemctl", "set-property", "--runtime", "--", unit, *values)
        return {"unit": unit, "before": before}

    def _directly(self) -> JsonObject:
        folder = of(self.target, self._controllers)
        before: list[list[str]] = []
        for knob in self._knobs(folder):
            if knob.tighter():
                self._put_back(before)
                raise WillNot(f"{knob.path} is {knob.read()} already")
            before.append([knob.path, knob.read()])
            try:
                knob.write()
            except OSError as error:
                self._put_back(before[:-1])
                raise AgentError(
                    f"{knob.path}: {error.strerror}", help="the agent must be root, and the controller switched on"
                ) from None
        return {"before": before}

    def _knobs(self, folder: dict[str, str]) -> list[Knob]:
        found = knobs(folder, memory=self.memory, cpus=self.cpus, io_weight=self.io_weight)
        missing = [k.path for k in found if not os.path.exists(k.path)]
        if missing:
            raise WillNot(
                f"this kernel has no {missing[0]}", help="switch the controller on in the parent's cgroup.subtree_control"
            )
        return found

    async def verify(self, done: JsonObject) -> bool | None:
        """The kernel's files say it, a unit's too: systemd takes a property also where the kernel has no controller for it."""
        target = self.target
        if "unit" in done:
            target = Target("cgroup", done["unit"], cgroup=await shown(self, done["unit"], "ControlGroup"))
        return await aside(lambda: self._in_force(of(target, self._controllers)))

    def _in_force(self, folders: dict[str, str]) -> bool:
        try:
            return all(knob.holds() for knob in self._knobs(folders))
        except (WillNot, OSError):  # no such file: whoever took the limit cannot have set it
            return False

    async def undo(self, done: JsonObject) -> None:
        """Lift it."""
        if "unit" in done:
            await self.command("systemctl", "set-property", "--runtime", "--", done["unit"], *_lifted(done["before"]))
        else:
            await aside(lambda: self._put_back(done["before"]))

    @staticmethod
    def _put_back(before: list[list[str]]) -> None:
        for path, value in reversed(before):
            try:
                with open(path, "w") as file:
                    file.write(value)
            except OSError as error:
                raise AgentError(f"{path}: {error.strerror}") from None


def _figure(shown: str) -> float | None:
    """What ``systemctl show`` says of a limit; CPU time for each second as a percentage. None where there is none."""
    if shown.isdecimal():
        return float(shown) if int(shown) < 2**63 else None
    parts = _SPAN.findall(shown)
    return round(sum(float(number) * _SPANS[unit] for number, unit in parts) * 100, 1) if parts else None


def _lifted(before: dict[str, str]) -> list[str]:
    """What it was, in systemd's words: its own limit back, or none."""
    values = []
    for name, was in before.items():
        has, none = _figure(was), "infinity" if name == "MemoryHigh" else ""
        values.append(f"{name}={none if has is None else f'{has:g}%' if name == 'CPUQuota' else f'{has:.0f}'}")
    return values
