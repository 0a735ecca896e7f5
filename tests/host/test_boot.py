"""Which boot of the host this is."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.host import boot


def test_the_boot_has_a_name_that_stays() -> None:
    """The kernel's own UUID."""
    assert boot.boot_id() == boot.boot_id()
    assert len(boot.boot_id()) == len("00000000-0000-0000-0000-000000000000")


def test_a_kernel_that_does_not_say_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Then nothing can be said about boots."""
    monkeypatch.setattr(boot, "BOOT_ID", str(tmp_path / "none"))
    assert boot.boot_id() == ""
