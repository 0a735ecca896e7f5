"""The driver as files tell it: where the library is, versions, and who holds an old one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.host.nvml_driver import SONAME, Library, boards, holders, library_file, loaded_version, locate

OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder@U16-T02)  Thu Jan 23\n"
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Sat Feb 24 22:54:14 UTC 2024\nGCC version:  gcc 12.2.0\n"


def installed(folder: Path, version: str) -> Path:
    """A library as a package leaves it: a file with its version, and a link."""
    folder.mkdir(exist_ok=True)
    real = folder / f"libnvidia-ml.so.{version}"
    real.write_bytes(b"\x7fELF")
    link = folder / SONAME
    link.unlink(missing_ok=True)
    link.symlink_to(real.name)
    return link


def loaded(proc: Path, text: str) -> None:
    """The kernel driver says its version."""
    (proc / "driver" / "nvidia").mkdir(parents=True, exist_ok=True)
    (proc / "driver" / "nvidia" / "version").write_text(text)


def process(proc: Path, pid: int, *, maps: str = "", fds: tuple[str, ...] = (), state: str = "S") -> None:
    """A process that maps and holds something."""
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} (train er) {state} 1 1 1 0 -1 4194304 0 0 0 0 1 1 0 0 20 0 1 0 {pid}00 1000 10\n")
    (folder / "maps").write_text(maps)
    for number, path in enumerate(fds):
        os.symlink(path, folder / "fd" / str(number))


@pytest.mark.parametrize(("text", "version"), [(OPEN, "570.86.15"), (CLOSED, "535.161.08"), ("garbage", ""), ("", "")])
def test_the_loaded_version_is_read_from_either_kind_of_module(tmp_path: Path, text: str, version: str) -> None:
    """Open and closed modules word it differently."""
    loaded(tmp_path, text)
    assert loaded_version(tmp_path.as_posix()) == version


def test_no_driver_has_no_version(tmp_path: Path) -> None:
    """Nothing under /proc."""
    assert loaded_version(str(tmp_path)) == ""


def test_the_library_is_found_as_the_loader_would(tmp_path: Path) -> None:
    """The loader's path before its cache; a named file or folder before all."""
    link = installed(tmp_path / "one", "570.86.15")
    assert locate(env={"LD_LIBRARY_PATH": f":/nowhere:{tmp_path}/one"}) == str(link)
    assert locate(str(tmp_path / "one")) == locate(str(link)) == str(link)
    assert locate(str(tmp_path / "none")) is None


def test_the_boards_of_the_driver_are_known_by_address(tmp_path: Path) -> None:
    """Also those whose UUID the driver has forgotten, and none where there is no driver."""
    assert boards(str(tmp_path), {}) == []
    for pci, uuid in (("0000:C1:00.0", "GPU-????????"), ("0000:18:00.0", "GPU-0a1b2c3d-1111-2222-3333-444455556666")):
        folder = tmp_path / "driver" / "nvidia" / "gpus" / pci
        folder.mkdir(parents=True)
        (folder / "information").write_text(
            f"Model: \t\t NVIDIA H200\nIRQ:   \t\t 100\nGPU UUID: \t {uuid}\nBus Location: \t {pci}\n"
        )
    found = [(b.pci, b.uuid, b.name) for b in boards(str(tmp_path), {})]
    assert found == [
        ("0000:18:00.0", "GPU-0a1b2c3d-1111-2222-3333-444455556666", "NVIDIA H200"),
        ("0000:c1:00.0", "", "NVIDIA H200"),
    ]


def test_a_new_library_is_told_from_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one that fits the loaded driver is worth opening."""
    monkeypatch.setattr("agent.host.nvml_driver.LOOK_EVERY_S", -1.0)
    link = installed(tmp_path / "lib", "535.161.08")
    loaded(tmp_path, CLOSED)
    library = Library(str(link), {}, str(tmp_path))
    assert library.there
    library.opened()
    assert (library.version, library.renewed(), library.differs()) == ("535.161.08", False, False)
    installed(tmp_path / "lib", "570.86.15")
    assert (library.version, library.renewed(), library.differs()) == ("570.86.15", False, True)
    loaded(tmp_path, OPEN)
    assert (library.renewed(), library.differs()) == (True, False)


def test_a_library_without_a_version_in_its_name_differs_from_nothing(tmp_path: Path) -> None:
    """Nobody can say that it does."""
    path = tmp_path / SONAME
    path.write_bytes(b"")
    loaded(tmp_path, OPEN)
    assert not Library(str(path), {}, str(tmp_path)).differs()
    found = library_file(str(path))
    assert found is not None
    assert found.version == ""


def test_who_maps_an_old_library_or_holds_a_device_is_named(tmp_path: Path) -> None:
    """A process in uninterruptible sleep is left out: reading its maps could hang with it."""
    line = "7f00-7f10 r-xp 0 fe:00 1    /usr/lib/x86_64-linux-gnu/{} (deleted)\n"
    process(tmp_path, 100, maps=line.format("libcuda.so.535.161.08"))
    process(tmp_path, 101, maps=line.format("libnvidia-ml.so.570.86.15").replace(" (deleted)", ""))
    process(tmp_path, 102, fds=("/dev/null", "/dev/nvidia0"))
    process(tmp_path, 103, maps=line.format("libcuda.so.535.161.08"), state="D")
    process(tmp_path, 104, maps="7f00-7f10 r-xp 0 fe:00 1 /usr/lib/libc.so.6\n", fds=("/dev/null",))
    found = sorted((h.pid, h.comm, h.holds, h.version) for h in holders("570.86.15", str(tmp_path)))
    assert found == [(100, "train er", "library", "535.161.08"), (102, "train er", "device", "")]
