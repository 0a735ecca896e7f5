"""Keys and other people's secrets."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from agent.errors import ConfigError
from agent.host.keyfile import Keyring, read_secret


def test_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    """And the next start has the same; each purpose has its own."""
    path = str(tmp_path / "state" / "playbooks.key")
    first = Keyring(path).key("audit")
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert (Keyring(path).key("audit"), Keyring(path).key("link") == first) == (first, False)


def test_a_full_disk_leaves_no_half_of_a_key(tmp_path: Path) -> None:
    """Half a key is too short for ever; when there is room again a whole one is made."""
    path = tmp_path / "playbooks.key"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        with pytest.raises(ConfigError, match="cannot keep a key"):
            Keyring(str(path)).load()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []
    Keyring(str(path)).load()
    assert len(path.read_text()) == 65


def test_a_key_that_others_can_read_is_none(tmp_path: Path) -> None:
    """Whoever can read it can forge."""
    path = tmp_path / "k"
    path.write_text("x" * 64)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others can read"):
        Keyring(str(path)).load()


def test_a_key_of_somebody_else_is_never_made(tmp_path: Path) -> None:
    """It is missing, or too short."""
    with pytest.raises(ConfigError, match="cannot read"):
        Keyring(str(tmp_path / "own"), file=str(tmp_path / "given")).load()
    with pytest.raises(ConfigError, match="cannot read the key"):
        Keyring(str(tmp_path / "own")).load(make=False)
    (tmp_path / "given").write_text("short\n")
    with pytest.raises(ConfigError, match="too short"):
        Keyring(str(tmp_path / "own"), file=str(tmp_path / "given")).load()
    assert not (tmp_path / "own").exists()


def test_a_credential_comes_from_systemd(tmp_path: Path) -> None:
    """Its name cannot leave the folder."""
    (tmp_path / "grace").write_text("ABC\n")
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_secret("", "../x/grace", env) == "ABC\n"
    with pytest.raises(ConfigError, match="no systemd credentials here"):
        read_secret("", "grace", {})
