"""The parts of an attach that need no debugger, and one real attach with the refusals around it."""

from __future__ import annotations

import ast
import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakSet

import pytest

from agent.errors import AgentError, Refused, Unavailable
from agent.host import attach_census, attach_gate, attach_gdb, attach_guard, attach_payload, attach_turns
from agent.host.attach import Stage, attach
from agent.host.attach_start import payload
from agent.host.attach_words import failure, payload_error

LEAKY = "import time\nkeep = []\nprint('READY', flush=True)\nwhile True:\n    keep.append(bytearray(2000))\n    time.sleep(0.005)\n"
TELLING = "import signal, sys\nsignal.signal(signal.SIGUSR1, lambda *_: print(sys.getswitchinterval(), flush=True))\n" + LEAKY
BLOCKED = "import threading\nprint('READY', flush=True)\nthreading.Event().wait()\n"


@pytest.fixture
def programs() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes to start; all are ended."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for each in started:
        each.kill()
        each.wait()
        if each.stdout is not None:
            each.stdout.close()


def run(programs: list[subprocess.Popen[bytes]], source: str) -> int:
    """Start a Python program that prints READY; its pid."""
    programs.append(subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE))
    stdout = programs[-1].stdout
    assert stdout is not None
    assert stdout.readline() == b"READY\n"
    return programs[-1].pid


@pytest.mark.parametrize("module", [attach_payload, attach_census, attach_turns])
def test_what_is_sent_into_a_target_reads_on_the_oldest_python(module: object) -> None:
    """The payload is text for 3.9 to 3.13."""
    ast.parse(Path(str(getattr(module, "__file__"))).read_text(), feature_version=(3, 9))  # noqa: B009


def test_the_payload_is_one_program_with_frames_of_its_own() -> None:
    """Its name tells its allocations from the target's."""
    text = payload({"folder": "/tmp/x'y", "stage": {"mode": "default", "seconds": 1.0}})
    assert compile(text, "payload", "exec")
    assert "<anfl-agent>" in text


@pytest.mark.parametrize("usual", [0.005, 0.0003, 0.0001])
def test_quicker_turns_at_the_interpreter_lock_are_given_back(usual: float) -> None:
    """The program's switch interval is what it was, however the interpreter rounds it; one it set meanwhile stays."""
    first = sys.getswitchinterval()
    try:
        sys.setswitchinterval(usual)
        told = sys.getswitchinterval()
        attach_turns.hurry()
        assert sys.getswitchinterval() <= attach_turns.QUICK_S
        attach_turns.calm()
        attach_turns.calm()
        assert sys.getswitchinterval() == told
        attach_turns.hurry()
        sys.setswitchinterval(0.01)
        attach_turns.calm()
        assert sys.getswitchinterval() == pytest.approx(0.01)
    finally:
        sys.setswitchinterval(first)


def test_a_payload_that_fails_gives_the_turns_back() -> None:
    """Also where memray cannot be brought in, the program runs on as it was."""
    usual = sys.getswitchinterval()
    text = payload({"folder": "/", "bundle": "/nowhere", "token": "", "wait_s": 0, "cap": 1, "stage": {"mode": 7, "seconds": 1.0}})
    with pytest.raises(AttributeError, match="main"):
        exec(text.replace("space['main']", "sys.main"), {"sys": sys})
    assert sys.getswitchinterval() == usual


def test_the_census_counts_tasks_threads_and_caches_by_what_they_run() -> None:
    """Everything countable without walking the heap."""

    async def waits() -> None:
        await asyncio.sleep(60)

    async def body() -> dict[str, object]:
        async with asyncio.TaskGroup() as group:
            made = [group.create_task(waits()) for _ in range(5)]
            await asyncio.sleep(0)
            found = attach_census.tasks()
            for each in made:
                each.cancel()
        return found

    found = asyncio.run(body())
    by = {row[0].rsplit(".", 1)[-1]: row[3] for row in found["by"]}  # type: ignore[attr-defined]
    assert by["waits"] == 5
    whole = attach_census.census()
    assert {"threads", "gc", "memory", "fds", "blocks", "heap"} <= set(whole)
    assert whole["threads"]["count"] >= 1


def test_a_task_that_has_let_go_of_its_coroutine_is_passed_over() -> None:
    """As one that was begun eagerly and has just ended, whose get_coro() crashes the program on many Pythons."""
    text = (
        "import asyncio; from agent.host import attach_census; print(attach_census._coroutine(asyncio.Task.__new__(asyncio.Task)))"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "None\n")


def test_tasks_written_in_python_are_counted_too() -> None:
    """Those of a program without the accelerator, or with tasks of its own."""

    async def waits() -> None:
        await asyncio.sleep(60)

    async def body() -> object:
        task = asyncio.tasks._PyTask(waits())  # type: ignore[attr-defined]
        place = attach_census._coroutine(task)
        task.cancel()
        return place

    assert "waits" in str(asyncio.run(body()))


