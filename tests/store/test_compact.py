"""A closed file in less space, the same in every value."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.store.compact import TEMPORARY, compact
from agent.store.recording import Recording, report
from tests.store.test_recorder import Life, read


def test_compaction_keeps_every_value_and_the_reason_of_the_end(tmp_path: Path) -> None:
    """In less space, in place."""
    life = Life(tmp_path, count=30)
    life.live(560)
    life.recorder.close("SIGTERM")
    (path,) = Recording(str(tmp_path)).files()
    before, after = compact(path)
    assert after == os.path.getsize(path) < before
    assert read(tmp_path) == life.fed
    assert report(path).ended == "SIGTERM"
    assert os.listdir(Path(path).parent) == [os.path.basename(path)]


@pytest.mark.parametrize("ending", ["open", "cut"])
def test_a_file_that_is_open_or_damaged_stays_as_it_is(tmp_path: Path, ending: str) -> None:
    """Nothing may be lost by tidying up."""
    life = Life(tmp_path)
    life.live(80)
    (path,) = Recording(str(tmp_path)).files()
    if ending == "cut":
        life.recorder.close("SIGTERM")
        os.truncate(path, os.path.getsize(path) - 1)
    whole = Path(path).read_bytes()
    with pytest.raises(ValueError, match="damaged or was cut short"):
        compact(path)
    assert Path(path).read_bytes() == whole
    assert not os.path.exists(path + TEMPORARY)
