"""NVML for the agent: readings of all GPUs through a process that may hang, be killed and be started anew.

A call past its deadline costs that process, never the agent: the GPU it was for is left alone and tried by a scout of its own, with
growing pauses, while the others go on. What was last known stays, with its age. Blocking code: for a lane.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from agent.errors import Unavailable
from agent.host import nvml_wire as wire
from agent.host.nvml_child import Child, Died, Past, Reply, TimedOut
from agent.host.nvml_driver import Board, Library, boards
from agent.host.nvml_gpu import Counters, GpuState, Pause, Reading, Roster, Status
from agent.host.nvml_scout import Scouts
from agent.host.nvml_wire import Where

log = logging.getLogger("anfl.nvml")

CALL_S = 1.5
"""Deadline of one call: with a reading a second a hang is noticed within three. Healthy calls take 0.01 to 20 ms; one that waits
for the GPU's own processor (GSP) takes 6 s and fails."""
OPEN_S = 10.0
"""Deadline of a call while NVML is opened: without persistence mode each GPU is started anew, which takes 1.5 s and more."""
ALL_CALLS = 3
"""All calls of a reading together may take so many times the deadline of one."""
PATIENCE_S = 2.5
"""How long a reading waits for a process that is still starting, or for another reading."""
GOODBYE_S = 1.0
MOST_STUCK = 3
"""Processes that hang in the driver at the same time; each keeps some MiB until the driver lets it go."""
RENEW_S = 300.0
"""While a GPU is lost NVML is opened anew so often: a library may never see that it was reset."""
RELEASED_MOST_S = 1800.0
"""After a release nobody ended, readings begin again by themselves."""

_ERRORS = {
    wire.DRIVER_NOT_LOADED: "the NVIDIA driver is not loaded",
    wire.VERSION_MISMATCH: "the NVML library and the loaded driver have different versions",
    wire.LIBRARY_NOT_FOUND: "libnvidia-ml.so.1 cannot be loaded",
}
NO_LIBRARY = "no NVIDIA driver: libnvidia-ml.so.1 is not installed"


