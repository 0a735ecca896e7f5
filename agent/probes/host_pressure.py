"""host_pressure: two readings, two seconds apart, of all that is outside the target's tree: who takes CPU and disk, who waits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import ClassVar

from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.lane import once
from agent.host.procfs import read_once
from agent.host.procs import kernel_thread
from agent.host.procstat import TICKS, Stat, stat
from agent.host.text import clean
from agent.model import Cost, Culprit, Evidence, Metric, Target, Tools
from agent.probes._found import Found
from agent.probes._guard import answer, guarded, pid_of

_NOT_DISKS = ("loop", "ram", "zram", "sr", "fd")
RESOURCES = ("cpu", "memory", "io")
KTHREADD = 2
NAMED_CORES = 0.05
OWN_SHARE, OWNER_SHARE = 0.2, 0.8
"""A process that does under a fifth itself is passed by for the child whose tree does four fifths."""


@dataclass(frozen=True)
class Moment:
    """The host at one moment. Sums since boot, in seconds and bytes."""

    time: float
    processes: Mapping[int, Stat]
    moved: Mapping[int, int] = field(default_factory=dict)
    busy: float = 0.0
    waiting: Mapping[str, float] = field(default_factory=dict)
    devices: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Probe:
    """Settings: ``seconds`` between the readings (0.5 to 10)."""

    seconds: float = 2.0

    cost: ClassVar[Cost] = "free"
    per: ClassVar[str] = "subject"
    needs: ClassVar[tuple[str, ...]] = ()
    answers: ClassVar[tuple[Metric, ...]] = (
        answer("other_cpu_cores", "cores", "CPU cores burnt outside the target's process tree, the agent left out"),
        answer("other_cpu_top_cores", "cores", "CPU cores burnt by the busiest other process"),
        answer("cpu_waiting_share", "ratio", "Share of the time some task of the host waited for a CPU"),
        answer("memory_waiting_share", "ratio", "Share of the time some task of the host waited for memory"),
        answer("io_waiting_share", "ratio", "Share of the time some task of the host waited for a disk"),
        answer("device_busy_share", "ratio", "Share of the time the busiest disk worked"),
        answer("other_io_bytes", "bytes/s", "Bytes per second the busiest other process reads from and writes to disks"),
    )

    async def look(self, target: Target, tools: Tools) -> Evidence:
        """Read twice; never raises for a target that vanished."""
        return await guarded("host_pressure", lambda: self._look(target))

    async def _look(self, target: Target) -> Evidence:
        seconds = min(10.0, max(0.5, self.seconds))
        found = await once(
            "probe-host_pressure", lambda: read(None if target.pid is None else pid_of(target), seconds), seconds + 10
        )
        return Evidence("host_pressure", found.answers, found.culprits, found.says)


def read(pid: int | None, seconds: float) -> Found:
    """Both readings and what they say."""
    before = moment()
    time.sleep(seconds)
    after = moment()
    own = {os.getpid(), *_family(after.processes, os.getpid())}
    mine = set() if pid is None else {pid, *_family(after.processes, pid), *_family(before.processes, pid)}
    return judge(before, after, mine, own, command, whole=_whole())


def _whole() -> bool:
    """Whether all processes of the host are seen: then the kernel's own thread 2 is, too. Not in a container."""
    try:
        return kernel_thread(KTHREADD)
    except (AgentError, ValueError, IndexError):
        return False


def command(pid: int) -> str:
    """Program and script of its command line, no arguments: those may hold secrets. "" while it is blocked: reading could hang."""
    try:
        calm = stat(pid).state != "D"
        words = read_once(f"/proc/{pid}/cmdline", 1024).split(b"\0") if calm else []
    except (AgentError, OSError):
        return ""
    script = (
        next((word for word in words[1:] if word and not word.startswith(b"-")), b"") if words and b"python" in words[0] else b""
    )
    shown = [w for w in (words[0] if words else b"", script) if w and b"=" not in w]
    return clean(b" ".join(shown), 100)


