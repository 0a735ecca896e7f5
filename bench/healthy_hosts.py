"""Healthy hosts, second by second: what the collectors would bring of an idle machine, a training, a builder and a server.

Nothing here is wrong, and much of it looks as if it were: start-ups that take all memory, caches that fill, builds that need every
processor, workers that un-share their parent's pages and are replaced, connections in waves, checkpoints that wait for the disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from agent.model import ENTITY_ENDED, Event, Item, Sample, Series, labels

MIB, GIB = 2.0**20, 2.0**30
DAY = 86400
CPUS = 16
BACKUP = "tar"
MEMORY = 128 * GIB


@dataclass
class Program:
    """A process: what it does in a second is asked of ``live``, which sets its gauges and adds to its counters."""

    pid: int
    comm: str
    born: float
    live: Callable[[Program, float], None]
    lasts: float = math.inf
    gauges: dict[str, float] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)

    def set(self, **values: float) -> None:
        """Gauges from now on: anonymous, fds, threads …"""
        self.gauges |= {f"process_{name}": value for name, value in values.items()}

    def add(self, **values: float) -> None:
        """Onto counters: cpu, delay, waits, read, written, in seconds and bytes."""
        for name, value in values.items():
            self.totals[COUNTERS[name]] = self.totals.get(COUNTERS[name], 0.0) + max(0.0, value)

    def samples(self) -> Iterator[Sample]:
        """All its figures."""
        anonymous = self.gauges["process_anonymous_bytes"]
        own = {"process_resident_bytes": anonymous + 30 * MIB, "process_start_time_seconds": self.born}
        for name, value in {**self.gauges, **self.totals, **own}.items():
            yield Sample(self.series.setdefault(name, Series(name, labels(pid=self.pid))), value)
        known = {"comm": self.comm, "subject": self.pid, "cgroup": "/", "unit": "", "container": "", "job": "", "user": "u"}
        yield Sample(self.series.setdefault("info", Series("process_info", labels(pid=self.pid, **known))), 1.0)


COUNTERS = {
    "cpu": "process_cpu_seconds_total",
    "delay": "process_run_delay_seconds_total",
    "waits": "process_voluntary_switches_total",
    "pushed": "process_involuntary_switches_total",
    "read": "process_read_bytes_total",
    "written": "process_written_bytes_total",
    "faults": "process_major_faults_total",
}
STILL = {"anonymous_bytes": 40 * MIB, "file_bytes": 20 * MIB, "open_fds": 20.0, "fd_limit": 1024.0, "threads": 3.0,
         "children": 0.0, "zombie_children": 0.0, "blocked": 0.0, "stopped": 0.0}  # fmt: skip


class Host:
    """Programs that come and go, and the host's own figures, which follow from theirs."""

    def __init__(self, seed: int, begin: float) -> None:
        self.random = Random(seed)
        self.begin = self.now = begin
        self.programs: dict[int, Program] = {}
        self._next = 1000
        self._totals: dict[str, float] = {}
        self._series: dict[str, Series] = {}

    def start(self, comm: str, live: Callable[[Program, float], None], lasts: float = math.inf) -> Program:
        """A new process."""
        self._next += self.random.randint(1, 40)
        made = self.programs[self._next] = Program(self._next, comm, self.now, live, lasts)
        made.set(**STILL)
        made.add(**dict.fromkeys(COUNTERS, 0.0))
        return made

    def second(self) -> list[Item]:
        """Everything that is sampled in the next second."""
        self.now += 1.0
        busy = {p.pid: p.totals["process_cpu_seconds_total"] for p in self.programs.values()}
        for program in list(self.programs.values()):
            program.live(program, self.now - program.born)
        spent = sum(p.totals["process_cpu_seconds_total"] - busy.get(p.pid, 0.0) for p in self.programs.values())
        ended = [p for p in self.programs.values() if self.now - p.born >= p.lasts]
        items: list[Item] = [s for p in self.programs.values() for s in p.samples()]
        for program in ended:
            del self.programs[program.pid]
            items.append(Event(self.now, ENTITY_ENDED, labels(pid=program.pid)))
        return [*items, *self._own(spent)]

    def hour(self) -> float:
        """The hour of the day, for what comes in waves."""
        return (self.now - self.begin) / 3600.0 % 24.0

    def _own(self, spent: float) -> Iterator[Sample]:
        used = sum(p.gauges["process_anonymous_bytes"] for p in self.programs.values())
        wait = 0.4 * max(0.0, spent - 0.8 * CPUS) / CPUS
        gauges = {
            "host_cpus": CPUS, "host_memory_total_bytes": MEMORY, "host_memory_available_bytes": MEMORY - 3 * GIB - used,
            "host_processes_zombie": 0.0, "host_processes": 200.0 + len(self.programs), "filesystem_stalled": 0.0,
            "conntrack_entries": 400.0, "conntrack_limit": 262144.0,
        }  # fmt: skip
        for name, value in {
            "host_cpu_busy_seconds_total": spent, "host_cpu_idle_seconds_total": CPUS - spent,
            "host_pressure_cpu_waiting_seconds_total": wait, "host_pressure_memory_stalled_seconds_total": 0.0,
            "host_pressure_io_waiting_seconds_total": 0.01, "host_swap_out_bytes_total": 0.0, "tcp_listen_overflows_total": 0.0,
            "tcp_segments_sent_total": 900.0, "tcp_segments_retransmitted_total": float(self.random.random() < 0.2),
        }.items():  # fmt: skip
            gauges[name] = self._totals[name] = self._totals.get(name, 0.0) + value
        for name, value in gauges.items():
            where = {"mountpoint": "/", "device": "vda", "fstype": "ext4"} if name.startswith("filesystem") else {}
            yield Sample(self._series.setdefault(name, Series(name, labels(**where))), value)


