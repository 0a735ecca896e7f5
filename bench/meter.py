"""How the benchmarks measure a program from outside: CPU, memory, context switches, scrapes, and how busy the machine was."""

from __future__ import annotations

import compileall
import contextlib
import gzip
import http.client
import os
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
_V1, _V2 = Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup")


def compile_agent() -> None:
    """As an installed agent is: without its .pyc files it takes 0.3 s and some MiB more, whatever the environment says."""
    compileall.compile_dir(str(Path(__file__).resolve().parent.parent / "agent"), quiet=2)


class Metered:
    """A program in a cgroup of its own (cpuacct of v1, or v2): every child counts, dead ones too, by the scheduler's run time.

    Where no cgroup can be made: run time of the live tree's threads, and ticks of its dead children.
    """

    def __init__(self, argv: Sequence[str], log: Path, folder: Path | None = None, stdin: int = subprocess.DEVNULL) -> None:
        self._group = _group(f"anflbench.{os.getpid()}.{time.monotonic_ns()}")
        wrapped = list(argv)
        if self._group is not None:
            wrapped = ["/bin/sh", "-c", f'echo $$ > {self._group}/cgroup.procs; exec "$@"', "sh", *argv]
        with log.open("wb") as out:
            self.process = subprocess.Popen(wrapped, stdin=stdin, stdout=out, stderr=out, cwd=folder)
        self.pid = self.process.pid

    def cpu(self) -> float:
        """CPU seconds so far."""
        if self._group is None:
            return sum(map(_run_time, self.pids())) + _dead_children(self.pid)
        v1 = self._group / "cpuacct.usage"
        if v1.exists():
            return int(v1.read_text()) / 1e9
        return int((self._group / "cpu.stat").read_text().split()[1]) / 1e6

    def pids(self) -> list[int]:
        """The program and its live children."""
        if self._group is not None:
            return [int(pid) for pid in (self._group / "cgroup.procs").read_text().split()]
        return _tree(self.pid)

    def memory(self) -> tuple[float, float]:
        """RSS and PSS of the whole tree in MiB."""
        rss = pss = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    rss += int(line.split()[1]) if line.startswith("Rss:") else 0
                    pss += int(line.split()[1]) if line.startswith("Pss:") else 0
        return rss / 1024, pss / 1024

    def switches(self) -> int:
        """Context switches of all live threads so far."""
        total = 0
        for status in [s for pid in self.pids() for s in Path(f"/proc/{pid}/task").glob("*/status")]:
            with contextlib.suppress(OSError):
                total += sum(int(line.split()[1]) for line in status.read_text().splitlines() if "ctxt_switches" in line)
        return total

    def end(self) -> None:
        """Stop it as systemd would, then for sure."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
                break
        if self._group is not None:
            for pid in self.pids():  # children it left behind are its own
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)
            with contextlib.suppress(OSError):
                self._group.rmdir()


def _group(name: str) -> Path | None:
    for base, file in ((_V1, "cpuacct.usage"), (_V2, "cpu.stat")):
        if (base / file).exists():
            with contextlib.suppress(OSError):
                (base / name).mkdir()
                return base / name
    return None


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, children.read_text().split())
    return found


def _run_time(pid: int) -> float:
    seconds = 0.0
    for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            seconds += int(schedstat.read_text().split()[0]) / 1e9
    return seconds


def _dead_children(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS


class Scraper(threading.Thread):
    """One GET a second over one kept connection, gzip as Prometheus asks for it. Pages are kept while ``on``."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._over = threading.Event()
        self.on = False
        self.took: list[float] = []
        self.pages: list[bytes] = []

    def run(self) -> None:
        """Until ``end``."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            began = time.perf_counter()
            connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            body = answer.read()
            if self.on:
                self.took.append(time.perf_counter() - began)
                self.pages.append(gzip.decompress(body) if answer.getheader("Content-Encoding") == "gzip" else body)
            due = max(due + 1.0, time.monotonic())
        connection.close()

    def end(self) -> None:
        """No more."""
        self._over.set()
        self.join()

    def gauge(self, name: str) -> list[float]:
        """A series without labels, from every page."""
        start = f"{name} ".encode()
        return [float(line.split()[1]) for page in self.pages for line in page.splitlines() if line.startswith(start)]


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share lies; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def busy_seconds() -> float:
    """CPU seconds the whole machine has been busy since it started."""
    f = [int(x) for x in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return (sum(f) - f[3] - f[4]) / TICKS


def wait_for_calm(idle_cores: float, limit_s: float = 300.0) -> None:
    """Until the machine had that many cores idle for 3 s, or the time is up."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        before, began = busy_seconds(), time.monotonic()
        time.sleep(3.0)
        busy = (busy_seconds() - before) / (time.monotonic() - began)
        if (os.cpu_count() or 1) - busy >= idle_cores:
            return


def slowness() -> float:
    """CPU milliseconds of a fixed piece of Python, median of 9: beside neighbours everything costs more than on a calm machine."""
    took = []
    for _ in range(9):
        began = time.thread_time()
        table = {str(i): i for i in range(10_000)}
        sum(table[key] for key in table)
        took.append(time.thread_time() - began)
    return statistics.median(took) * 1e3
