"""What lasted as a flame graph that needs no script."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from agent.probes._memray_draw import MIB, draw, stacks_of
from agent.probes._memray_table import Facts, Row, Table
from agent.stacks import Frame

MAIN, KEEP = Frame("<module>", "/srv/app.py", 9), Frame("keep", "/srv/app.py", 3)
NONE = (0.0,) * 4
FOUND = Table(
    (
        Row("python", (MAIN, KEEP), (MIB, MIB, MIB, 0.0), NONE, NONE),
        Row("malloc", (MAIN,), (MIB, 0.0, 0.0, 0.0), NONE, NONE, library="png_create (/usr/lib/libpng.so)"),
        Row("python", (MAIN,), NONE, NONE, NONE, late=9 * MIB),
    ),
    seconds=6.0,
    growth=1.0,
)
SEEN = Facts(6.0, "default")


def test_what_lasted_stands_under_whom_it_was_taken_from() -> None:
    """In MiB, outermost call first, the C function last; what has only just been born does not count."""
    python, native = stacks_of(FOUND)
    assert (python.thread, python.frames, python.weight) == ("Python objects", (MAIN, KEEP), 3.0)
    assert (native.thread, str(native.frames[-1]), native.weight) == ("C library heap", "png_create (/usr/lib/libpng.so)", 1.0)


def test_it_is_a_picture_and_a_text(tmp_path: Path) -> None:
    """The picture says what its boxes are, the text is in bytes."""
    (picture, text), missing = draw(FOUND, SEEN, str(tmp_path), 7)
    assert missing == ""
    drawn = ElementTree.parse(picture.path).getroot()
    assert "process 7: memory taken within 6.0 s and kept" in drawn.attrib["aria-label"]
    assert f"Python objects;{MAIN};{KEEP} {3 << 20}" in Path(text.path).read_text(encoding="utf-8").splitlines()


def test_nothing_that_lasted_leaves_no_picture(tmp_path: Path) -> None:
    """An empty one would say less than none."""
    assert draw(Table((), 6.0, 0.0), SEEN, str(tmp_path), 7) == ([], "")