def moment(proc: str = "/proc") -> Moment:
    """Everything at once."""
    pids = [int(name) for name in os.listdir(proc) if name.isdigit()]
    processes = {}
    for pid in pids:
        try:
            processes[pid] = stat(pid, proc)
        except AgentError:
            continue
    waiting = {name: value for name in RESOURCES if (value := _waiting(f"{proc}/pressure/{name}")) is not None}
    return Moment(time.monotonic(), processes, _moved(processes, proc), _busy(proc), waiting, _devices(proc))


def _moved(processes: Mapping[int, Stat], proc: str) -> dict[int, int]:
    """Bytes each process read from and wrote to disks; others' are readable with rights only."""
    found = {}
    for pid in processes:
        try:
            words = dict(line.split(b": ", 1) for line in read_once(f"{proc}/{pid}/io", 1024).splitlines())
            found[pid] = int(words[b"read_bytes"]) + int(words[b"write_bytes"])
        except (OSError, KeyError, ValueError):
            continue
    return found


def _busy(proc: str) -> float:
    words = read_once(f"{proc}/stat", 1 << 20).split(b"\n", 1)[0].split()
    user, nice, system, _idle, _iowait, irq, soft = map(int, words[1:8])
    return (user + nice + system + irq + soft) / TICKS


def _waiting(path: str) -> float | None:
    try:
        return int(read_once(path, 512).split(b"total=", 1)[1].split()[0]) / 1e6
    except (OSError, IndexError, ValueError):
        return None


def _devices(proc: str) -> dict[str, float]:
    """Seconds each whole disk was busy; partitions and memory-backed devices are left out."""
    found: dict[str, float] = {}
    try:
        whole = set(os.listdir("/sys/block"))
        raw = read_once(f"{proc}/diskstats", 1 << 20)
    except OSError:
        return found
    for line in raw.decode("ascii", "replace").splitlines():
        words = line.split()
        if len(words) > 12 and words[2] in whole and not words[2].startswith(_NOT_DISKS):
            found[clean(words[2], 64)] = int(words[12]) / 1000
    return found


