"""memray for every Python: made whole or not at all."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from agent.errors import Unavailable
from agent.host import bundles


@pytest.fixture(autouse=True)
def no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other agents of this host have is left out here."""
    monkeypatch.setattr(bundles, "host_state", lambda: str(tmp_path / "none"))


def test_our_own_minor_is_made_from_our_own_packages(tmp_path: Path) -> None:
    """No network, no pip."""
    folder = bundles.find(str(tmp_path), bundles.own_minor())
    assert os.path.exists(bundles.injector(folder))
    assert Path(folder, "typing_extensions.py").exists()
    assert os.stat(folder).st_mode & 0o005 == 0o005
    assert bundles.find(str(tmp_path), bundles.own_minor()) == folder
    assert [name for name in os.listdir(tmp_path / "bundles") if name.startswith(".part")] == []


def test_a_process_that_was_looked_at_makes_its_bundle_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own memray is what the look brought along, from a folder that is gone."""
    left = ModuleType("memray")
    left.__spec__ = ModuleSpec("memray", None, origin=str(tmp_path / "gone" / "memray" / "__init__.py"))
    monkeypatch.setitem(sys.modules, "memray", left)
    assert os.path.exists(bundles.injector(bundles.find(str(tmp_path), bundles.own_minor())))


def test_a_minor_without_a_bundle_is_missing_with_the_mend(tmp_path: Path) -> None:
    """Only doctor fetches anything."""
    other = next(minor for minor in bundles.MINORS if minor != bundles.own_minor())
    assert other in bundles.missing(str(tmp_path))
    with pytest.raises(Unavailable, match=other) as told:
        bundles.find(str(tmp_path), other)
    assert "doctor --fix" in told.value.help


@pytest.mark.real
async def test_a_folder_without_the_wheel_leaves_nothing_behind(tmp_path: Path) -> None:
    """Offline, a failed build says what to fetch and leaves no half bundle."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    other = next(minor for minor in bundles.MINORS if minor != bundles.own_minor())
    with pytest.raises(Unavailable, match="could not be fetched"):
        await bundles.build(str(tmp_path), other, str(wheels))
    assert os.listdir(tmp_path / "bundles") == []
