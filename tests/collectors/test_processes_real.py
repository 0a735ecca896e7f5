"""The process collector among real processes that make trouble: names, command lines, ends, rights."""

import contextlib
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.collectors.processes import Collector
from agent.model import ENTITY_ENDED, Item, Kind, Sample
from tests.collectors.figures import events, figures, flat

pytestmark = pytest.mark.real
Spawn = Callable[..., "subprocess.Popen[bytes]"]
RENAME = "import ctypes, time; ctypes.CDLL(None).prctl(15, {name!r}); print(flush=True); time.sleep(60)"
SLEEP = "import time; print(flush=True); time.sleep(60)"


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts a program in a session of its own, waits for its first line, and ends its whole group afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: str | bytes, **options: object) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True, **options)  # type: ignore[call-overload]
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process  # type: ignore[no-any-return]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def info(items: list[Item], pid: int) -> dict[str, str]:
    """Labels of the process's process_info."""
    told = [dict(s.series.labels) for s in flat(items) if isinstance(s, Sample) and s.series.name == "process_info"]
    return next(labels for labels in told if labels["pid"] == str(pid))


def python(spawn: Spawn, code: str) -> int:
    """A Python process that runs ``code``, by pid."""
    return spawn(sys.executable, "-c", code).pid


@pytest.mark.parametrize("name", [b"new\nline", b"\x1b[31mred", b"\xff\xfe\x80", b") R 1 (", b"\xe2\x80\xaertl", b""])
def test_a_hostile_name_is_cleaned_and_hurts_nobody(spawn: Spawn, name: bytes) -> None:
    """Line breaks, escapes, broken UTF-8 and parentheses in a name: figures are right and labels printable."""
    bad, good = python(spawn, RENAME.format(name=name)), python(spawn, SLEEP)
    collector = Collector()
    collector.pin([bad, good])
    got = list(collector.collect())
    assert {f"process_threads{{pid='{pid}'}}" for pid in (bad, good)} <= figures(got).keys()
    comm = info(got, bad)["comm"]
    assert comm == "" or comm.isprintable()
    comm.encode()


def test_a_hostile_file_name_is_cleaned(spawn: Spawn, tmp_path: Path) -> None:
    """The same through the name of an executable."""
    program = os.path.join(os.fsencode(tmp_path), b"a\n\x1b[2J\xff)b")
    shutil.copy(b"/bin/sh", program)
    process = spawn(program, b"-c", b"echo; read x", stdin=subprocess.PIPE)
    collector = Collector()
    collector.pin([process.pid])
    assert info(list(collector.collect()), process.pid)["comm"].isprintable()


def test_a_command_line_of_128_kib_is_no_matter(spawn: Spawn) -> None:
    """It is only read where a match by command asks for it, and then in part."""
    process = spawn(sys.executable, "-c", SLEEP, "x" * (128 * 1024 - 100))
    collector = Collector(match=("time.sleep",))
    deadline = time.monotonic() + 20
    while f"process_tree_processes{{pid='{process.pid}'}}" not in figures(collector.collect()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_ended_process_is_told_and_the_others_go_on(spawn: Spawn) -> None:
    """An end is seen in the next tick of a pinned process, reaped or not."""
    one, other = spawn(sys.executable, "-c", SLEEP), python(spawn, SLEEP)
    collector = Collector()
    collector.pin([one.pid, other])
    collector.collect()
    one.kill()
    one.wait()
    got = list(collector.collect())
    assert (ENTITY_ENDED, {"pid": str(one.pid)}) in events(got)
    assert f"process_threads{{pid='{other}'}}" in figures(got)


def test_processes_that_come_and_go_all_the_time_break_nothing() -> None:
    """A storm of short-lived children: no tick fails, and no descriptor is left behind."""
    stop = threading.Event()

    def storm() -> None:
        while not stop.is_set():
            pid = os.posix_spawn("/bin/true", ["true"], {})
            os.waitpid(pid, 0)

    collector = Collector()
    thread = threading.Thread(target=storm)
    thread.start()
    try:
        for _ in range(30):
            assert collector.collect()
    finally:
        stop.set()
        thread.join()
    collector.collect()
    sweep = collector._sweep
    assert sweep is not None
    assert sweep._files.kept == len([p for p in sweep.procs.values() if p.fd >= 0])
    collector.close()
    assert sweep._files.kept == 0


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to set the next pid")
def test_a_reused_pid_is_a_new_process(spawn: Spawn) -> None:
    """The real thing: the kernel is told which pid comes next."""
    first = spawn(sys.executable, "-c", SLEEP)
    collector = Collector()
    collector.pin([first.pid])
    collector.collect()
    first.kill()
    first.wait()
    for _ in range(50):
        try:
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(first.pid - 1))
        except OSError as why:
            pytest.skip(f"the next pid cannot be set: {why}")
        second = spawn(sys.executable, "-c", SLEEP)
        if second.pid == first.pid:
            break
        second.kill()
    else:
        pytest.skip("somebody else always took the pid")
    got = list(collector.collect())
    assert events(got)[0] == (ENTITY_ENDED, {"pid": str(first.pid)})
    assert figures(got)[f"process_start_time_seconds{{pid='{second.pid}'}}"] > 0


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_files_closed_to_us_are_left_out(spawn: Spawn) -> None:
    """As another user: I/O of root's process is missing, everything else is there, and nothing fails."""
    pid = python(spawn, SLEEP)
    collector = Collector()
    collector.pin([pid])
    os.seteuid(65534)
    try:
        for _ in range(3):
            got = figures(collector.collect())
    finally:
        os.seteuid(0)
    assert f"process_threads{{pid='{pid}'}}" in got
    assert f"process_anonymous_bytes{{pid='{pid}'}}" in got
    assert f"process_read_bytes_total{{pid='{pid}'}}" not in got


def test_threads_of_a_pinned_process_are_summed_and_never_fall(spawn: Spawn) -> None:
    """Switches of all threads, while threads come and go."""
    code = (
        "import threading as t, time\nprint(flush=True)\nwhile 1:\n a=[t.Thread(target=time.sleep,args=(.02,)) for _ in range(9)]\n"
    )
    pid = python(spawn, code + " [x.start() for x in a]; [x.join() for x in a]")
    collector = Collector()
    collector.pin([pid])
    name = f"process_voluntary_switches_total{{pid='{pid}'}}"
    seen = []
    for _ in range(10):
        seen.append(figures(collector.collect())[name])
        time.sleep(0.05)
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_two_readings_of_this_machine_are_sound() -> None:
    """Declared names and labels only, one sample a series, finite, not negative, printable; no counter falls."""
    collector = Collector()
    collector.pin([os.getpid()])
    declared = {metric.name: metric for metric in Collector.metrics}
    first, second = ([s for s in flat(collector.collect()) if isinstance(s, Sample)] for _ in range(2))
    before = {(s.series.name, s.series.labels): s.value for s in first}
    assert len(before) == len(first)
    for series, value in second:
        metric = declared[series.name]
        assert tuple(k for k, _ in series.labels) == tuple(sorted(metric.labels))
        assert all(text.isprintable() for _, text in series.labels)
        assert math.isfinite(value)
        assert value >= (before.get((series.name, series.labels), 0.0) if metric.kind is Kind.COUNTER else 0.0)