# ---------------------------------------------------------------------------------------------- kinds of programs


def daemon(host: Host, threads: int = 3) -> Callable[[Program, float], None]:
    """Sleeps, and does a little now and then; after a restart a little more."""
    size = host.random.uniform(10, 300) * MIB

    def live(me: Program, age: float) -> None:
        awake = host.random.random() < 0.05 or age < 5
        me.set(anonymous_bytes=size * min(1.0, 0.3 + age / 60) + host.random.randint(0, 40) * 4096, threads=float(threads))
        me.add(cpu=0.01 if awake else 0.0005, waits=4 if awake else 1, delay=0.0002)

    return live


def trainer(host: Host) -> Callable[[Program, float], None]:
    """Loads for minutes, then steps; writes a checkpoint every half an hour."""

    def live(me: Program, age: float) -> None:
        loading, saving = age < 240, age > 600 and age % 1800 < 45
        size = 40 * GIB * min(1.0, age / 240) + (9 * GIB if saving else 0.0)
        me.set(anonymous_bytes=size + host.random.gauss(0, 3) * MIB, threads=90.0, open_fds=300.0 + host.random.randint(0, 4))
        me.set(blocked=float(saving and host.random.random() < 0.3), file_bytes=2 * GIB, children=8.0)
        me.add(cpu=1.0 if loading else host.random.uniform(0.7, 1.6), delay=host.random.uniform(0, 0.02), waits=300)
        me.add(read=200 * MIB if loading else 0.0, written=300 * MIB if saving else 0.0)

    return live


def loader(host: Host, epoch: float) -> Callable[[Program, float], None]:
    """A data worker: un-shares its parent's pages all through the epoch, and is replaced."""

    def live(me: Program, age: float) -> None:
        me.set(anonymous_bytes=200 * MIB + 900 * MIB * (1 - math.exp(-age / (0.4 * epoch))) + host.random.gauss(0, 6) * MIB)
        me.add(cpu=host.random.uniform(0.3, 0.8), delay=host.random.uniform(0, 0.05), waits=120, read=3 * MIB)

    return live


def compiler(host: Host, lasts: float) -> Callable[[Program, float], None]:
    """Grows while it works flat out, and is gone."""
    size = host.random.uniform(0.1, 1.8) * GIB

    def live(me: Program, age: float) -> None:
        me.set(anonymous_bytes=size * min(1.0, age / lasts), threads=1.0)
        me.add(cpu=host.random.uniform(0.85, 1.0), delay=host.random.uniform(0.02, 0.12), waits=3, pushed=20)

    return live


def tester(host: Host) -> Callable[[Program, float], None]:
    """Runs tests one after the other: its heap breathes, its descriptors and threads come and go."""

    def live(me: Program, age: float) -> None:
        breath = age % 17 / 17
        me.set(anonymous_bytes=(150 + 250 * breath + 0.02 * age) * MIB, open_fds=20.0 + int(90 * (age % 41 / 41)))
        me.set(threads=4.0 + int(12 * (age % 29 / 29)), children=float(host.random.randint(0, 6)))
        me.add(cpu=host.random.uniform(0.2, 1.0), delay=host.random.uniform(0.0, 0.1), waits=60, written=2 * MIB)

    return live


