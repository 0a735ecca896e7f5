"""One process that calls NVML, seen from the agent: started, asked, watched through its beacon, and given up when it hangs.

A process that hangs in the driver in state D cannot be killed: it gets the signal, is never waited for, and whoever holds it looks
now and then whether it has ended. Started without :mod:`subprocess`, which keeps a list of children of its own and warns of those.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import marshal
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.errors import AgentError, Unavailable
from agent.host import nvml_wire as wire
from agent.host.nvml_wire import Beacon, Where

SLICE_S = 0.25
"""How often the beacon is looked at while an answer is awaited; the first look is at the call's deadline or so soon."""
DEATH_S = 0.1
"""A process that outlives SIGKILL by so long is stuck in the driver."""
OPENING = ("nvmlInit", "nvmlDeviceGetHandleByIndex")
"""Without persistence mode these start the GPU, which takes 1.5 s and more."""
STARTS = 3
"""A process may take so many times the deadline of opening until it is open: many GPUs are started one after the other."""
MOST_BYTES = 4 << 20
START = "import sys; sys.path[:0] = {path!r}; from agent.host.nvml_worker import main; main({options!r})"

Reply = dict[str, Any]


class Died(AgentError):
    """The process ended in the middle of a request; ``where`` is the call it was in."""

    def __init__(self, during: Where | None) -> None:
        super().__init__(f"the NVML process ended in {during.call if during else 'a request'}")
        self.during = during


class TimedOut(AgentError):
    """A call did not come back within its deadline; ``where`` says which, on which GPU, since when."""

    def __init__(self, during: Where) -> None:
        super().__init__(f"{during.call} has not come back for {time.monotonic() - during.since:.1f} s")
        self.during = during


