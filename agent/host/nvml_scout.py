"""GPUs that are left alone, and how it is found out that they answer again: one process at a time, never waited for long."""

from __future__ import annotations

import logging
from collections.abc import Callable

from agent.host.nvml_child import Child, Died, TimedOut
from agent.host.nvml_gpu import Gpu, Roster

log = logging.getLogger("anfl.nvml")

TOGETHER_S = 60.0
"""Two GPUs whose calls hang within so long: it is the driver, not one of them."""
GLANCE_S = 0.3
"""A healthy process is open and has answered within so long."""


class Scouts:
    """Tries GPUs that were left alone; at most one process is out."""

    def __init__(self, roster: Roster, start: Callable[[int], Child], dismiss: Callable[[Child, bool], None]) -> None:
        self._roster = roster
        self._start = start
        self._dismiss = dismiss
        self.timeouts = 0

    def blame(self, gpu: Gpu, call: str, now: float) -> None:
        """A call for it did not come back (``call``), or killed the process (""). Two such GPUs: none is asked for a while."""
        gpu.leave_alone(now, call)
        if call and any(g.hung and g is not gpu and now - g.left < TOGETHER_S for g in self._roster):
            for other in self._roster:
                if not other.left:
                    other.leave_alone(now, "not asked: calls of other GPUs hang", with_others=True)

    def look(self, now: float, call_s: float, open_s: float) -> None:
        """Start the next try or hear the one that is out."""
        out = next((g for g in self._roster if g.scout is not None), None)
        if out is None:
            waiting = [g for g in self._roster if g.left and not g.with_others and now >= g.pause.until]
            if not waiting:
                return
            out = min(waiting, key=lambda g: g.pause.until)
            out.scout = self._start(out.index_now)
        if out.scout is not None:
            self._hear(out, out.scout, now, call_s, open_s)

    def _hear(self, gpu: Gpu, scout: Child, now: float, call_s: float, open_s: float) -> None:
        late = False
        try:
            if scout.opened is None and (reply := scout.receive(GLANCE_S, call_s, open_s)) is not None and "over" not in reply:
                scout.send({"do": "fast", "skip": []})
            reply = scout.receive(GLANCE_S, call_s, open_s) if scout.opened is not None else None
            if reply is None and not (scout.opened and "over" in scout.opened):
                return
            # Another GPU's answer: indexes have shifted, so nobody knows any more which one is left alone.
            if reply and any("gone" not in got or uuid != gpu.uuid for uuid, got in reply.get("gpus", {}).items()):
                self._welcome(gpu)
            else:
                gpu.leave_alone(now, gpu.hung)
        except (TimedOut, Died) as trouble:
            late = isinstance(trouble, TimedOut)
            self.timeouts += late
            gpu.leave_alone(now, gpu.hung)
        gpu.scout = None
        self._dismiss(scout, late)

    def _welcome(self, gpu: Gpu) -> None:
        log.info("NVML: GPU %d (%s) answers again", gpu.index, gpu.uuid)
        gpu.back()
        for other in self._roster:
            if other.with_others:
                other.back()

    def cut(self, now: float) -> None:
        """The driver has let a hanging process go: no more waiting."""
        for gpu in self._roster:
            gpu.pause.cut(now)

    def call_off(self) -> None:
        """End the one that is out."""
        for gpu in self._roster:
            if gpu.scout is not None:
                self._dismiss(gpu.scout, False)
                gpu.scout = None
