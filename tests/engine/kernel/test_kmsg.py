"""Records of /dev/kmsg."""

from __future__ import annotations

import pytest

from agent.engine.kernel.kmsg import parse
from agent.engine.kernel.lines import records


def test_a_record_says_who_when_and_which() -> None:
    """Facility and level from the priority, the number, seconds since the boot."""
    record = parse("4,1227,437812449,c,1,-;text; with a semicolon")
    assert record is not None
    assert (record.facility, record.level, record.seq, record.stamp, record.flag) == (0, 4, 1227, 437.812449, "c")
    assert record.text == "text; with a semicolon"


@pytest.mark.parametrize("line", ["text", "4,1;x", "4,x,1,-;y", "-4,1,1,-;y", "4,1,1,-y", "999999,1,1,-;y"])
def test_what_is_no_record_is_refused(line: str) -> None:
    """None, and no exception."""
    assert parse(line) is None


def test_escapes_are_undone() -> None:
    """``\\x0a`` is a line end, escaped bytes are UTF-8, and a backslash comes escaped itself."""
    (record,) = records(["4,1,1,-;a\\x0ab \\xc3\\xa9 \\x5cx41 \\xff"])
    assert record.text == "a\nb é \\x41 \ufffd"


def test_pieces_of_one_line_are_joined() -> None:
    """Old kernels hand out a line in pieces; new ones mark whole lines with c as well."""
    old = [*records(["4,1,1,c;one ", "4,2,2,+;two", "4,3,3,-;three"])]
    assert [r.text for r in old] == ["one two", "three"]
    new = [*records(["4,1,1,c;one", "4,2,2,c;two", "text"])]
    assert [r.text for r in new] == ["one", "two", "text"]


def test_a_piece_of_another_facility_is_not_joined() -> None:
    """A program cannot hang its words onto a line of the kernel."""
    found = [*records(["4,1,1,c;NVRM: one", "12,2,2,+; caused by previous Xid 79"])]
    assert [r.text for r in found] == ["NVRM: one", " caused by previous Xid 79"]
