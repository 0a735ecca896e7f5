"""The files that ship with the agent, from the checkout or from inside the wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import data
from agent.errors import UsageError


def test_every_shipped_folder_is_found() -> None:
    """And holds what operators look for."""
    assert all(data.folder(name).is_dir() for name in data.FOLDERS)
    assert {"rules/memory.yaml", "rules/schema.json", "systemd/anfl-agent.service", "examples/service.py"} <= set(data.files())


def test_what_does_not_ship_is_refused() -> None:
    """Neither unknown folders nor the agent's own code."""
    for name in ("agent", "tests", "../etc", ""):
        with pytest.raises(UsageError, match="no shipped folder"):
            data.folder(name)


def test_compiled_and_hidden_files_are_not_listed() -> None:
    """The ones come from running the samples in a checkout, the others keep its empty folders."""
    assert not [name for name in data.files() if "__pycache__" in name or "/." in name]
    assert data.files() == sorted(data.files())


def test_inside_the_wheel_the_files_lie_beside_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the build puts them there."""
    (tmp_path / "agent/_data/rules").mkdir(parents=True)
    (tmp_path / "agent/_data/rules/x.yaml").write_text("tree: x\n")
    monkeypatch.setattr(data, "_HERE", tmp_path / "agent")
    assert data.root() == tmp_path / "agent/_data"
    assert data.files() == ["rules/x.yaml"]
    with pytest.raises(UsageError, match="no shipped folder 'drills'"):
        data.folder("drills")
