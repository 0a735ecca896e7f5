"""Compiling the library: once, whole or not at all, with a clear word where there is no compiler."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from agent.errors import AgentError, Unavailable
from agent.sim import build


@pytest.fixture
def gcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH; a program put there as gcc is the compiler."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder / "gcc"


@pytest.fixture
def mark() -> str:
    """The name of the folder that holds the library."""
    return build.fingerprint()


def program(path: Path, text: str) -> None:
    """A shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


async def test_without_a_compiler_the_help_names_the_packages(gcc: Path, tmp_path: Path) -> None:
    """And nothing is left in the cache."""
    with pytest.raises(Unavailable, match="there is no gcc") as told:
        await build.library(tmp_path / "cache")
    assert "apt install gcc" in told.value.help
    assert list((tmp_path / "cache").iterdir()) == []


async def test_a_compiler_that_fails_is_quoted(gcc: Path, tmp_path: Path) -> None:
    """With its first error, made harmless for a terminal."""
    program(gcc, "echo 'noise' >&2; printf 'x.c:1: error: no \\033[31mstdint.h\\n' >&2; exit 1")
    with pytest.raises(AgentError, match=r"x\.c:1: error: no .*stdint\.h") as told:
        await build.library(tmp_path / "cache")
    assert "\x1b" not in str(told.value)


async def test_it_is_compiled_once_and_loaded_from_a_place_of_its_own(gcc: Path, mark: str, tmp_path: Path) -> None:
    """The second time nothing is started; the folder's name changes with the sources."""
    program(gcc, f'while [ "$1" != -o ]; do shift; done; echo ran >> {tmp_path}/log; echo library > "$2"')
    folder = await build.library(tmp_path / "cache")
    assert (folder / build.SONAME).read_text() == "library\n"
    assert folder.name == mark
    assert await build.library(tmp_path / "cache") == folder
    assert (tmp_path / "log").read_text() == "ran\n"
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [folder.name]


async def test_libraries_of_old_sources_are_forgotten_after_a_month(gcc: Path, mark: str, tmp_path: Path) -> None:
    """When a new one is built; younger ones stay."""
    program(gcc, 'while [ "$1" != -o ]; do shift; done; echo library > "$2"')
    for name, age in (("old", 40), ("young", 20)):
        (tmp_path / "cache" / name).mkdir(parents=True)
        os.utime(tmp_path / "cache" / name, (0, time.time() - age * 86400))
    await build.library(tmp_path / "cache")
    assert {entry.name for entry in (tmp_path / "cache").iterdir()} == {"young", mark}


async def test_whoever_comes_second_takes_what_is_there(gcc: Path, mark: str, tmp_path: Path) -> None:
    """Two builds at once end with one library."""
    cache = tmp_path / "cache"
    there = cache / mark
    others = f"/bin/mkdir -p {there}; echo theirs > {there}/{build.SONAME}"
    program(gcc, f'while [ "$1" != -o ]; do shift; done; echo mine > "$2"; {others}')
    assert ((await build.library(cache)) / build.SONAME).read_text() == "theirs\n"


def test_changed_sources_are_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts."""
    before = build.fingerprint()
    shutil.copytree(build.SOURCES, tmp_path / "nvml")
    monkeypatch.setattr(build, "SOURCES", tmp_path / "nvml")
    assert build.fingerprint() == before
    (tmp_path / "nvml/curve.c").write_text("")
    assert build.fingerprint() != before


def test_a_cache_is_found_for_everybody(tmp_path: Path) -> None:
    """Root's lies where the system keeps caches."""
    assert build.cache_home({"XDG_CACHE_HOME": "/c"}, True) == Path("/c/anfl-agent/sim")
    assert build.cache_home({"HOME": "/h"}, False) == Path("/h/.cache/anfl-agent/sim")
    assert build.cache_home({"HOME": "/root"}, True) == Path("/var/cache/anfl-agent/sim")


async def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file in its place, for one."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(AgentError, match="cannot write to"):
        await build.library(tmp_path / "cache")
