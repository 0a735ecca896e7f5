"""Plug-ins by file name; a broken one is reported and the others run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from agent import registry

Room = Callable[..., ModuleType]


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """Makes a package with these files."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(**files: str) -> ModuleType:
        folder = tmp_path / "made_up_room"
        folder.mkdir()
        for name, text in {"__init__": "", **files}.items():
            (folder / f"{name}.py").write_text(text)
        return importlib.import_module("made_up_room")

    yield make
    for name in [name for name in sys.modules if name.split(".")[0] == "made_up_room"]:
        del sys.modules[name]


def test_the_file_name_is_the_plug_ins_name(room: Room) -> None:
    """Files with an underscore are shared helpers."""
    package = room(disk="class Collector: pass", cpu="class Collector: pass", _shared="class Collector: pass")
    found, broken = registry.load(package, "Collector")
    assert registry.names(package) == list(found) == ["cpu", "disk"]
    assert found["disk"].__name__ == "Collector"
    assert not broken


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("class Collector(", "SyntaxError"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise RuntimeError('on import')", "RuntimeError: on import"),
        ("class Colector: pass", "AttributeError"),
    ],
)
def test_one_that_cannot_be_imported_is_reported_and_the_others_are_there(room: Room, text: str, why: str) -> None:
    """In whatever way it fails."""
    found, broken = registry.load(room(bad=text, good="class Collector: pass"), "Collector")
    assert list(found) == ["good"]
    assert [b.name for b in broken] == ["bad"]
    assert broken[0].why.startswith(why)
