"""May this process be attached to now? Asked before any debugger comes near it; answers within three seconds, changes nothing.

A debugger on a process that makes no progress hangs with its breakpoints set; on one in uninterruptible sleep it leaves a stop
signal behind. So: state, tracer, Python version and rights first, then a look at whether anything moves.
"""

from __future__ import annotations

import os
import time

from agent.dataclass import dataclass
from agent.errors import Refused
from agent.host import procs
from agent.host.procfs import read_once
from agent.host.procstat import stat, status_field

WATCH_S = 2.0
"""A process without CPU time and without a context switch for so long is blocked."""
BLOCKED_S = 0.5
"""A thread in uninterruptible sleep for so long, without a switch, may stay there."""
LOOK_S = 0.03
ENOUGH_S = 0.12
"""Shortest watch: long enough to tell a busy process from one that merely wakes."""
ASKS = 15
"""Looks at what it runs before it is taken for no Python."""
OLDEST, NEWEST = (3, 9), (3, 13)


@dataclass(frozen=True)
class Admitted:
    """A process one may attach to. ``cores`` is the CPU it used while it was watched (1.0 is a whole core)."""

    pid: int
    start_time: float
    ticks: int
    python: str
    uid: int
    gid: int
    cores: float


class Moves:
    """CPU nanoseconds and time slices of every thread, and which threads stay in uninterruptible sleep."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.blocked: dict[int, tuple[int, float]] = {}
        self.first = self.look()
        self.began = time.monotonic()

    def look(self) -> dict[int, tuple[int, int]]:
        """(nanoseconds on a CPU, time slices) by thread id."""
        found = {}
        now = time.monotonic()
        for tid in _tids(self.pid):
            base = f"/proc/{self.pid}/task/{tid}"
            try:
                ran, _, slices = read_once(f"{base}/schedstat").split()
                raw = read_once(f"{base}/stat", 1024)
            except (OSError, ValueError):
                continue
            found[tid] = (int(ran), int(slices))
            if raw[raw.rfind(b")") + 2 :][:1] == b"D" and self.blocked.get(tid, (int(slices), 0.0))[0] == int(slices):
                self.blocked.setdefault(tid, (int(slices), now))
            else:
                self.blocked.pop(tid, None)
        return found

    def longest_block(self) -> float:
        """Seconds the longest of the threads now in uninterruptible sleep has been there."""
        return max((time.monotonic() - since for _, since in self.blocked.values()), default=0.0)

    def cores(self, now: dict[int, tuple[int, int]]) -> float:
        """CPU used since the first look, in cores."""
        ran = sum(row[0] - self.first.get(tid, (0, 0))[0] for tid, row in now.items())
        return ran / 1e9 / max(0.001, time.monotonic() - self.began)


def _tids(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        raise procs.NoSuchProcess(pid) from None


def check_state(pid: int) -> None:
    """Refuse what may be seen at a glance: gone, stopped, traced, not permitted, not Python, too old or too new."""
    state, tracer = procs.state(pid), procs.tracer(pid)
    if state in "ZX":
        raise Refused(f"process {pid} has ended and waits to be reaped", help="look at its parent")
    if tracer:
        raise Refused(
            f"process {pid} is traced by process {tracer} ({_comm(tracer)}); a process has one tracer at most",
            help=f"end the debugger or strace with pid {tracer}, or use py-spy, which needs no tracing",
        )
    if state in "Tt":
        raise Refused(f"process {pid} is stopped", help=f"continue it with `kill -CONT {pid}` and try again")
    if procs.kernel_thread(pid):
        raise Refused(f"process {pid} is a kernel thread", help="memray reads Python programs only")


def check_python(pid: int) -> str:
    """The target's Python version, if memray can be brought into it."""
    python = None
    for _ in range(ASKS):  # while it waits for its disk it is not asked for its memory map, and so not known
        python = procs.python_minor(pid)
        if python is not None:
            break
        time.sleep(LOOK_S / 2)
    if python is None:
        raise Refused(
            f"process {pid} is not a Python program", help="name the Python process itself, for example a child of this one"
        )
    major, minor = (int(part.rstrip("t")) for part in python.split("."))
    if python.endswith("t") or not OLDEST <= (major, minor) <= NEWEST:
        raise Refused(
            f"process {pid} runs Python {python}; memory can be tracked from {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}",
            help="use tracemalloc inside the program, or run it on a version in that range",
        )
    return python


def check_rights(pid: int) -> None:
    """Refuse where the kernel would not let us trace it: opening its memory asks exactly that question."""
    try:
        os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC))
    except PermissionError:
        raise Refused(
            f"process {pid} may not be traced by this user" + _yama(),
            help="run as root or as the process's own user and group, or add CAP_SYS_PTRACE (containers: --cap-add SYS_PTRACE)",
        ) from None
    except OSError:
        raise procs.NoSuchProcess(pid) from None


def admit(pid: int) -> Admitted:
    """Admit the process or raise :class:`Refused` with the reason and the mend; blocks for at most three seconds."""
    check_state(pid)
    moves = Moves(pid)
    if not moves.blocked:  # in uninterruptible sleep its memory map could hang us, too
        check_rights(pid)
        check_python(pid)
    cores = _watch(moves)
    check_state(pid)
    check_rights(pid)
    python = check_python(pid)
    status = read_once(f"/proc/{pid}/status")
    uid, gid = (int((status_field(status, name) or b"0 0").split()[1]) for name in (b"Uid", b"Gid"))
    now = stat(pid)
    return Admitted(pid, procs.start_time(pid), now.start_ticks, python, uid, gid, cores)


def _watch(moves: Moves) -> float:
    while True:
        time.sleep(LOOK_S)
        now = moves.look()
        waited = time.monotonic() - moves.began
        if moves.longest_block() > BLOCKED_S:
            raise Refused(
                f"process {moves.pid} is in uninterruptible sleep (D): it waits for a disk, a network file system or a driver",
                help="see what it waits for in /proc/PID/stack and the kernel log; try again when it has come back",
            )
        if waited >= ENOUGH_S and not moves.blocked and any(moves.first.get(tid) != row for tid, row in now.items()):
            return moves.cores(now)
        if waited > WATCH_S:
            raise Refused(
                f"process {moves.pid} is blocked: no CPU time and no context switch in {WATCH_S:g} s, so it allocates nothing",
                help="see where its threads stand with `py-spy dump --nonblocking`, and try again when it works",
            )


def _comm(pid: int) -> str:
    try:
        return procs.identity(pid).comm
    except Exception:  # only a name for a message
        return "unknown"


def _yama() -> str:
    try:
        level = read_once("/proc/sys/kernel/yama/ptrace_scope").strip().decode()
    except OSError:
        return ""
    return f" (kernel.yama.ptrace_scope is {level})" if level != "0" else ""
