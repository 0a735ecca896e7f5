"""One running workload: started in its private folder, watched until its fault is active, and gone without a trace afterwards."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from agent.drill.case import Case
from agent.errors import AgentError
from agent.host import procs, session
from agent.host.lane import aside
from agent.host.session import Session

READY_S = 90.0
"""How long a workload may take until it says READY."""
_LATE_TARGET_S = 2.0
_LAST_WORDS_S = 2.0
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")

COMPILE_LOAD = """
import signal, time
signal.alarm(240)
text = "\\n".join("def f%d(a, b=%d):\\n    return [a * k + b for k in range(b) if k %% 3]" % (n, n) for n in range(150))
while True:
    began = time.perf_counter()
    compile(text, "f", "exec")
    time.sleep(time.perf_counter() - began)
"""
"""A background load such as a build beside the workload: about half a core."""


class NotHeld(AgentError):
    """The workload did not come up, so the drill says nothing about the agent."""


class Patient:
    """A started workload. ``target`` is the pid to diagnose (None for the host), ``guilty`` the pids it printed as CULPRIT."""

    def __init__(self, running: Session, target: int | None) -> None:
        self.running = running
        self.target = target
        self.guilty: set[int] = set()
        self.ready = False

    @property
    def fate(self) -> str:
        """How it ended, or "" while it runs or if it ended well."""
        rc = self.running.rc
        if not rc:
            return ""
        tail = self.running.error_tail.splitlines()
        said = f": {tail[-1]}" if tail else ""
        return (f"killed by signal {-rc}" if rc < 0 else f"exit {rc}") + said

    def lost(self) -> str:
        """That the process looked at is gone, where another one was started and may not tell; "" while it lives. Reads /proc."""
        if self.target is None or self.target == self.running.pid:
            return ""
        try:
            return "" if procs.state(self.target) not in "ZX" else f"process {self.target} ended"
        except AgentError:
            return f"process {self.target} is gone"

    def take(self, line: str) -> None:
        """One line of its output."""
        word, _, rest = line.strip().partition(" ")
        if word == "READY":
            self.ready = True
        elif word == "TARGET" and self.target is not None and rest.strip().isdigit():
            self.target = int(rest)
        elif word == "CULPRIT" and rest.strip().isdigit():
            self.guilty.add(int(rest))

    def drain(self) -> None:
        """Take what it has printed by now."""
        while not self.running.lines.empty():
            if (line := self.running.lines.get_nowait()) is not None:
                self.take(line)


def clean_environment(folder: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """A small environment: nothing of the agent's, and temporary files under ``folder``."""
    scratch = folder / ".tmp"
    scratch.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    own = os.path.dirname(sys.executable)
    kept["PATH"] = os.pathsep.join(entry for entry in os.get_exec_path() if entry != own)
    quiet = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(scratch)}
    return {**kept, **quiet, **extra}


async def start_patient(case: Case, python: str) -> Patient:
    """Start the workload and wait until it is READY; :class:`NotHeld` with the reason if that does not come."""
    argv = [word.replace("{python}", python) for word in case.start]
    running = await session.start(argv, cwd=str(case.folder), env=await aside(lambda: clean_environment(case.folder, case.env)))
    patient = Patient(running, None if case.target == "host" else running.pid)
    try:
        await _until_ready(patient, case)
    except BaseException:
        await asyncio.shield(running.stop())
        raise
    return patient


async def _until_ready(patient: Patient, case: Case) -> None:
    try:
        async with asyncio.timeout(READY_S):
            while not patient.ready:
                if (line := await patient.running.lines.get()) is None:
                    await patient.running.ended(_LAST_WORDS_S)
                    raise NotHeld(f"the workload ended before it was ready ({patient.fate or 'exit 0'})")
                patient.take(line)
    except TimeoutError:
        raise NotHeld(f"the workload was not ready within {READY_S:g} s") from None
    if case.target == "printed" and patient.target == patient.running.pid:
        await _late_target(patient)


async def _late_target(patient: Patient) -> None:
    """A TARGET line may follow READY."""
    try:
        async with asyncio.timeout(_LATE_TARGET_S):
            while patient.target == patient.running.pid:
                if (line := await patient.running.lines.get()) is None:
                    break
                patient.take(line)
    except TimeoutError:
        pass
    if patient.target == patient.running.pid:
        raise NotHeld("the workload printed no line TARGET <pid>")


async def start_background(kind: str, python: str, folder: Path) -> Session | None:
    """The load that runs beside a variant; None for ``none``."""
    if kind == "none":
        return None
    env = await aside(lambda: clean_environment(folder, {}))
    return await session.start([python, "-c", COMPILE_LOAD], cwd=str(folder), env=env)