class Child:
    """A worker process. ``opened`` holds what it said once NVML was initialised; not to be used by two threads at once."""

    def __init__(
        self, library: str, skip: Sequence[int] = (), only: int | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.only = only
        self.opened: Reply | None = None
        self.began = time.monotonic()
        self._rest = b""
        self._ended = False
        mine, theirs = socket.socketpair()
        page = os.memfd_create("nvml-beacon")
        try:
            os.ftruncate(page, 4096)
            self.beacon = Beacon(page)
            self.pid = _start(theirs.fileno(), page, library, list(skip), only, dict(os.environ if env is None else env))
        except BaseException:
            mine.close()
            raise
        finally:
            theirs.close()
            os.close(page)
        self._socket = mine
        mine.setblocking(False)

    def send(self, request: Mapping[str, Any]) -> None:
        """Ask; :class:`Died` if there is nobody."""
        try:
            self._socket.sendall(wire.packed(dict(request)))
        except OSError:
            raise Died(self.beacon.where()) from None

    def receive(self, patience: float, call_s: float, open_s: float) -> Reply | None:
        """The next answer, or None after ``patience`` seconds.

        :class:`TimedOut` as soon as one call takes longer than ``call_s`` (``open_s`` until it is open), :class:`Died` if the
        process ended.
        """
        until = time.monotonic() + patience
        while (reply := self._message()) is None:
            now = time.monotonic()
            self._check(now, call_s, open_s)
            left = until - now
            if left <= 0:
                return None
            ready = select.poll()  # select() refuses descriptors above 1023, and the agent holds many
            ready.register(self._socket, select.POLLIN)
            ready.poll(1000.0 * min(left, SLICE_S, call_s))
        if self.opened is None:
            self.opened = reply
        return reply

    def _check(self, now: float, call_s: float, open_s: float) -> None:
        where = self.beacon.where()
        if where is None:
            if self.opened is None and now - self.began > STARTS * open_s:
                raise TimedOut(Where(wire.NO_GPU, "start", self.began))
        elif now - where.since > (open_s if self.opened is None or where.call in OPENING else call_s):
            raise TimedOut(where)

    def _message(self) -> Reply | None:
        head = wire.HEADER
        while len(self._rest) < head.size or len(self._rest) < head.size + head.unpack_from(self._rest)[0]:
            try:
                part = self._socket.recv(1 << 16)
            except BlockingIOError:
                return None
            except OSError:
                part = b""
            if not part or len(self._rest) > MOST_BYTES:
                raise Died(self.beacon.where())
            self._rest += part
        end = head.size + head.unpack_from(self._rest)[0]
        data, self._rest = self._rest[head.size : end], self._rest[end:]
        try:
            reply: Reply = marshal.loads(data)
        except (ValueError, EOFError, TypeError):
            raise Died(self.beacon.where()) from None
        return reply

    # ------------------------------------------------------------------------------------------ the end

    def hang_up(self) -> None:
        """No more requests: an idle process shuts NVML down and ends."""
        self._socket.close()

    def kill(self) -> None:
        """End it now; one in state D ends when the driver lets it go."""
        self.hang_up()
        if not self._ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def ended(self, patience: float = 0.0) -> bool:
        """Whether it is gone, without ever waiting longer than ``patience`` seconds."""
        until = time.monotonic() + patience
        while not self._ended:
            try:
                self._ended = os.waitpid(self.pid, os.WNOHANG)[0] == self.pid
            except ChildProcessError:  # somebody who waits for all children took it
                self._ended = True
            if self._ended or time.monotonic() >= until:
                break
            time.sleep(0.01)
        return self._ended


class Past:
    """Processes no longer asked: those that are about to end, and those stuck in the driver."""

    def __init__(self) -> None:
        self._leaving: list[Child] = []
        self._stuck: list[Child] = []

    @property
    def stuck(self) -> int:
        """How many outlived SIGKILL."""
        return len(self._stuck)

    def dismiss(self, child: Child, hangs: bool) -> None:
        """An idle process ends by itself once its socket is closed; one that hangs is killed, and stuck if that does not help."""
        if not hangs:
            child.hang_up()
            self._leaving.append(child)
            return
        child.kill()
        if not child.ended(DEATH_S):
            self._stuck.append(child)

    def reap(self) -> bool:
        """Forget those that have ended; True if the driver has let a stuck one go."""
        self._leaving = [child for child in self._leaving if not child.ended()]
        before, self._stuck = len(self._stuck), [child for child in self._stuck if not child.ended()]
        return len(self._stuck) < before

    def end(self, patience: float) -> bool:
        """Give all of them so many seconds to end by themselves; True if none is left."""
        until = time.monotonic() + patience
        leaving, self._leaving = self._leaving, []
        for child in leaving:
            if not child.ended(max(0.0, until - time.monotonic())):
                self.dismiss(child, True)
        self.reap()
        return not self._stuck


@functools.cache
def _path() -> list[str]:
    """The agent's package and pynvml's folder."""
    found = importlib.util.find_spec("pynvml")
    if found is None or found.origin is None:
        raise Unavailable("nvidia-ml-py is not in the agent's environment", help="pip install nvidia-ml-py")
    return [str(Path(__file__).resolve().parents[2]), str(Path(found.origin).parent)]


def _start(fd: int, page: int, library: str, skip: list[int], only: int | None, env: dict[str, str]) -> int:
    """Start the worker with its own little search path: the agent's package and pynvml's folder."""
    path = _path()
    options = {"fd": fd, "beacon": page, "parent": os.getpid(), "library": library, "skip": skip, "only": only}
    argv = [sys.executable, "-I", "-S", "-c", START.format(path=path, options=options)]
    actions: list[Any] = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in (0, 1)]
    actions += [(os.POSIX_SPAWN_DUP2, n, n) for n in (fd, page)]  # onto itself: the child keeps it
    # A group of its own: the terminal's Ctrl-C is for the agent.
    return os.posix_spawn(sys.executable, argv, env, file_actions=actions, setpgroup=0)
