"""The door to one process, on made-up and on real processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import AgentError
from agent.host import procs
from agent.host.procs import NoSuchProcess, NotPermitted
from agent.host.procstat import status_field
from tests.fakes.proctree import BOOT, Tree

NOBODY = 4_194_304  # above the kernel's largest pid


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Init and one process of a service."""
    tree = Tree(tmp_path)
    tree.put(1, ppid=0, name="systemd")
    tree.put(50, start=500, cgroup="/system.slice/app.service")
    return tree


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """A Python process with two threads, asleep."""
    code = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_identity_tells_who_it_is(tree: Tree) -> None:
    """Name, command line, start in Unix seconds, parent and place."""
    who = procs.identity(50, str(tree.root))
    assert (who.comm, who.cmdline, who.start_time, who.ppid) == ("python3", "python3 app.py", BOOT + 5, 1)
    assert (who.uid, who.user, who.cgroup, who.unit) == (0, "root", "/system.slice/app.service", "app.service")
    assert (who.container, who.job, who.pod, who.python) == (None, None, None, None)


def test_identity_tells_the_batch_job_from_the_environment(tree: Tree) -> None:
    """Where the cgroup does not name it; other variables are not looked at."""
    (tree.root / "50" / "environ").write_bytes(b"SECRET=x\0SLURM_JOB_ID=4711\0")
    assert procs.identity(50, str(tree.root)).job == "4711"


def test_identity_leaves_a_blocked_process_in_peace(tree: Tree) -> None:
    """Command line, environment and map need a lock that a process in state D may hold for ever."""
    for name in ("cmdline", "environ", "maps"):
        (tree.root / "50" / name).unlink(missing_ok=True)
        os.mkfifo(tree.root / "50" / name)  # opening it would hang
    tree.processes[50].state = "D"
    (tree.root / "50" / "stat").write_text(tree.processes[50].stat())
    assert procs.identity(50, str(tree.root)).cmdline == ""


@pytest.mark.parametrize("name", ["x\ny", "\x1b[31m", "a) R 1"])
def test_names_are_cleaned(tree: Tree, name: str) -> None:
    """Text from outside is cleaned here, once."""
    tree.put(50, name=name)
    assert procs.identity(50, str(tree.root)).comm.isprintable()


@pytest.mark.parametrize(
    "ask", [procs.identity, procs.state, procs.tracer, procs.tree, procs.threads, procs.start_time, procs.python_minor]
)
def test_a_process_that_is_not_there_is_said(ask: object) -> None:
    """One error with a help, whichever question was asked."""
    with pytest.raises(NoSuchProcess, match=f"no process {NOBODY}") as error:
        ask(NOBODY)  # type: ignore[operator]
    assert error.value.help
    assert isinstance(error.value, AgentError)


def test_a_reused_pid_is_not_still_the_same(tree: Tree) -> None:
    """A pid alone names nobody."""
    root, start = str(tree.root), BOOT + 5
    assert procs.still(50, start, root)
    tree.put(50, start=501 + 100)
    assert not procs.still(50, start, root)


def test_a_zombie_is_not_still_there(tree: Tree) -> None:
    """It has ended; only its parent has not noticed."""
    tree.put(50, state="Z")
    assert not procs.still(50, BOOT + 5, str(tree.root))
    assert not procs.still(NOBODY, 0.0)


def test_the_tree_is_the_process_and_all_below(tree: Tree) -> None:
    """Itself first, then children, then grandchildren."""
    for pid, parent in ((51, 50), (52, 51), (53, 50), (60, 1)):
        tree.put(pid, ppid=parent)
    assert procs.tree(50, str(tree.root)) == (50, 51, 53, 52)


@pytest.mark.parametrize(
    ("exe", "version"),
    [("/usr/bin/python3.12", "3.12"), ("/opt/python3.13t", "3.13t"), ("/opt/python3.11 (deleted)", "3.11"), ("/bin/bash", None)],
)
def test_python_is_told_from_the_executable(tree: Tree, exe: str, version: str | None) -> None:
    """The name of the program that runs, after links are followed."""
    (tree.root / "50" / "exe").symlink_to(exe)
    assert procs.python_minor(50, str(tree.root)) == version


@pytest.mark.parametrize("mapped", ["/usr/lib/libpython3.10.so.1.0", "/usr/lib/python3.10/lib-dynload/_json.so"])
def test_python_inside_another_program_is_told_from_its_map(tree: Tree, mapped: str) -> None:
    """An embedded interpreter, or one whose file has another name."""
    (tree.root / "50" / "exe").symlink_to("/usr/sbin/uwsgi")
    (tree.root / "50" / "maps").write_text(f"7f00-7f01 r-xp 00000000 08:01 42    {mapped}\n")
    assert procs.python_minor(50, str(tree.root)) == "3.10"


@pytest.mark.real
def test_a_real_process_has_all_of_it(child: "subprocess.Popen[bytes]") -> None:
    """Identity, threads and state of a sleeping Python process with two threads."""
    who = procs.identity(child.pid)
    assert who.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert who.ppid == os.getpid()
    assert abs(who.start_time - time.time()) < 60
    assert procs.still(child.pid, who.start_time)
    assert procs.tracer(child.pid) == 0
    found = procs.threads(child.pid)
    assert len(found) == 2
    assert found[0].tid == child.pid
    assert found[0].cpu_seconds > 0
    assert found[0].voluntary + found[0].involuntary > 0


@pytest.mark.real
def test_an_ended_process_is_not_still_there(child: "subprocess.Popen[bytes]") -> None:
    """As a zombie and when it is gone."""
    start = procs.start_time(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert procs.state(child.pid) == "Z"
    assert not procs.still(child.pid, start)
    child.wait()
    assert not procs.still(child.pid, start)


@pytest.mark.real
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_somebody_elses_process_is_said_to_be_closed(child: "subprocess.Popen[bytes]") -> None:
    """What any user may know is told; the rest is an error that says what right is missing."""
    os.seteuid(65534)
    try:
        who = procs.identity(child.pid)
        with pytest.raises(NotPermitted, match="may not be read") as error:
            procs.python_minor(child.pid)
    finally:
        os.seteuid(0)
    assert (who.exe, who.python, who.user) == ("", None, "root")
    assert "CAP_SYS_PTRACE" in error.value.help


def test_one_line_of_a_status_file() -> None:
    """The first line, one in the middle, the last without an end; a name that is part of another is not it."""
    text = b"Name:\tx y\nCapEff:\t0\nnonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t 5"
    assert status_field(text, b"Name") == b"x y"
    assert status_field(text, b"CapEff") == b"0"
    assert status_field(text, b"voluntary_ctxt_switches") == b"5"
    assert status_field(text, b"Eff") is None
