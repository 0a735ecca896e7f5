"""The kernel's own crashes, and those of programs: oops, panic, broken page state, segfault.

An oops begins with what went wrong and says a few lines later on which CPU and in which task: one event. Forms of
arch/x86/mm/fault.c, arch/x86/kernel/dumpstack.c, arch/arm64/mm/fault.c, kernel/panic.c, lib/dump_stack.c.
"""

from __future__ import annotations

import re

from agent.engine.kernel.log import NEAR_LINES, Log
from agent.engine.kernel.record import Happening, Value
from agent.engine.kernel.words import integer

_OOPS = re.compile(
    r"BUG: unable to handle |BUG: kernel NULL pointer dereference|Unable to handle kernel |Unable to handle \w+ |Internal error: "
    r"|kernel BUG at |(?:Oops: )?(?:general protection fault|divide error|invalid opcode|stack segment|double fault|int3|bounds|"
    r"alignment check|segment not present|invalid TSS|x87 FPU exception|coprocessor segment overrun)\b.{0,120}?: [0-9a-f]{4}\b"
    r"|(?:Oops|PANIC): |Unexpected kernel BRK exception"
)
_BROKEN = re.compile(
    r"BUG: (?:Bad page (?:state|map)|Bad rss-counter|scheduling while atomic|KASAN|KFENCE|spinlock |sleeping function)"
)
_PANIC = re.compile(r"Kernel panic - not syncing: (.{1,200})", re.DOTALL)
_WHERE = re.compile(r"CPU: (\d{1,6}) (?:UID: \d+ )?PID: (\d{1,10}) Comm: (.{1,64}?)(?= (?:Tainted|Not tainted|Kdump)|\s*\Z)")
_SEGFAULT = re.compile(
    r"(?:(.{1,64})\[(\d{1,10})\]: )?segfault at ([0-9a-f]{1,16}) ip ([0-9a-f]{1,16})(?: sp [0-9a-f]{1,16})?(?: error \w+)?"
)
_TRAP = re.compile(r"traps: (.{1,64})\[(\d{1,10})\] (?:trap )?([a-z][\w ]{1,40}?):? ip:([0-9a-f]{1,16}) sp:")
_LIBRARY = re.compile(r" in (\S{1,200}?)(?:\[[0-9a-f]+(?:[+,][0-9a-f,+]*)?\]|\s|\Z)")


class Crash:
    """Keeps the crash whose CPU and task are still to be told."""

    def __init__(self) -> None:
        self._open: tuple[Happening, int] | None = None
        self._oops: tuple[Happening, int] | None = None

    def read(self, text: str, log: Log) -> bool:
        """One line; True if it belongs to this family."""
        if (where := _WHERE.match(text)) is not None:
            self._place({"cpu": int(where[1]), "pid": int(where[2]), "process": where[3]}, log)
        elif (panic := _PANIC.match(text)) is not None:
            self._begin("kernel_panic", {"reason": panic[1].strip()}, log)
        elif _BROKEN.match(text):
            self._begin("kernel_bug", {"reason": text[:200]}, log)
        elif _OOPS.match(text):
            return self._crash(text, log)
        else:
            return self._program(text, log)
        return True

    def _crash(self, text: str, log: Log) -> bool:
        """Several lines of one crash begin like crashes of their own until its task is told."""
        known = self._oops
        if known is not None and log.line - known[1] <= NEAR_LINES and self._open is not None and self._open[0] is known[0]:
            return True
        self._oops = (self._begin("kernel_oops", {"reason": text[:200]}, log), log.line)
        return True

    def _begin(self, kind: str, fields: dict[str, Value], log: Log) -> Happening:
        event = log.add(kind, {**fields, "cpu": None, "pid": None, "process": None}, waits=True)
        self._open = (event, log.line)
        return event

    def _place(self, where: dict[str, Value], log: Log) -> None:
        if self._open is None:
            return
        event, line = self._open
        self._open = None
        if log.line - line <= NEAR_LINES:
            event.fields |= where
            event.waits = False

    def _program(self, text: str, log: Log) -> bool:
        if (found := _SEGFAULT.match(text)) is not None:
            fields: dict[str, Value] = {"process": found[1], "pid": integer(found[2])}
        elif (trap := _TRAP.match(text)) is not None:
            fields, found = {"process": trap[1], "pid": int(trap[2]), "trap": trap[3]}, trap
        else:
            return False
        library = _LIBRARY.search(text, found.end())
        log.add("segfault", {**fields, "library": library[1] if library else None})
        return True
