"""Limits on a cgroup of either version: set, seen, lifted; never on one that others share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.actions import _cgroup, cgroup_limit
from agent.host import procs
from agent.host.lane import aside
from agent.host.reach import Reach, WillNot
from agent.model import Target
from tests.actions.conftest import Start

V2 = {"memory.high": "max", "cpu.max": "max 100000", "io.weight": "default 100"}
V1 = {"memory.soft_limit_in_bytes": "9223372036854771712", "cpu.cfs_quota_us": "-1", "blkio.bfq.weight": "100"}


@pytest.fixture
def v2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as version 2 shows one."""
    folder = tmp_path / "job"
    folder.mkdir()
    for name, value in V2.items():
        (folder / name).write_text(value)
    (folder / "cgroup.procs").write_text("")
    monkeypatch.setattr(_cgroup, "_roots", lambda: {"": str(tmp_path)})
    return folder


@pytest.fixture
def v1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders as version 1 shows them, one hierarchy for each controller."""
    roots = {name: str(tmp_path / name) for name in ("memory", "cpu", "blkio")}
    for root in roots.values():
        folder = Path(root) / "job"
        folder.mkdir(parents=True)
        (folder / "cgroup.procs").write_text("")
        for name, value in V1.items():
            (folder / name).write_text(value)
    monkeypatch.setattr(_cgroup, "_roots", lambda: roots)
    return tmp_path


JOB = Target("cgroup", "job", cgroup="/job")


async def test_limits_are_set_and_lifted_in_version_2(v2: Path, reach: Reach) -> None:
    """Memory, CPU and disk in one step."""
    action = cgroup_limit.Action(JOB, reach, memory=2.0**30, cpus=1.5, io_weight=50)
    await action.check()
    done = await action.act()
    assert await aside(lambda: {n: (v2 / n).read_text() for n in V2}) == {
        "memory.high": str(2**30),
        "cpu.max": "150000 100000",
        "io.weight": "default 50",
    }
    assert await action.verify(done) is True
    await action.undo(done)
    assert await aside(lambda: {n: (v2 / n).read_text() for n in V2}) == V2


async def test_limits_are_set_and_lifted_in_version_1(v1: Path, reach: Reach) -> None:
    """Each controller in its own hierarchy."""
    action = cgroup_limit.Action(JOB, reach, memory=2.0**30, cpus=0.5)
    done = await action.act()
    assert await aside(lambda: (v1 / "cpu/job/cpu.cfs_quota_us").read_text()) == "50000"
    assert await aside(lambda: (v1 / "memory/job/memory.soft_limit_in_bytes").read_text()) == str(2**30)
    await action.undo(done)
    assert await aside(lambda: (v1 / "cpu/job/cpu.cfs_quota_us").read_text()) == "-1"


@pytest.mark.parametrize("path", ["/", "/system.slice", "/../job", "", "/none"])
async def test_a_shared_or_missing_cgroup_is_not_bounded(v2: Path, reach: Reach, path: str) -> None:
    """It would bound others too."""
    with pytest.raises(WillNot):
        await cgroup_limit.Action(Target("cgroup", "x", cgroup=path), reach, cpus=1.0).check()


async def test_a_knob_this_kernel_does_not_have_is_said_before_anything_is_written(v2: Path, reach: Reach) -> None:
    """The others stay as they were."""
    await aside((v2 / "io.weight").unlink)
    with pytest.raises(WillNot, match=r"has no .*io\.weight"):
        await cgroup_limit.Action(JOB, reach, cpus=1.0, io_weight=50).act()
    assert await aside(lambda: (v2 / "cpu.max").read_text()) == V2["cpu.max"]


@pytest.mark.parametrize("given", [{}, {"memory": 1024.0}])
async def test_no_limit_and_a_deadly_one_are_refused(v2: Path, reach: Reach, given: dict[str, float]) -> None:
    """Less than 16 MiB stops anything."""
    with pytest.raises(WillNot):
        await cgroup_limit.Action(JOB, reach, **given).check()  # type: ignore[arg-type]


@pytest.fixture
def own_cgroup() -> Iterator[Path]:
    """A real cgroup of version 1 or 2 with a CPU controller; skipped where none can be made."""
    root = _cgroup._roots().get("cpu") or _cgroup._roots().get("")
    folder = Path(root or "/none") / f"anfl-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error.strerror}")
    yield folder
    folder.rmdir()


@pytest.mark.real
async def test_a_real_neighbour_is_bounded_and_let_free(own_cgroup: Path, start: Start, reach: Reach) -> None:
    """The kernel keeps what was written, and gets its old value back."""
    target = await aside(start)
    assert target.pid is not None
    await aside(lambda: (own_cgroup / "cgroup.procs").write_text(str(target.pid)))
    knob = own_cgroup / ("cpu.cfs_quota_us" if (own_cgroup / "cpu.cfs_quota_us").exists() else "cpu.max")
    if not await aside(knob.exists):
        pytest.skip("no CPU controller here")
    before = await aside(knob.read_text)
    action = cgroup_limit.Action(
        Target("process", "sleep", target.pid, target.start_time, cgroup=f"/{own_cgroup.name}"), reach, cpus=0.5
    )
    await action.check()
    done = await action.act()
    assert (await aside(knob.read_text)).split()[0] == "50000"
    assert await action.verify(done) is True
    await action.undo(done)
    assert await aside(knob.read_text) == before
    await aside(lambda: os.kill(target.pid or 0, 9))
    while target.pid in await aside(lambda: procs.tree(target.pid or 0)):
        if not await aside((own_cgroup / "cgroup.procs").read_text):
            break
        await reach.clock.sleep(0.05)


@pytest.mark.parametrize(("taken", "seen"), [("150000 100000", True), ("max 100000", False), ("", False)])
async def test_whether_a_unit_is_bounded_is_asked_of_the_kernel(
    v2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reach: Reach, taken: str, seen: bool
) -> None:
    """systemd takes the property also where it cannot set it: with a controller of the other version, or none."""
    await aside(lambda: (v2 / "cpu.max").write_text(taken) if taken else (v2 / "cpu.max").unlink())
    program = tmp_path / "systemctl"
    await aside(lambda: program.write_text('#!/bin/sh\ncase "$*" in *ControlGroup*) echo /job;; *) echo infinity;; esac\n'))
    await aside(lambda: program.chmod(0o755))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    action = cgroup_limit.Action(Target("unit", "svc.service", unit="svc.service"), reach, cpus=1.5)
    assert await action.verify(await action.act()) is seen


@pytest.mark.parametrize(
    ("was", "given", "back"),
    [
        ("1.500000s", {"cpus": 1.0}, "CPUQuota=150%"),
        ("333.300ms", {"cpus": 0.25}, "CPUQuota=33.3%"),
        ("1min 4s", {"cpus": 8.0}, "CPUQuota=6400%"),
        ("[not set]", {"io_weight": 50}, "IOWeight="),
        ("200", {"io_weight": 50}, "IOWeight=200"),
        (str(2**31), {"memory": 2.0**30}, f"MemoryHigh={2**31}"),
        (str(2**64 - 1), {"memory": 2.0**30}, "MemoryHigh=infinity"),
    ],
)
async def test_a_unit_gets_back_the_limit_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reach: Reach, was: str, given: dict[str, Any], back: str
) -> None:
    """Its owner's own, as systemd shows it."""
    program = tmp_path / "systemctl"
    words = f'#!/bin/sh\necho "$*" >> {tmp_path}/log\ncase "$1" in show) echo "{was}";; esac\n'
    await aside(lambda: program.write_text(words))
    await aside(lambda: program.chmod(0o755))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    action = cgroup_limit.Action(Target("unit", "svc.service", unit="svc.service"), reach, **given)
    await action.undo(await action.act())
    assert (await aside((tmp_path / "log").read_text)).splitlines()[-1] == f"set-property --runtime -- svc.service {back}"
    if back.rpartition("=")[2] not in ("", "infinity"):
        looser = {name: value * 100 for name, value in given.items()}
        with pytest.raises(WillNot, match="already"):
            await cgroup_limit.Action(Target("unit", "svc.service", unit="svc.service"), reach, **looser).act()


