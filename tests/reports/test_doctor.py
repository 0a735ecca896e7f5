"""What works on a host: each check against made-up hosts, and the whole against this one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from agent import checkup
from agent.config import Config, parse_config
from agent.errors import AgentError, Unavailable
from agent.host import bundles
from agent.host.lane import InlineLane
from agent.host.rights import CAP_SYS_PTRACE
from agent.model import Event, Metric, Sample
from agent.reports import doctor
from agent.reports.doctor import Item
from agent.store.statefile import StateFile
from agent.watch import Watch
from tests.fakes.clock import FakeClock


def only(items: Iterable[Item], name: str) -> Item:
    """The check of that name."""
    return next(item for item in items if item.name == name)


def host(folder: Path, *, caps: int = 0, yama: str | None = None, psi: bool = True) -> str:
    """A process file system with as much as the doctor reads."""
    (folder / "self").mkdir(parents=True)
    (folder / "self/status").write_text(f"Name:\tx\nCapEff:\t{caps:016x}\n")
    (folder / "self/schedstat").write_text("1 2 3\n")
    if psi:
        (folder / "pressure").mkdir()
        (folder / "pressure/cpu").write_text("some avg10=0.00\n")
    if yama is not None:
        (folder / "sys/kernel/yama").mkdir(parents=True)
        (folder / "sys/kernel/yama/ptrace_scope").write_text(f"{yama}\n")
    return str(folder)


PTRACE = 1 << CAP_SYS_PTRACE


@pytest.mark.parametrize(
    ("caps", "yama", "others", "ptrace"),
    [
        (PTRACE, "1", "ok", "ok"),
        (PTRACE, "3", "ok", "missing"),
        (0, "0", "warn", "ok"),
        (0, "1", "warn", "missing"),
        (0, None, "warn", "ok"),
    ],
)
def test_rights_come_from_capabilities_and_the_kernels_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caps: int, yama: str | None, others: str, ptrace: str
) -> None:
    """What may be looked into, with the way to more."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    items = list(doctor.rights(host(tmp_path, caps=caps, yama=yama)))
    assert (only(items, "other users").state, only(items, "ptrace").state) == (others, ptrace)
    assert all(item.fix for item in items if item.state in ("warn", "missing") and item.name == "other users")
    assert only(items, "descriptors").state in ("ok", "warn")


def test_the_kernels_sources_are_told_with_their_switch(tmp_path: Path) -> None:
    """Pressure may be off, cgroups may be of either version."""
    without = list(doctor.kernel(host(tmp_path / "a", psi=False), str(tmp_path / "none")))
    assert (only(without, "pressure (PSI)").state, only(without, "pressure (PSI)").fix) == ("missing", "boot with psi=1")
    assert only(without, "cgroups").state == "warn"
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").write_text("cpu memory\n")
    found = list(doctor.kernel(host(tmp_path / "b"), str(tmp_path / "sys")))
    assert only(found, "cgroups").says == "version 2"
    assert {item.state for item in found} == {"ok"}


def test_folders_are_made_only_when_asked(tmp_path: Path) -> None:
    """With mode 0700; one that cannot be made is told with the reason."""
    state, artifacts = tmp_path / "state", tmp_path / "state/artifacts"
    [first, second] = doctor.folders(str(state), str(artifacts), fix=False)
    assert (first.state, second.state, state.exists()) == ("ok", "ok", False)
    list(doctor.folders(str(state), str(artifacts), fix=True))
    assert [path.stat().st_mode & 0o777 for path in (state, artifacts)] == [0o700, 0o700]
    (tmp_path / "file").write_text("")
    for fix, says in ((True, "Not a directory"), (False, "cannot be made")):
        [item, _] = doctor.folders(str(tmp_path / "file/state"), str(artifacts), fix=fix)
        assert (item.state, says in item.says) == ("missing", True)
    [item, _] = doctor.folders(str(tmp_path / "file"), str(artifacts), fix=False)
    assert item.state == "missing"


def test_the_state_file_is_whole_damaged_or_new_after_a_loss(tmp_path: Path) -> None:
    """None is nothing to tell; a damaged one is, and so is what was lost before."""
    path = tmp_path / "state.db"
    assert list(doctor.state(str(path))) == []
    for expected in ("ok", "warn"):
        file = StateFile(str(path), (), lambda: 1_700_000_000.0)
        file.open()
        file.close()
        [item] = doctor.state(str(path))
        assert item.state == expected
        path.write_bytes(b"no database" * 1000)
        [item] = doctor.state(str(path))
        assert (item.state, "cannot be read" in item.says) == ("missing", True)
    assert len(list(tmp_path.glob("*.corrupt-*"))) == 1


