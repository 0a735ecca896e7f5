"""The collector's flag in another process's memory."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

from agent.errors import AgentError
from agent.host import gcflag

known = pytest.mark.skipif(sys.version_info >= (3, 14) or sys.platform != "linux", reason="layout not known")


@known
def test_our_own_collector_is_found_at_rest_and_at_work() -> None:
    """Outside a collection the flag is down; inside one, seen from its callback, it is up; full collections are counted."""
    place = gcflag.locate(os.getpid())
    during: list[bool] = []

    def callback(phase: str, info: dict[str, int]) -> None:
        during.append(gcflag.read(place).collecting)

    before = gcflag.read(place)
    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)
    after = gcflag.read(place)
    assert (before.collecting, any(during), after.collecting) == (False, True, False)
    assert after.full_collections > before.full_collections


def test_memory_that_does_not_fit_is_not_believed() -> None:
    """Random bytes are no collector's state."""
    assert not gcflag._plausible(b"\x07" * 204)


def test_a_file_that_is_no_program_has_no_symbols(tmp_path: Path) -> None:
    """Anything but an ELF file brings nothing."""
    path = tmp_path / "libpython.so"
    path.write_bytes(b"not a program" * 20)
    assert gcflag.symbol(str(path), b"_PyRuntime") is None


def test_a_process_that_is_gone_is_an_error_of_ours() -> None:
    """No raw OSError for a pid that does not exist."""
    with pytest.raises(AgentError):
        gcflag.locate(2**22 - 3)
