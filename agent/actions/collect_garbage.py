"""Let a Python process collect its garbage once: cycles that its own collector has not come round to."""

from __future__ import annotations

from typing import ClassVar

from agent.actions._action import Base
from agent.actions._process import held, pid_of
from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host import attach_gate, procs
from agent.host.attach import Stage, attach
from agent.host.lane import aside
from agent.host.procfs import read_once
from agent.host.procstat import status_field
from agent.host.reach import Class, WillNot
from agent.host.text import clean
from agent.model import JsonObject
from agent.yamlfile import Bytes, Seconds


@dataclass
class Action(Base):
    """Attaches as the memray probe does, and refuses whatever that refuses. Its effect is that anonymous memory fell by ``least``.

    The program stands still while it collects: refused if that could take longer than ``pause``. A lone thread is waited for at
    most ``patience``. One that switched its collector off is left alone, unless ``though_off``.
    """

    class_: ClassVar[Class] = "disruptive"
    idempotent: ClassVar[bool] = True
    pause: Seconds = 2.0
    patience: Seconds = 10.0
    though_off: bool = False
    least: Bytes = 2.0**20

    def plan(self) -> str:
        """In words."""
        return f"attach to {self.name} and let it collect its garbage, standing still for {self.pause:g} s at most"

    async def check(self) -> None:
        """It may be attached to, now."""
        await aside(self._admit, 15.0)

    def _admit(self) -> None:
        with held(self.target):
            try:
                attach_gate.admit(pid_of(self.target))
            except AgentError as refusal:
                raise WillNot(refusal.message, help=refusal.help) from None

    async def act(self) -> JsonObject:
        """How many objects went, how long it stood still, and its anonymous bytes before and after."""
        pid, before = await aside(lambda: pid_of(self.target)), await aside(self._anonymous)

        def same(target: attach_gate.Admitted) -> Stage:
            if abs(target.start_time - (self.target.start_time or 0.0)) > procs.SAME_START_S:
                raise WillNot(f"process {pid} is gone, or its number is another's")
            return Stage("collect", self.patience, self.pause, self.though_off)

        async with attach(pid, same, state_dir=self.reach.state_dir) as watched:
            told = await watched.collected()
        if why := told.get("refused"):
            raise WillNot(f"process {pid} was left as it was: {clean(str(why), 200)}")
        keys = ("unreachable", "pause_s", "stuck", "by")
        after = await aside(self._anonymous)
        return {k: _plain(told.get(k)) for k in keys} | {"gdb_s": round(watched.pause_s, 3), "before": before, "after": after}

    def _anonymous(self) -> int:
        """Bytes of its own, not of files."""
        found = status_field(read_once(f"/proc/{pid_of(self.target)}/status"), b"RssAnon")
        return int((found or b"0").split()[0]) * 1024

    async def verify(self, done: JsonObject) -> bool | None:
        """Its memory fell, and has not come back."""
        if not await aside(lambda: procs.still(pid_of(self.target), self.target.start_time or 0.0)):
            return None
        return int(done["before"]) - await aside(self._anonymous) >= self.least


def _plain(found: object) -> object:
    """A figure or a short word: what a target writes is not trusted."""
    return found if isinstance(found, int | float) else clean(str(found), 40)
