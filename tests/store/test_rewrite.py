"""Longer records of the same samples."""

from __future__ import annotations

from pathlib import Path

from agent.store import recfile
from agent.store.part import parts
from agent.store.recfile import Record, records
from agent.store.recording import Recording
from agent.store.rewrite import Rewriting
from tests.store.test_recorder import Life


def test_records_grow_to_the_length_asked_for_and_blocks_with_them(tmp_path: Path) -> None:
    """A key record begins every block; what lies between refers to it."""
    life = Life(tmp_path)
    life.live(560)
    rewriting = Rewriting(recfile.Packer(), 50.0, 150.0)
    data = b"".join(rewriting.records(Recording(str(tmp_path)).parts(0, 1e12)))
    found = [r for r in records(data) if isinstance(r, Record)]
    assert all(r.last - r.first < 50.0 for r in found)
    keys = [r.first for r in found if r.kind == recfile.KEY]
    assert 3 <= len(keys) <= 5
    assert (found[0].first, found[-1].last) == (min(life.fed), max(life.fed))


def test_what_is_named_alike_stands_side_by_side(tmp_path: Path) -> None:
    """It moves alike, and packs better."""
    life = Life(tmp_path, count=30)
    life.live(120)
    (first, *_) = parts(b"".join(Rewriting(recfile.Packer()).records(Recording(str(tmp_path)).parts(0, 1e12))))
    named = [key for _, key in sorted(first.decoder.names.keys().items())]
    assert named == sorted(named)
    assert all(list(section.numbers()) == sorted(section.numbers()) for section in first.sections)