class Nvml:
    """The one door to NVML. Safe to use from several lanes.

    ``library``: a folder or file instead of what the loader finds. ``call_s`` and ``open_s`` are deadlines in seconds, ``env`` the
    environment of the process.
    """

    def __init__(
        self,
        library: str = "",
        *,
        call_s: float = CALL_S,
        open_s: float = OPEN_S,
        proc: str = "/proc",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.counters = Counters()
        self._library = Library(library, env, proc)
        self._proc = proc
        self._call_s = call_s
        self._open_s = open_s
        self._env = env
        self._roster = Roster()
        self._scouts = Scouts(self._roster, self._scout, self._dismiss)
        self._child: Child | None = None
        self._past = Past()
        self._pause = Pause()
        self._status: Status = "starting"
        self._why = ""
        self._code = 0
        self._driver = ""
        self._counted = (0, 0.0)
        self._started = False
        self._released = 0.0
        self._users = 0
        self._lock = threading.Lock()

    # ------------------------------------------------------------------------------------------ asking

    def read(self, tier: str, **also: Any) -> Reading:
        """One tier (``fast`` or ``health``) of every GPU, with a deadline on each call. Unavailable where there is no NVML."""
        if not self._lock.acquire(timeout=PATIENCE_S):
            return self._reading()
        try:
            return self._read(tier, also)
        finally:
            self._lock.release()

    def known(self) -> tuple[GpuState, ...]:
        """Every GPU ever seen, as last known; asks nobody."""
        return tuple(gpu.state() for gpu in list(self._roster))

    def _read(self, tier: str, also: Mapping[str, Any]) -> Reading:
        now = time.monotonic()
        self._reap(now)
        if self._released > now:
            return self._reading()
        try:
            child = self._ready(now)
            if child is None:
                return self._reading()
            child.send({"do": tier, "skip": self._roster.skipped(), **also})
            reply = child.receive(self._call_s * ALL_CALLS, self._call_s, self._open_s)
            if reply is None:  # no single call hangs, but together they take too long
                raise TimedOut(child.beacon.where() or Where(wire.NO_GPU, tier, now))
        except (TimedOut, Died) as trouble:
            self._blame(trouble)
            return self._reading()
        if "over" in reply:  # taken from under a process that had it open: a fresh one tells what is the matter
            self._dismiss(child, False)
            self._child, self._status, self._why = None, "starting", "NVML is being opened anew"
            return self._reading()
        self._count(reply)
        if "list" in reply:
            self._roster.enlist(reply["list"], self.boards)
        self._status, self._why, self._code = "up", "", 0
        self._pause.over()
        self._look_after(now)
        return self._reading(reply["gpus"])

    def _look_after(self, now: float) -> None:
        """Those left alone; only while the others answer, or nobody would know whose fault a silence is."""
        if self._past.stuck < MOST_STUCK:
            before = self._scouts.timeouts
            self._scouts.look(now, self._call_s, self._open_s)
            self.counters.timeouts += self._scouts.timeouts - before

    def _reading(self, values: Mapping[str, Any] | None = None) -> Reading:
        gpus = self._roster.states(values or {}, time.monotonic())
        hung = self._status == "hung" or any(g.hung for g in gpus)
        status: Status = "released" if self._released > time.monotonic() else self._status
        return Reading(
            status, self._why, hung, self._code == wire.VERSION_MISMATCH or self._library.differs(), self._driver, gpus, self._code
        )

    def _count(self, reply: Reply) -> None:
        calls, seconds = reply["calls"], reply["seconds"]
        self.counters.calls += calls - self._counted[0]
        self.counters.seconds += seconds - self._counted[1]
        self._counted = (calls, seconds)

    # ------------------------------------------------------------------------------------------ the process

    def _ready(self, now: float) -> Child | None:
        """A process that has NVML open, or None while there is none; started where it is time to."""
        self._follow_library()
        if self._child is None:
            if now < self._pause.until or self._past.stuck >= MOST_STUCK:
                return None
            self._spawn()
        child = self._child
        if child is None or child.opened is not None:
            return child
        reply = child.receive(PATIENCE_S, self._call_s, self._open_s)
        if reply is None:
            self._why = self._why or "NVML is being opened"
            return None
        if "over" in reply:
            self._over(reply["over"])
            return None
        self._count(reply)
        self._driver = str(reply["driver"])
        self._roster.enlist(reply["list"], self.boards)
        return child

    def _spawn(self) -> None:
        if not self._library.there:
            self._status, self._why = "down", NO_LIBRARY
            if self._roster:
                return
            raise Unavailable(NO_LIBRARY)
        self.counters.respawns += self._started
        self._started, self._counted = True, (0, 0.0)
        self._library.opened()
        self._child = Child(self._library.to_open, self._roster.skipped(), env=self._env)

    def _scout(self, index: int) -> Child:
        return Child(self._library.to_open, only=index, env=self._env)

    def _follow_library(self) -> None:
        """A new library that fits the loaded driver needs a fresh process; while one does not fit, the old process serves on."""
        if self._child is None or self._child.opened is None:
            return
        old = time.monotonic() - self._child.began > RENEW_S and any(gpu.gone for gpu in self._roster)
        if self._library.renewed() or old:
            log.info("opening NVML anew: %s", "a GPU is lost, it may have been reset" if old else "the library has changed")
            self._dismiss(self._child, False)
            self._child = None

    def boards(self) -> list[Board]:
        """The GPUs the loaded driver has taken on, as files tell."""
        return boards(self._proc, self._env)

    @property
    def version(self) -> str:
        """Version of the library on disk; "" where its name does not tell."""
        return self._library.version

    def _over(self, code: int) -> None:
        """NVML cannot be opened."""
        if self._child is not None:
            self._dismiss(self._child, False)
        self._child = None
        why = _ERRORS.get(code, f"NVML answers with error {code}")
        if code != self._code:
            log.warning("NVML: %s", why)
        self._status, self._why, self._code = "down", why, code
        self._pause.longer(time.monotonic())
        if code in (wire.DRIVER_NOT_LOADED, wire.LIBRARY_NOT_FOUND) and not self._roster:
            raise Unavailable(why)

    def _blame(self, trouble: TimedOut | Died) -> None:
        """Give the process up, and leave the GPU alone whose call it was in."""
        now, where, late = time.monotonic(), trouble.during, isinstance(trouble, TimedOut)
        if self._child is not None:
            self._dismiss(self._child, True)
        self._child = None
        self.counters.timeouts += late
        gpu = None if where is None else self._roster.at(where.gpu)
        log.warning("NVML: %s%s", trouble.message, "" if gpu is None else f" (GPU {gpu.index}, {gpu.uuid})")
        if gpu is not None and where is not None:
            self._scouts.blame(gpu, where.call if late else "", now)
        else:
            self._status, self._why, self._code = "hung" if late else "down", trouble.message, 0
            self._pause.longer(now)

    # ------------------------------------------------------------------------------------------ letting go

    def _dismiss(self, child: Child, hangs: bool) -> None:
        self._past.dismiss(child, hangs)

    def _reap(self, now: float) -> None:
        """Once the driver lets a process go it may answer again: no more waiting."""
        if self._past.reap():
            self._pause.cut(now)
            self._scouts.cut(now)

    def release(self, most: float = RELEASED_MOST_S) -> bool:
        """Close NVML, for a GPU reset or a driver unload, for at most so many seconds; True once no process of ours holds it."""
        with self._lock:
            self._released = time.monotonic() + most
            return self._let_go()

    def resume(self) -> None:
        """End a release."""
        self._released = 0.0

    def _let_go(self) -> bool:
        self._scouts.call_off()
        if self._child is not None:
            self._dismiss(self._child, False)
            self._child = None
        return self._past.end(GOODBYE_S)

    def used(self) -> Nvml:
        """One more collector uses it; :meth:`close` takes one away."""
        self._users += 1
        return self

    def close(self) -> None:
        """The last user's goodbye ends the process; one that hangs is left to the kernel, never waited for."""
        self._users -= 1
        if self._users <= 0:
            with self._lock:
                self._let_go()


_shared: dict[tuple[str, float, str], Nvml] = {}


def shared(library: str = "", call_s: float = CALL_S, proc: str = "/proc") -> Nvml:
    """The agent's one NVML with these settings: the GPU collectors and actions use the same."""
    return _shared.setdefault((library, call_s, proc), Nvml(library, call_s=call_s, proc=proc))
