"""Whatever is wrong with a call, its files or its target: one clear message with the mend, the right exit code, no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Command, Done, ended
from tests.acceptance.conftest import Start

BUSY = "while True:\n    sum(i * i for i in range(1000))\n"
GONE = 4_000_000  # above the highest pid the kernel gives out by default

pytestmark = pytest.mark.real


def error_of(done: Done, code: int) -> str:
    """The message of an ``anfl.error/1`` that is alone on stdout."""
    document = done.json
    assert document["schema"] == "anfl.error/1", document
    assert (done.code, document["exit_code"], done.err) == (code, code, "")
    return f"{document['message']}; {document['help']}"


def not_checked(done: Done) -> str:
    """What a valid diagnosis says it could not look at, in one text."""
    document = done.json
    assert document["schema"] == "anfl.diagnosis/1"
    assert done.err == ""
    return "\n".join(f"{n['id']}: {n['because']} -> {n['try']}" for n in document["not_checked"])


# ------------------------------------------------------------------------------------------ files


def test_every_mistake_of_a_configuration_is_told_at_once_with_its_place(agent: Command) -> None:
    """Unknown keys, wrong units and wrong plug-in settings: file, line, column, and what was meant."""
    path = agent.config("listn: 127.0.0.1:0\nbudget: {drill: 15parsecs}\nartifacts: {quota: much}\n")
    done = agent("config", "check", config=path)
    assert (done.code, done.out) == (2, "")
    assert f"{path}:1:1: unknown key 'listn'; did you mean 'listen'?" in done.err
    assert f"{path}:2:17:" in done.err
    assert "15parsecs" in done.err
    assert f"{path}:3:20:" in done.err
    plugins = agent.config("collectors:\n  dsk: {}\n  cpu: {interval: soon}\nprobes: {pyspy: {speed: 3}}\n", "plugins.yaml")
    done = agent("run", config=plugins)
    assert done.code == 2
    assert f"{plugins}:2:8: unknown name 'dsk' under collectors; did you mean 'disk'?" in done.err
    assert "'soon' is not a quantity" in done.err
    document = agent("config", "check", "--json", config=path).json
    assert [problem["line"] for problem in document["problems"]] == [1, 2, 3]


def test_a_configuration_that_is_missing_or_no_text_is_told(agent: Command) -> None:
    """The path, and where the name came from."""
    assert "no configuration file" in error_of(agent("status", "--json", config=agent.home / "none.yaml"), 2)
    binary = agent.home / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00listen")
    assert "cannot read the configuration" in error_of(agent("diagnose", "--json", config=binary), 2)


def test_a_file_that_may_not_be_read_is_told_with_the_reason(nobody: Command) -> None:
    """Configuration and rules; the mode is the mend."""
    secret = nobody.config("listen: 127.0.0.1:0\n", "secret.yaml")
    secret.chmod(0o000)
    done = nobody("config", "check", config=secret)
    assert done.code == 2
    assert "Permission denied" in done.err
    assert "mode and owner" in done.err
    rule = nobody.rules() / "looked.yaml"
    rule.chmod(0o000)
    done = nobody("diagnose", config=nobody.config(f"rules_dir: {rule.parent}\n"))
    assert done.code == 2
    assert f"{rule}: cannot read this rule file: Permission denied" in done.err
    rule.parent.chmod(0o000)
    done = nobody("diagnose", config=nobody.config(f"rules_dir: {rule.parent}\n"))
    rule.parent.chmod(0o755)
    assert done.code == 2
    assert f"{rule.parent}: cannot read this folder of rules: Permission denied" in done.err
    assert not (nobody.home / "state").exists()


def test_every_mistake_of_a_rule_is_told_at_once_with_its_place(agent: Command) -> None:
    """Names, types, units and references; exit 1, and nothing is started or written."""
    folder = agent.rules(
        """\