def test_tasks_are_counted_whole_while_other_threads_start_and_end_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy program with a task leak is the one that is looked at: there, each walk over the tasks breaks off."""

    class Busy(WeakSet["Task"]):
        def __iter__(self) -> Iterator[Task]:
            raise RuntimeError("Set changed size during iteration")

    class Task:
        def done(self) -> bool:
            return False

        def get_coro(self) -> None:
            return None

    piled = [Task() for _ in range(20_000)]
    every = Busy(piled)
    scheduled = "_scheduled_tasks" if hasattr(asyncio.tasks, "_scheduled_tasks") else "_all_tasks"
    monkeypatch.setattr(asyncio.tasks, scheduled, every)
    stop = threading.Event()

    def churn() -> None:
        mine: list[Task] = []
        while not stop.is_set():
            mine.append(Task())
            every.add(mine[-1])
            if len(mine) > 50:
                mine.clear()

    usual, thread = sys.getswitchinterval(), threading.Thread(target=churn)
    thread.start()
    try:
        sys.setswitchinterval(1e-5)
        counts = [attach_census.tasks()["count"] for _ in range(5)]
    finally:
        sys.setswitchinterval(usual)
        stop.set()
        thread.join()
    assert min(counts) >= 20_000


def test_gdb_is_told_every_point_and_the_right_number_of_them() -> None:
    """The commands hang on breakpoints by number."""
    text = attach_gdb.script("/opt/lib.so")
    assert text.count("\nb ") == len(attach_gdb.POINTS)
    assert f"commands 1-{len(attach_gdb.POINTS)}" in text
    assert text.index("delete breakpoints") < text.index("dlopen")
    assert "@LIB@" not in text


def test_the_side_channel_holds_the_port_on_both_loopback_addresses() -> None:
    """Injected code tries ::1 first; nobody else may answer it there."""
    found = attach_guard.listeners()
    try:
        assert len({each.getsockname()[1] for each in found}) == 1
        assert found[0].getsockname()[0] == "127.0.0.1"
    finally:
        for each in found:
            each.close()


def test_a_connection_is_known_by_the_process_that_made_it() -> None:
    """Another process that connects first is turned away."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, address = server.accept()
        with accepted:
            ports = (address[1], server.getsockname()[1])
            assert attach_guard.belongs(*ports, os.getpid())
            assert not attach_guard.belongs(*ports, 1)
            assert client.fileno() >= 0


@pytest.mark.parametrize(
    ("event", "kind", "words"),
    [
        ({"why": "no safe point"}, Refused, "long C call"),
        ({"why": "network", "detail": "EPERM"}, Unavailable, "EPERM"),
        ({"why": "attaching", "detail": "ptrace: Operation not permitted."}, Refused, "may not be traced"),
        ({"why": "attached", "detail": 'No symbol "PyMem_Malloc" in current context.'}, Refused, "no symbols"),
        ({"why": "hit", "detail": '$2 = 0x1 "failed to map segment"'}, Unavailable, "failed to map segment"),
    ],
)
def test_failures_are_told_in_words_with_a_mend(event: dict[str, str], kind: type[AgentError], words: str) -> None:
    """gdb's own words are for those who know gdb."""
    error = failure(7, event)
    assert isinstance(error, kind)
    assert words in error.message
    assert error.help


def test_an_exception_inside_the_target_is_told_too() -> None:
    """The commonest ones by their cause."""
    assert "tracks process 7 already" in payload_error(7, "RuntimeError('No more than one Tracker instance')").message
    assert "boom" in payload_error(7, "ValueError('boom')").message


@pytest.mark.real
def test_targets_that_would_be_hurt_are_refused_and_left_as_they_are(programs: list[subprocess.Popen[bytes]]) -> None:
    """Blocked, stopped, not Python: each with its reason, within three seconds."""
    pid = run(programs, BLOCKED)
    programs.append(subprocess.Popen(["sleep", "60"]))
    time.sleep(0.1)
    began = time.monotonic()
    with pytest.raises(Refused, match="no CPU time and no context switch"):
        attach_gate.admit(pid)
    with pytest.raises(Refused, match="not a Python program"):
        attach_gate.admit(programs[-1].pid)
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    with pytest.raises(Refused, match="is stopped"):
        attach_gate.admit(pid)
    assert attach_guard.status(pid)["State"].startswith("T")
    assert time.monotonic() - began < 9


@pytest.mark.real
async def test_two_stages_on_a_live_process_leave_it_alone_afterwards(
    programs: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """It is tracked, then tracked again, is traced by nobody, its capture folder is gone, and its threads take turns as before."""
    pid = run(programs, TELLING)
    async with attach(pid, Stage("default", 0.3), state_dir=str(tmp_path)) as watched:
        await watched.started()
        with pytest.raises(Refused, match="captured already"):
            async with attach(pid, Stage("default", 0.3), state_dir=str(tmp_path)):
                pass
        first = await watched.finished()
        await watched.go_on(Stage("pymalloc", 0.3))
        second = await watched.finished()
        folder = watched.place.inner
        assert watched.place.read("started-2") is not None
        assert os.fstat(second.capture_fd).st_size > 0
    assert (first.stage.mode, second.stage.mode) == ("default", "pymalloc")
    assert second.last["blocks"] > first.first["blocks"]
    assert folder.rsplit("/", 1)[-1] not in os.listdir("/tmp")
    status = attach_guard.status(pid)
    assert status["TracerPid"] == "0"
    assert status["State"][0] in "RS"
    os.kill(pid, signal.SIGUSR1)
    assert programs[-1].stdout is not None
    assert float(programs[-1].stdout.readline()) == sys.getswitchinterval()


@pytest.mark.real
async def test_a_cancelled_attach_leaves_the_target_running(programs: list[subprocess.Popen[bytes]], tmp_path: Path) -> None:
    """Whenever it comes; here in the middle of gdb's work."""
    pid = run(programs, LEAKY)

    async def track() -> None:
        async with attach(pid, Stage("pymalloc", 5.0), state_dir=str(tmp_path)) as watched:
            await watched.finished()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(track(), 0.5)
    status = attach_guard.status(pid)
    assert (status["TracerPid"], status["State"][0] in "RS") == ("0", True)