def _family(processes: Mapping[int, Stat], root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, one in processes.items():
        children.setdefault(one.ppid, []).append(pid)
    found, queue = set(), [root]
    while queue:
        for child in children.get(queue.pop(), ()):
            if child not in found:
                found.add(child)
                queue.append(child)
    return found


# ---------------------------------------------------------------------------------------------- judging


def judge(
    before: Moment, after: Moment, mine: set[int], own: set[int], describe: Callable[[int], str], *, whole: bool = True
) -> Found:
    """All answers; ``mine`` is the target's tree, ``own`` the agent's, ``describe`` gives a process's command line. Unless the
    ``whole`` host is seen, nobody is named where most is burnt out of sight."""
    took = after.time - before.time
    found = Found()
    burnt = {pid: _delta(before, now, pid) / took for pid, now in after.processes.items()}
    seen = sum(burnt.values())
    unseen = max(0.0, (after.busy - before.busy) / took - seen)  # programs that began and ended in between
    others = {pid: cores for pid, cores in burnt.items() if pid not in mine and pid not in own}
    total = sum(others.values()) + (unseen if unseen > NAMED_CORES else 0.0)
    hidden = not whole and unseen > sum(others.values())
    culprits = [] if hidden else _burners(after, others, mine | own, describe)
    most = "out of sight: the agent sees one container only" if hidden else ""
    most = f"{culprits[0].name} {culprits[0].pid} ({culprits[0].detail})" if culprits else most
    words = f"others burn {total:.2f} cores" + (f", most of it {most}" if most else "")
    found.put("other_cpu_cores", total, words, culprits)
    found.put("other_cpu_top_cores", max(others.values(), default=0.0), words, culprits)
    for name in RESOURCES:
        share = (
            min(1.0, (after.waiting[name] - before.waiting[name]) / took)
            if name in before.waiting and name in after.waiting
            else None
        )
        found.put(f"{name}_waiting_share", share, "this kernel has no pressure figures" if share is None else "")
    _disks(before, after, took, found)
    _io(before, after, {pid for pid in after.moved if pid not in mine and pid not in own}, took, found, describe)
    return found


def _delta(before: Moment, now: Stat, pid: int) -> float:
    """CPU seconds since the first reading; all of them for a process that began since."""
    first = before.processes.get(pid)
    same = first is not None and first.start_ticks == now.start_ticks
    return max(0.0, now.cpu_seconds - (first.cpu_seconds if first is not None and same else 0.0))


def _burners(after: Moment, others: Mapping[int, float], spared: set[int], describe: Callable[[int], str]) -> list[Culprit]:
    """The program that burns most, as the deepest process whose tree owns it all, then its busiest single processes."""
    culprits = []
    top = _owner(after.processes, others, spared)
    if top is not None:
        tree = {pid: cores for pid in _tree(after.processes, top) if (cores := others.get(pid, 0.0)) >= NAMED_CORES}
        cores = sum(tree.values())
        many = f" in {len(tree)} processes" if len(tree) > 1 else ""
        culprits.append(_process(after, top, cores, f"{cores:.2f} cores{many}", describe))
    ranked = sorted(others.items(), key=lambda pair: -pair[1])[:3]
    singles = [(pid, cores) for pid, cores in ranked if cores >= NAMED_CORES and pid != top]
    return culprits + [_process(after, pid, cores, f"{cores:.2f} cores", describe) for pid, cores in singles]


def _owner(processes: Mapping[int, Stat], others: Mapping[int, float], spared: set[int]) -> int | None:
    """Down from the top into the heaviest child, as long as the process itself does little and that child owns nearly all.

    A process that also started the target or the agent (a shell, an init) is never the one to blame: its child is.
    """
    sums: dict[int, float] = {}
    above: set[int] = {0, 1}
    for pid in processes:
        line = _ancestors(processes, pid)
        if pid in spared:
            above.update(line)
        for member in (pid, *line):
            sums[member] = sums.get(member, 0.0) + others.get(pid, 0.0)
    children: dict[int, list[int]] = {}
    for pid, one in processes.items():
        if pid not in spared:
            children.setdefault(one.ppid, []).append(pid)
    at = 0
    while True:
        heaviest = max(children.get(at, ()), key=lambda pid: sums[pid], default=None)
        if heaviest is None or sums[heaviest] < NAMED_CORES:
            return at if at not in above else None
        if at not in above and (others.get(at, 0.0) > OWN_SHARE * sums[at] or sums[heaviest] < OWNER_SHARE * sums[at]):
            return at
        at = heaviest


def _ancestors(processes: Mapping[int, Stat], pid: int) -> list[int]:
    line: list[int] = []
    while pid in processes and (parent := processes[pid].ppid) not in line and parent != pid:
        line.append(parent)
        pid = parent
    return line


def _tree(processes: Mapping[int, Stat], root: int) -> set[int]:
    return {root, *_family(processes, root)}


def _process(after: Moment, pid: int, rate: float, amount: str, describe: Callable[[int], str]) -> Culprit:
    line = describe(pid)
    return Culprit(
        "process", clean(after.processes[pid].comm, 64), pid=pid, rate=rate, detail=f"{amount}: {line}" if line else amount
    )


def _disks(before: Moment, after: Moment, took: float, found: Found) -> None:
    busy = {
        name: min(1.0, (value - before.devices[name]) / took) for name, value in after.devices.items() if name in before.devices
    }
    if not busy:
        found.put("device_busy_share", None, "no disk is listed")
        return
    name = max(busy, key=lambda device: busy[device])
    culprits = [Culprit("device", name, share=busy[name])] if busy[name] >= 0.01 else []
    found.put("device_busy_share", busy[name], f"disk {name} works {busy[name]:.0%} of the time", culprits)


def _io(before: Moment, after: Moment, others: set[int], took: float, found: Found, describe: Callable[[int], str]) -> None:
    rates = {
        pid: (after.moved[pid] - before.moved.get(pid, 0)) / took for pid in others if pid in before.moved or _young(before, pid)
    }
    ranked: Sequence[tuple[int, float]] = sorted(rates.items(), key=lambda pair: -pair[1])[:3]
    culprits = [_process(after, pid, rate, f"{rate / (1 << 20):.1f} MiB/s", describe) for pid, rate in ranked if rate >= 1 << 16]
    words = f"{culprits[0].name} {culprits[0].pid} moves {culprits[0].detail}" if culprits else "no other process moves much"
    found.put("other_io_bytes", ranked[0][1] if ranked else None, words, culprits)


def _young(before: Moment, pid: int) -> bool:
    return pid not in before.processes