tree: looked
each: [pid]
symptom: {when: "process_resident_byte > 1"}
checks:
  - {id: hot, probe: pyspi, expr: "hot_share > 50%"}
  - {id: odd, expr: "host_load1 > 5MiB"}
  - {id: bare, expr: "rate(host_load1"}
causes:
  looked.hotspot: {title: It computes, require: [hott], support: {hot: 0.8}}
"""
    )
    config = agent.config(f"rules_dir: {folder}\nstate_dir: {agent.home}/state\nlisten: 127.0.0.1:0\n")
    for command in (["run"], ["diagnose", "--pid", "1"]):
        done = agent(*command, config=config)
        assert (done.code, done.out) == (1, ""), done
        lines = done.err.splitlines()
        assert any(line.startswith(f"{folder}/looked.yaml:3:") and "process_resident_bytes" in line for line in lines), lines
        assert any(line.startswith(f"{folder}/looked.yaml:5:") and "did you mean 'pyspy'?" in line for line in lines), lines
        assert any(line.startswith(f"{folder}/looked.yaml:7:") for line in lines), lines
        assert any(line.startswith(f"{folder}/looked.yaml:9:") and "did you mean 'hot'?" in line for line in lines), lines
    document = agent("config", "check", "--json", config=config).json
    assert (document["schema"], document["exit_code"]) == ("anfl.error/1", 1)
    assert not (agent.home / "state").exists()


# ------------------------------------------------------------------------------------------ calls


def test_a_target_that_cannot_be_is_a_usage_error(agent: Command) -> None:
    """A pid nobody has, a unit nothing runs in, options that exclude each other, a tree nobody wrote."""
    assert f"there is no process {GONE}" in error_of(agent("diagnose", "--pid", str(GONE), "--json"), 2)
    assert "no process runs in unit 'none.service'" in error_of(agent("diagnose", "--unit", "none.service", "--json"), 2)
    assert "name one of" in error_of(agent("diagnose", "--unit", "a", "--pid", "1", "--json"), 2)
    assert "did you mean 'latency'?" in error_of(agent("diagnose", "latencie", "--json"), 2)
    assert "expected a duration" in error_of(agent("diagnose", "--for", "3 parsecs", "--json"), 2)


def test_a_monitoring_system_is_never_told_critical_for_a_wrong_call(agent: Command) -> None:
    """Exit 2 means critical there; a call that is wrong is unknown: one line, exit 3."""
    for wrong in (["--pid", "soon"], ["--pid", str(GONE)], ["--gpu", "0"], ["--unit", "a", "--pid", "1"], ["nonsense"]):
        done = agent("diagnose", "--plugin", *wrong)
        assert (done.code, done.err) == (3, ""), done
        assert done.out.startswith("ANFL UNKNOWN - ")
        assert len(done.out.splitlines()) == 1


def test_a_disk_that_is_full_behind_a_redirection_is_told(agent: Command) -> None:
    """The reader of the answer learns that it is not whole."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [agent.python, "-m", "agent", "files", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, env=agent.env()
        )
    assert done.returncode == 3
    assert done.stderr.startswith("anfl-agent: cannot write: No space left on device\n")
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------------------------------ targets


@pytest.mark.skipif(not os.path.exists("/proc/2/stat"), reason="kernel threads are not to be seen here")
def test_a_kernel_thread_is_no_target(agent: Command) -> None:
    """It runs no program."""
    if "kthreadd" not in Path("/proc/2/comm").read_text():
        pytest.skip("process 2 is an ordinary one here")
    assert "kernel thread (kthreadd)" in error_of(agent("diagnose", "--pid", "2", "--json"), 2)


def test_a_process_of_another_user_is_diagnosed_as_far_as_rights_go(nobody: Command, patient: Start) -> None:
    """What everybody may read is read; what needs rights is listed with the way to get them."""
    other = patient(sys.executable, "-c", BUSY).pid if os.geteuid() == 0 else 1
    config = nobody.config(f"rules_dir: {nobody.rules()}\n")
    done = nobody("diagnose", "--pid", str(other), "--for", "1s", "--json", config=config)
    unchecked = not_checked(done)
    assert (done.code, done.json["verdict"]) == (3, "unknown")
    assert f"looked.hot: process {other}: its executable and memory map may not be read" in unchecked
    assert "CAP_SYS_PTRACE" in unchecked