async def test_a_limit_that_is_there_is_not_loosened(v2: Path, reach: Reach) -> None:
    """What was written before it is put back."""
    await aside(lambda: (v2 / "cpu.max").write_text("50000 100000"))
    with pytest.raises(WillNot, match=r"cpu\.max is 50000 100000 already"):
        await cgroup_limit.Action(JOB, reach, memory=2.0**30, cpus=1.0).act()
    assert await aside(lambda: (v2 / "memory.high").read_text()) == "max"


async def test_a_unit_is_bounded_through_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reach: Reach) -> None:
    """It would put its own values back otherwise."""
    program = tmp_path / "systemctl"
    await aside(lambda: program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/log\ncase "$1" in show) echo infinity;; esac\n'))
    await aside(lambda: program.chmod(0o755))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    action = cgroup_limit.Action(Target("unit", "svc.service", unit="svc.service"), reach, memory=2.0**30, cpus=2.0)
    await action.undo(await action.act())
    said = await aside(lambda: [line for line in (tmp_path / "log").read_text().splitlines() if not line.startswith("show")])
    assert said == [
        f"set-property --runtime -- svc.service MemoryHigh={2**30} CPUQuota=200%",
        "set-property --runtime -- svc.service MemoryHigh=infinity CPUQuota=",
    ]
