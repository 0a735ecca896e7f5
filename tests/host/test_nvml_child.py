"""The process that calls NVML: what it may cost, and that one stuck in the driver stops nobody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host import nvml_wire as wire
from agent.host.nvml_child import Child, Died, Past, TimedOut
from agent.host.nvml_wire import Beacon
from tests.fakes import hungdriver
from tests.fakes.gpusim import Host

OPEN_S = 20.0
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    """One that has NVML open."""
    host = Host(tmp_path)
    made = Child(host.file, env=host.env)
    assert made.receive(OPEN_S, 1.0, OPEN_S) is not None
    yield made
    made.kill()
    assert made.ended(5.0)


def test_the_beacon_says_which_call_is_made_and_when_none_is() -> None:
    """Written by one process, read by the other."""
    page = os.memfd_create("beacon")
    os.ftruncate(page, 4096)
    writer, reader = Beacon(page), Beacon(page)
    os.close(page)
    assert reader.where() is None
    writer.enter(3, b"nvmlDeviceGetName", 12.5)
    where = reader.where()
    assert where is not None
    assert (where.gpu, where.call, where.since) == (3, "nvmlDeviceGetName", 12.5)
    writer.leave()
    assert reader.where() is None
    for beacon in (writer, reader):
        beacon.close()


@pytest.mark.real
def test_the_process_imports_next_to_nothing(child: Child) -> None:
    """Its memory is the agent's: no typing, json, re, enum, asyncio or third package but pynvml."""
    maps = Path(f"/proc/{child.pid}/maps").read_text()
    assert "libnvidia-ml.so" in maps
    loaded = [name for name in ("_json", "_asyncio", "_ssl", "_socket", "zlib", "_bz2", "_lzma") if f"/{name}." in maps]
    assert loaded == []


@pytest.mark.real
def test_an_idle_process_ends_when_nobody_is_left_to_ask(child: Child) -> None:
    """It shuts NVML down in an orderly way."""
    child.hang_up()
    assert child.ended(5.0)


@pytest.mark.real
def test_a_process_that_died_says_so(child: Child) -> None:
    """At the next request or in the middle of one."""
    os.kill(child.pid, 9)
    assert child.ended(5.0)
    with pytest.raises(Died):
        child.receive(OPEN_S, 1.0, OPEN_S)
    with pytest.raises(Died):
        child.send({"do": "fast", "skip": []})


@pytest.mark.real
def test_two_gpus_answer_in_one_message(child: Child) -> None:
    """A reading costs one round trip however many there are."""
    child.send({"do": "health", "skip": []})
    reply = child.receive(OPEN_S, 5.0, OPEN_S)
    assert reply is not None
    assert len(reply["gpus"]) == 2


@pytest.mark.real
def test_a_gpu_to_skip_is_not_touched(tmp_path: Path) -> None:
    """Not even its name is asked for: the call could hang."""
    host = Host(tmp_path)
    host.break_("hang", {"gpu": 0})
    child, past = Child(host.file, [0], env=host.env), Past()
    try:
        opened = child.receive(OPEN_S, 1.0, OPEN_S)
        assert opened is not None
        assert [entry["uuid"] for entry in opened["list"]] == [host.uuid(1)]
    finally:
        past.dismiss(child, hangs=False)
        assert past.end(5.0)


@pytest.mark.real
def test_a_call_past_its_deadline_is_named_with_its_gpu(tmp_path: Path) -> None:
    """While a NVML call hangs the answer is not waited for; killing it helps where the kernel allows it."""
    host = Host(tmp_path)
    child = Child(host.file, env=host.env)
    assert child.receive(OPEN_S, 1.0, OPEN_S) is not None
    host.break_("hang", {"gpu": 1, "call": "DeviceGetPowerUsage"})
    child.send({"do": "fast", "skip": []})
    with pytest.raises(TimedOut) as late:
        child.receive(OPEN_S, 0.2, OPEN_S)
    assert (late.value.during.gpu, late.value.during.call) == (1, "nvmlDeviceGetPowerUsage")
    past = Past()
    past.dismiss(child, hangs=True)
    deadline = time.monotonic() + 5.0
    while past.stuck and time.monotonic() < deadline:
        past.reap()
    assert not past.stuck


@pytest.mark.real
def test_a_gpu_that_takes_seconds_to_start_is_no_hang(tmp_path: Path) -> None:
    """Without persistence mode the first call to each GPU starts it; only while NVML is opened is that much time given."""
    host = Host(tmp_path)
    host.break_("slow", {"seconds": "0.5s", "call": "DeviceGetHandleByIndex_v2"})
    child = Child(host.file, env=host.env)
    opened = child.receive(OPEN_S, 0.1, OPEN_S)
    assert opened is not None
    assert len(opened["list"]) == 2
    child.hang_up()
    assert child.ended(5.0)


@pytest.mark.real
def test_a_library_that_cannot_be_loaded_is_as_good_as_none(tmp_path: Path) -> None:
    """Made for another machine, or cut short."""
    broken = tmp_path / "libnvidia-ml.so.1"
    broken.write_bytes(b"\x7fELF")
    child = Child(str(broken))
    assert child.receive(OPEN_S, 1.0, OPEN_S) == {"over": wire.LIBRARY_NOT_FOUND}
    child.hang_up()
    assert child.ended(5.0)


ORPHAN = """
import os, sys, time
from agent.host.nvml_child import Child
child = Child(sys.argv[1])
deadline = time.monotonic() + 20
while (where := child.beacon.where()) is None or where.call != "nvmlDeviceGetName":
    assert time.monotonic() < deadline
    time.sleep(0.01)
print(child.pid, flush=True)
os._exit(0)
"""


@pytest.mark.real
def test_a_call_that_hangs_does_not_outlive_the_agent(tmp_path: Path) -> None:
    """However the agent ends: nothing of it may be left for the service manager to wait for."""
    host = Host(tmp_path)
    host.break_("hang", {"call": "DeviceGetName"})
    # the pipe closes when the last of them is gone
    done = subprocess.run(
        [sys.executable, "-c", ORPHAN, host.file],
        env=host.env,
        cwd=ROOT,
        capture_output=True,
        timeout=25,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_messages_come_out_as_they_went_in() -> None:
    """With their length in front."""
    message = {"do": "fast", "skip": [1, 2], "none": None, "text": "GPU \udc80", "share": 0.5}
    data = wire.packed(message)
    assert wire.HEADER.unpack_from(data)[0] == len(data) - wire.HEADER.size


@pytest.mark.real
@pytest.mark.root
@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/fuse") or shutil.which("unshare") is None, reason="needs root, FUSE"
)
def test_a_driver_that_hangs_in_state_d_stops_neither_the_other_gpus_nor_the_agent(tmp_path: Path) -> None:
    """A whole agent beside a real uninterruptible sleep: it notices, goes on, recovers, and ends while the driver hangs again."""
    argv = ["unshare", "-m", "--propagation", "private", sys.executable, hungdriver.__file__, str(tmp_path), "2", "1"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    if "Operation not permitted" in done.stderr:
        pytest.skip("mounting is not allowed here")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert "D" in seen["states"], "the process was not really stuck"
    assert seen["down"] == [] or set(seen["down"]) <= {"gpu", "gpu_health"}