def test_a_process_that_ends_while_it_is_looked_at_is_no_all_clear(agent: Command, patient: Start) -> None:
    """The verdict is unknown, and no command that would look at it again is offered."""
    target = patient(sys.executable, "-c", BUSY)
    config = agent.config(f"rules_dir: {agent.rules()}\nstate_dir: {agent.home}/state\nsocket: {agent.home}/none\n")
    call = agent.start("diagnose", "--pid", str(target.pid), "--for", "1s", config=config)
    assert call.stderr is not None
    while "looking closer" not in (line := call.stderr.readline()):
        assert line, "it ended before it looked closer"
    time.sleep(1.0)
    target.kill()
    target.wait()
    done = ended(call)
    assert (done.code, "UNKNOWN" in done.out) == (3, True)
    assert f"process {target.pid} ended while it was looked at → diagnose its successor" in done.out
    assert f"--pid {target.pid}" not in done.out


def test_a_process_that_is_no_python_is_told_so(agent: Command, patient: Start) -> None:
    """The look that needs Python says why it could not be taken; no cause in Python code stays open for want of it."""
    target = patient("sleep", "60")
    config = agent.config(f"rules_dir: {agent.rules()}\nstate_dir: {agent.home}/state\nsocket: {agent.home}/none\n")
    done = agent("diagnose", "--pid", str(target.pid), "--for", "1s", "--json", config=config)
    assert f"process {target.pid} is not a Python program" in not_checked(done)
    assert done.json["possible"] == []


# ------------------------------------------------------------------------------------------ surroundings


def test_a_stale_socket_is_told_and_the_diagnosis_taken_here(agent: Command, patient: Start) -> None:
    """A daemon that was killed leaves its socket: status says so, diagnose goes on by itself."""
    path = agent.home / "agent.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    config = agent.config(f"rules_dir: {agent.rules()}\nstate_dir: {agent.home}/state\nsocket: {path}\n")
    assert "left its socket behind" in error_of(agent("status", "--json", config=config), 3)
    target = patient("sleep", "60")
    done = agent("diagnose", "--pid", str(target.pid), "--for", "1s", config=config)
    assert f"the agent is gone and left its socket behind ({path}); sampling here instead" in done.err
    assert "from burst" in done.out


@pytest.fixture
def full(home: Path) -> Iterator[Path]:
    """A folder on a disk without room."""
    folder = home / "full"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]).returncode:
        pytest.skip("needs root and a tmpfs")
    with pytest.raises(OSError, match="No space"):
        (folder / "fill").write_bytes(b"\0" * 131072)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.root
def test_a_host_whose_disk_is_full_is_still_diagnosed(agent: Command, patient: Start, full: Path) -> None:
    """What could not be kept is listed with the mend; no half-written file is left."""
    target = patient(sys.executable, "-c", BUSY)
    config = agent.config(f"rules_dir: {agent.rules()}\nstate_dir: {full}/state\nartifacts: {{dir: {full}}}\nsocket: {full}/none\n")
    done = agent("diagnose", "--pid", str(target.pid), "--for", "1s", "--json", config=config)
    assert f"artifacts: the files were not kept in {full}: No space left on device -> make room" in not_checked(done)
    assert [cause["id"] for cause in done.json["causes"]] == ["looked.hotspot"]
    assert done.json["causes"][0]["artifacts"] == []
    assert os.listdir(full) == ["fill"]


def test_the_command_needs_no_writable_folder_to_answer(agent: Command) -> None:
    """Help, version, lists and checks write nothing."""
    for command in (["--version"], ["files"], ["config", "check"], ["config", "show"], ["--help"]):
        assert agent(*command).code == 0
    assert os.listdir(agent.home) == ["config.yaml"]