def server(host: Host) -> Callable[[Program, float], None]:
    """Traffic in a wave of a day with bursts; a cache that fills for hours, connections that follow the traffic."""

    def live(me: Program, age: float) -> None:
        traffic = 0.15 + 0.85 * max(0.0, math.sin((host.hour() - 6) / 12 * math.pi)) ** 0.7
        burst = 1.0 if age % 5000 < 240 else 0.0
        cache = 3 * GIB * (1 - math.exp(-age / 9000))
        level = 0.9 * me.gauges.get("process_open_fds", 60) + 0.1 * (60 + 500 * traffic + 200 * burst)
        me.set(anonymous_bytes=400 * MIB + cache + 150 * MIB * traffic + host.random.gauss(0, 8) * MIB, threads=40.0)
        me.set(open_fds=float(int(level + host.random.gauss(0, 4))), fd_limit=65536.0)
        me.set(connections_waiting=float(host.random.random() < 0.1 + 0.25 * burst))
        me.add(cpu=0.05 + 0.6 * traffic + 0.2 * burst, delay=host.random.uniform(0, 0.04), waits=400 * traffic)

    return live


def backup(host: Host) -> Callable[[Program, float], None]:
    """Reads everything from front to back and writes it elsewhere, as fast as the disks go: it waits for them most of the time."""

    def live(me: Program, age: float) -> None:
        me.set(blocked=float(host.random.random() < 0.85), threads=1.0)
        me.add(cpu=0.12, delay=0.01, waits=900, read=150 * MIB, written=150 * MIB)

    return live


def leak(host: Host) -> Callable[[Program, float], None]:
    """Not healthy: grows by 2 MiB a second after its first quarter of an hour."""

    def live(me: Program, age: float) -> None:
        me.set(anonymous_bytes=300 * MIB + max(0.0, age - 900) * 2 * MIB + host.random.gauss(0, 1) * MIB)
        me.add(cpu=0.2, delay=0.001, waits=30)

    return live


# ---------------------------------------------------------------------------------------------- kinds of hosts

Script = Callable[[Host, int], None]
"""What begins on a host at a second of its day."""


def idle(host: Host, second: int) -> None:
    """A dozen daemons, a small job each hour, and twenty minutes of backup twice a day."""
    if second == 0:
        for _ in range(12):
            host.start("daemon", daemon(host, threads=host.random.choice([1, 3, 8])))
    if second % 3600 == 1800:
        host.start("logrotate", compiler(host, 20.0), lasts=20.0)
    if second % 43200 == 9000:
        host.start(BACKUP, backup(host), lasts=1200.0)


def training(host: Host, second: int) -> None:
    """A training that loads for four minutes, trains, and is begun anew twice; its eight data workers live for an epoch."""
    epoch = 1500.0
    idle(host, second)
    if second % 28800 == 600:
        host.start("train", trainer(host), lasts=28000.0)
    if second > 600 and second % int(epoch) == 0:
        for _ in range(8):
            host.start("train", loader(host, epoch), lasts=epoch - 10)


def builder(host: Host, second: int) -> None:
    """Builds with as many compilers as processors, then tests; one after the other all day, with pauses at night."""
    idle(host, second)
    working = host.random.random() < (0.9 if 6 < host.hour() < 22 else 0.2)
    if second % 1200 == 60 and working:
        host.start("pytest", tester(host), lasts=700.0)
    if second % 1200 < 500 and working:
        compilers = sum(p.comm == "cc1plus" for p in host.programs.values())
        for _ in range(min(2, CPUS - 1 - compilers)):
            lasts = host.random.uniform(4, 90)
            host.start("cc1plus", compiler(host, lasts), lasts=lasts)


def serving(host: Host, second: int) -> None:
    """Two servers in the day's wave, begun anew at night."""
    idle(host, second)
    if second % 43200 == 30:
        for _ in range(2):
            host.start("serve", server(host), lasts=43100.0)


def sick(host: Host, second: int) -> None:
    """An idle host with one leak: what the bench must see."""
    idle(host, second)
    if second == 10:
        host.start("worker", leak(host))


HOSTS: dict[str, Script] = {"idle": idle, "training": training, "builder": builder, "serving": serving}
