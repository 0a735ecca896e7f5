"""A process file system of a few made-up processes in a folder, for logic that must not depend on what runs on this machine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

BOOT = 1_700_000_000
TICKS = 100  # start times and processor times in hundredths of a second


@dataclass
class Process:
    """One made-up process; ``Tree.write`` puts its present figures into the files. Sizes in KiB, times in ticks."""

    pid: int
    ppid: int = 1
    name: str = "python3"
    state: str = "S"
    session: int = 0
    start: int = 1000
    cpu: int = 0
    reaped: int = 0
    rss: int = 20_000
    swap: int = 0
    threads: int = 1
    flags: int = 0
    read: int = 0
    fds: int = 3
    cgroup: str = "/system.slice/app.service"
    command: str = "python3 app.py"
    turns: int = 1  # times it got a processor
    nice: int = 0
    policy: int = 0

    def stat(self) -> str:
        """The stat line."""
        head = f"{self.pid} ({self.name}) {self.state} {self.ppid} {self.pid} {self.session or self.pid} 0 -1 {self.flags}"
        times = f"5 0 1 0 {self.cpu} 0 {self.reaped} 0 {20 + self.nice} {self.nice} {self.threads} 0 {self.start} 0"
        return f"{head} {times} {self.rss // 4}{' 0' * 13} 17 0 0 {self.policy}{' 0' * 11}\n"

    def status(self) -> str:
        """The status file."""
        half = self.rss // 2
        sizes = f"RssAnon:\t{half} kB\nRssFile:\t{half} kB\nRssShmem:\t0 kB\nVmLib:\t1 kB\nVmSwap:\t{self.swap} kB\n"
        switches = "voluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t3\n"
        return f"Name:\tx\nUmask:\t0022\nState:\t{self.state}\nTracerPid:\t0\nUid:\t0\t0\t0\t0\n" + (
            switches if self.state == "Z" else sizes + "Threads:\t1\n" + switches
        )


class Tree:
    """The folder. ``put`` adds or changes a process, ``end`` removes it; both move the fork counter."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.forks = 100
        self.processes: dict[int, Process] = {}
        self._written: dict[Path, str] = {}
        (root / "stat").write_text("")
        self._count()

    def put(self, pid: int, by_itself: bool = True, **figures: object) -> Process:
        """Add a process or change its figures, which takes running; others do to it what it does not do ``by_itself``."""
        process = self.processes.get(pid)
        if process is None:
            process = self.processes[pid] = Process(pid)
            self._count()
        for name, value in figures.items():
            setattr(process, name, value)
        process.turns += by_itself
        self.write(process)
        return process

    def end(self, pid: int) -> None:
        """Remove a process."""
        del self.processes[pid]
        folder = self.root / str(pid)
        shutil.rmtree(folder)
        self._written = {path: text for path, text in self._written.items() if path.parent != folder}
        self._count()

    def write(self, p: Process) -> None:
        """Write its files, each in place, as far as they have changed."""
        folder = self.root / str(p.pid)
        if not folder.exists():
            (folder / "fd").mkdir(parents=True)
        for number in range(len(list((folder / "fd").iterdir())), p.fds):
            (folder / "fd" / str(number)).touch()
        limits = "Limit\nMax open files            1024                 4096                 files\n"
        done = f"rchar: {p.read}\nwchar: 1\nsyscr: 1\nsyscw: 1\nread_bytes: {p.read}\nwrite_bytes: 0\ncancelled_write_bytes: 0\n"
        self._write(folder / "stat", p.stat())
        self._write(folder / "status", p.status())
        self._write(folder / "cgroup", f"0::{p.cgroup}\n")
        self._write(folder / "cmdline", p.command.replace(" ", "\0"))
        self._write(folder / "schedstat", f"{p.cpu * 10_000_000} 5000000 {p.turns}\n")
        self._write(folder / "limits", limits)
        self._write(folder / "io", done)

    def _write(self, path: Path, text: str) -> None:
        if self._written.get(path) != text:
            path.write_text(text)
            self._written[path] = text

    def _count(self) -> None:
        self.forks += 1
        (self.root / "stat").write_text(f"cpu  1 2 3\nctxt 5\nbtime {BOOT}\nprocesses {self.forks}\nprocs_running 1\n")


class Second:
    """A clock for collections one second apart: each ``monotonic`` is a second later than the last."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        """Unix seconds."""
        return BOOT + 3600 + self.at

    def monotonic(self) -> float:
        """Seconds since the first call."""
        self.at += 1.0
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.at += seconds