def test_a_folder_without_room_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture needs some hundred megabytes."""
    monkeypatch.setattr(doctor, "FREE_FOR_ARTIFACTS", 1 << 62)
    [item, _] = doctor.folders(str(tmp_path), str(tmp_path), fix=False)
    assert (item.state, "make room" in item.fix) == ("warn", True)


class Source:
    """A collector that works, is absent or breaks."""

    metrics: ClassVar[tuple[Metric, ...]] = ()
    may_block: ClassVar[bool] = False
    interval = timeout = 1.0

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def collect(self) -> Iterable[Sample | Event]:
        if self.error:
            raise self.error
        return []


async def test_sources_are_read_once_and_told() -> None:
    """What a host has none of is no fault."""
    made = {"cpu": Source(), "nvml": Source(Unavailable("no GPU here")), "disk": Source(ValueError("odd line"))}
    watch = Watch(made, lambda time, items: None, FakeClock(), lambda name: InlineLane())
    items = await doctor.sources(watch)
    assert [(i.name, i.state) for i in items] == [("cpu", "ok"), ("nvml", "absent"), ("disk", "missing")]
    assert "no GPU here" in items[1].says
    assert "odd line" in items[2].says


async def test_memray_bundles_are_fetched_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be fetched is a warning with the offline way; the others go on."""
    others = [minor for minor in bundles.MINORS if minor != bundles.own_minor()]
    asked: list[str] = []

    async def build(state_dir: str, minor: str, wheels: str | None = None) -> str:
        asked.append(minor)
        if minor == others[0]:
            raise AgentError("no network")
        return state_dir

    monkeypatch.setattr(bundles, "build", build)
    items = await doctor.bundles(str(tmp_path), False, None, lambda text: None)
    assert not asked
    assert {only(items, f"memray for {minor}").fix for minor in others} == {"anfl-agent doctor --fix"}
    items = await doctor.bundles(str(tmp_path), True, None, lambda text: None)
    assert asked == others
    failed = only(items, f"memray for {others[0]}")
    assert (failed.state, failed.says, "--wheelhouse" in failed.fix) == ("warn", "no network", True)
    assert only(items, f"memray for {others[1]}").state == "ok"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A configuration below a folder."""
    return parse_config(f"state_dir: {tmp_path}/state\n", str(tmp_path / "config.yaml"))


@pytest.mark.real
def test_the_whole_tells_about_this_host_and_writes_nothing(config: Config, tmp_path: Path) -> None:
    """Every room has its say."""
    import asyncio

    items = asyncio.run(checkup.doctor(config, fix=False, wheelhouse=None, progress=lambda text: None))
    assert list(dict.fromkeys(item.group for item in items)) == [
        "Rights",
        "Kernel",
        "Tools",
        "Folders",
        "Sources",
        "GPUs",
        "Alerts",
        "Rules",
    ]
    assert only(items, "py-spy").state == "ok"
    assert only(items, "trees").state == "ok"
    assert all(item.says for item in items)
    assert not list(tmp_path.iterdir())


GPU = {"gpu": "1", "uuid": "GPU-b", "pci": "0000:20:00.0", "name": "NVIDIA H200", "state": "lost", "age_s": 61.0}
UP = {"status": "up", "why": "", "mismatch": False, "driver": "580.95.05", "gpus": [{**GPU, "gpu": "0", "state": "ok"}, GPU]}


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (None, [("NVML", "absent", "not watched")]),
        ({**UP, "status": "absent", "why": "no NVIDIA driver"}, [("NVML", "absent", "no NVIDIA driver")]),
        (UP, [("NVML", "ok", "driver 580.95.05, 2 GPUs"), ("GPU 1", "missing", "lost (GPU-b, 0000:20:00.0)")]),
        ({**UP, "gpus": [], "mismatch": True}, [("NVML", "missing", "another version")]),
        ({**UP, "status": "hung", "why": "nvmlInit has not come back"}, [("NVML", "missing", "nvmlInit has not come back")]),
    ],
)
def test_how_nvml_and_the_gpus_are(report: Any, expected: list[tuple[str, str, str]]) -> None:
    """A host without GPUs lacks nothing; one whose GPU is lost is told which."""
    items = list(doctor.nvml(report))
    assert [(i.name, i.state) for i in items] == [(name, state) for name, state, _ in expected]
    assert all(words in i.says for i, (_, _, words) in zip(items, expected, strict=True))
    assert all(i.fix for i in items if i.state == "missing")


def test_receivers_whose_files_cannot_be_read_are_named(tmp_path: Path) -> None:
    """An address that others may read is a warning; how many addresses a file has is said."""
    good, bare = tmp_path / "chat", tmp_path / "bare"
    good.write_text("json://a\n# ours\njson://b\n")
    good.chmod(0o600)
    bare.write_text("json://a")
    bare.chmod(0o644)
    text = f"""
receivers:
  - {{name: chat, url_file: {good}}}
  - {{name: bare, url_file: {bare}}}
  - {{name: gone, url_file: {tmp_path}/none}}
  - {{name: cred, credential: x}}
  - {{name: log, path: /x}}
"""
    items = list(doctor.receivers(parse_config(text, "c.yaml").receivers, {}))
    assert [(i.name, i.state) for i in items] == [
        *[("chat", "ok"), ("bare", "warn"), ("gone", "missing"), ("cred", "missing"), ("log", "ok")]
    ]
    assert "2 addresses" in only(items, "chat").says
    assert only(items, "bare").fix == f"chmod 600 {bare}"
    assert "none: alerts go to a file" in next(iter(doctor.receivers((), {}))).says
