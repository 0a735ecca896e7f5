"""Records as readers see them; recordings of earlier formats stay readable, and nonsense never reads as values."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest

from agent.errors import AgentError
from agent.model import labels
from agent.store.compact import compact
from agent.store.recfile import FILE, FORMAT, KEY, Packer
from agent.store.recording import Recording, report

OLD = Path(__file__).parent.parent / "fixtures" / "recording" / "format-1.rec"
START = 1_700_000_000.0
SECONDS = 128  # a multiple of the record's 8 s, so that the last one is whole


def truth(number: int, t: int) -> float:
    """What series ``number`` of the fixture read at second ``t``: still, integer, large, hundredths, real, steps."""
    return [7.0, float(t * t % 97), t * 1e6 + number, t / 100, t * 0.1 + 0.3, float(t // 40)][number]


def fed() -> dict[tuple[int, int], float]:
    """Every reading of the fixture, by series and second; one series missed a tick now and then."""
    return {(n, t): truth(n, t) for t in range(SECONDS) for n in range(6) if not (n == 2 and t % 9 == 4)}


def read(path: Path) -> dict[tuple[int, int], float]:
    """The same of a file."""
    ticks = Recording(str(path)).ticks(0, 2 * START)
    return {(int(s.labels[0][1]), round(time - START)): v for time, _, samples in ticks for s, v in samples}


def test_a_recording_of_format_1_reads_as_it_was_written() -> None:
    """Its moments, a series, an instant and its event."""
    recording = Recording(str(OLD))
    assert report(str(OLD)).about["format"] == 1
    assert read(OLD) == fed()
    column = recording.one("level", labels(n=4), START + 9, START + 100)
    assert list(column.values) == [truth(4, t) for t in range(10, 101)]
    found = {int(known[0][1]): value for (_, known), (_, value) in recording.instant(START + 71.5).items()}
    assert found == {n: truth(n, 71) for n in range(6)}
    events = [e for part in recording.parts(0, 2 * START) for e in part.events]
    assert [(e.time, e.kind, e.text, e.fields, e.trusted) for e in events] == [(START + 77, "kernel", "Xid 79", {"xid": 79}, False)]


def test_a_recording_of_format_1_can_be_compacted(tmp_path: Path) -> None:
    """It then is one of today's format, with the same readings."""
    path = tmp_path / "old.rec"
    shutil.copyfile(OLD, path)
    compact(str(path))
    assert (read(path), report(str(path)).about["format"]) == (fed(), FORMAT)


def test_a_recording_of_a_later_format_is_refused(tmp_path: Path) -> None:
    """Its groups may mean anything."""
    path, packer = tmp_path / "new.rec", Packer()
    path.write_bytes(packer.record(FILE, json.dumps({"format": FORMAT + 1}).encode(), START, START))
    with pytest.raises(AgentError, match="later format"):
        Recording(str(path)).one("level", (), 0, 2 * START)


@pytest.mark.parametrize(
    "directory", [b"{", b"[]", b'{"groups":[[0,1,1]]}', b'{"groups":[[64,1,1]]}', b'{"series":[1]}', b'{"events":[[1]]}']
)
def test_a_record_that_makes_no_sense_is_named_and_has_no_values(tmp_path: Path, directory: bytes) -> None:
    """Although its checksum is right: a file may come from anywhere."""
    path, packer = tmp_path / "odd.rec", Packer()
    payload = struct.pack("<I", len(directory)) + directory
    path.write_bytes(
        packer.record(FILE, json.dumps({"format": FORMAT}).encode(), START, START)
        + packer.record(KEY, payload, START, START, names=b"series" in directory)
    )
    found = report(str(path))
    assert (len(found.damage), found.samples) == (1, 0)
    assert list(Recording(str(path)).ticks(0, 2 * START)) == []
    assert Recording(str(path)).instant(START) == {}
