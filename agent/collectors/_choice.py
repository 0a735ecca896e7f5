"""Which processes deserve series of their own: the top ones by CPU, size, growth and I/O, and where their tree begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import nlargest
from operator import itemgetter

from agent.collectors._proc import Proc
from agent.collectors._sweep import GONE
from agent.host.procfs import read_once
from agent.host.procstat import TICKS

CPU_SHARE = 0.02
"""Share of one core below which a process is not busy enough to be chosen for its CPU."""
LARGE_PAGES = 2048
"""Size (8 MiB of 4 KiB pages) below which nobody is chosen for being large."""
GROWTH_PAGES = 256
"""Growth over 30-40 s (1 MiB of 4 KiB pages) below which nobody is chosen for growing."""
IO_RATE = 65536.0
"""Bytes per second below which nobody is chosen for I/O."""
STILL_READINGS = range(15, 600)
"""Readings of an unmoved stat line at which a process counts as one that has just stopped; later it has been idle for long."""
STILL_THREADS, STILL_TICKS = 3, 3
"""Least threads and CPU time (30 ms: it has worked at all) of those, and how many of them are chosen, the latest first."""
STILL_TOP = 4
MARKS = 4
"""Sizes kept a process, one each 10 s: growth is measured over 30 to 40 s."""
# A tree begins below these: what they start is another matter than themselves.
# The kernel keeps 15 bytes of a name.
LAUNCHERS = frozenset(
    b"bash sh dash zsh fish ksh tcsh csh busybox sshd sshd-session login su sudo doas screen tmux systemd init (sd-pam) tini "
    b"dumb-init docker-init catatonit s6-supervise runsv conmon containerd-shim containerd-shim- containerd dockerd podman runc "
    b"crun crio kubelet cron crond atd slurmd slurmstepd supervisord xinetd make timeout nohup env time nice".split()
) | {b"tmux: server"}


def rank(procs: Iterable[Proc], seconds: float, top: int, mark: bool) -> set[Proc]:
    """The union of the top ones by each measure, and who stopped working lately; remembers where everybody
    stood. ``mark`` once in 10 s."""
    busy: list[tuple[float, int, Proc]] = []
    large: list[tuple[float, int, Proc]] = []
    growing: list[tuple[float, int, Proc]] = []
    doing_io: list[tuple[float, int, Proc]] = []
    stopped: list[tuple[float, int, Proc]] = []
    least_cpu, least_io = CPU_SHARE * seconds * TICKS, IO_RATE * seconds
    for p in procs:
        if p.kernel:
            continue
        rss = p.rss
        p.burnt = p.cpu - p.cpu_mark
        p.cpu_mark = p.cpu
        if p.burnt >= least_cpu:
            busy.append((p.burnt, p.pid, p))
        if p.quiet in STILL_READINGS and p.threads >= STILL_THREADS and p.cpu >= STILL_TICKS:
            stopped.append((-p.quiet, p.pid, p))
        if rss >= LARGE_PAGES:
            large.append((rss, p.pid, p))
        marks = p.marks
        if marks and rss - marks[0] >= GROWTH_PAGES:
            growing.append((rss - marks[0], p.pid, p))
        if mark:
            p.marks = (*marks[-(MARKS - 1) :], rss)
        if p.io >= 0:
            if 0 <= p.io_mark <= p.io - least_io:
                doing_io.append((p.io - p.io_mark, p.pid, p))
            p.io_mark = p.io
    chosen: set[Proc] = set()
    for measured in (busy, large, growing, doing_io):
        chosen.update(entry[2] for entry in nlargest(top, measured, key=itemgetter(0, 1)))
    chosen.update(entry[2] for entry in nlargest(min(top, STILL_TOP), stopped, key=itemgetter(0, 1)))
    return chosen


def read_io(p: Proc, proc: str) -> None:
    """Note the bytes the process has read and written; one that is closed to us is not asked again."""
    if p.io == CLOSED:
        return
    try:
        parts = read_once(f"{proc}/{p.pid}/io", 512).split()
        p.io = int(parts[9]) + int(parts[11])
    except GONE:
        pass
    except (OSError, ValueError, IndexError):
        p.io = CLOSED


CLOSED = -2


def root_of(p: Proc, procs: Mapping[int, Proc], own: int) -> Proc:
    """Where the tree begins: the topmost ancestor of the same session that is a program, not a shell or supervisor."""
    root = p
    for _ in range(64):
        parent = procs.get(root.ppid)
        if parent is None or parent.pid in (1, own) or parent.kernel or parent.session != p.session or parent.comm in LAUNCHERS:
            break
        root = parent
    return root


def matched_root(p: Proc, procs: Mapping[int, Proc]) -> Proc:
    """The topmost ancestor in an unbroken line of matching processes."""
    root = p
    while (parent := procs.get(root.ppid)) is not None and parent.matched and parent is not root:
        root = parent
    return root
