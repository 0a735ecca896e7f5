"""The audit file: what was done to it shows."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from agent.store import audit
from agent.store.audit import AuditFile, Cut, Entry, canonical, check, head_of, link

KEY = b"k" * 32


def entries(first: int, last: int, before: str = "") -> list[Entry]:
    """A chain."""
    made = []
    for seq in range(first, last + 1):
        body = canonical({"why": f"because {seq} ü \x1f", "n": 0.1 * seq})
        digest = link(before, seq, 1.5 * seq, "ada", f"run {seq} begun", body)
        made.append(Entry(seq, 1.5 * seq, "ada", f"run {seq} begun", body, digest))
        before = digest
    return made


def written(path: Path, count: int = 5) -> list[Entry]:
    """A file with so many records."""
    made = entries(1, count)
    file = AuditFile(str(path), KEY)
    assert file.last() is None
    file.append(made[:2])
    file.append(made[2:])
    return made


def test_what_was_written_is_whole_and_its_owner_s(tmp_path: Path) -> None:
    """Over a new start too."""
    path = tmp_path / "audit.jsonl"
    made = written(path)
    assert path.stat().st_mode & 0o777 == 0o600
    again = AuditFile(str(path), KEY)
    assert again.last() == made[-1]
    again.append(entries(6, 7, made[-1].hash))
    found = check(str(path), KEY)
    assert (found.seq, found.line) == (7, 0)
    assert check(str(path), KEY, head_of(5, made[-1].hash)).line == 0


def test_every_change_to_the_file_is_found_at_its_place(tmp_path: Path) -> None:
    """Edited, taken out, moved, doubled, put in, cut in the middle, sealed with another key."""
    path = tmp_path / "audit.jsonl"
    written(path)
    lines = path.read_bytes().splitlines(keepends=True)
    forged = json.loads(lines[2])
    forged["who"] = "eve"
    forged["hash"] = link(json.loads(lines[1])["hash"], 3, forged["time"], "eve", forged["what"], canonical(forged["body"]))
    changed = {
        "edited": ([*lines[:2], lines[2].replace(b'"ada"', b'"eve"'), *lines[3:]], 3, "record 3 was changed"),
        "edited with its hash": ([*lines[:2], json.dumps(forged).encode() + b"\n", *lines[3:]], 3, "does not bear"),
        "another time": ([*lines[:2], lines[2].replace(b'"time":4.5', b'"time":4.6'), *lines[3:]], 3, "record 3 was changed"),
        "taken out": (lines[:2] + lines[3:], 3, "record 3 was taken out or moved: 4"),
        "moved": ([lines[0], lines[2], lines[1], *lines[3:]], 2, "record 2 was taken out"),
        "doubled": (lines[:3] + lines[2:], 4, "record 4 was taken out"),
        "first gone": (lines[1:], 1, "record 1 was taken out"),
        "no json": ([*lines[:2], b"{\n", *lines[3:]], 3, "not a whole record"),
        "torn": ([*lines[:4], lines[4][:-9]], 5, "not a whole record"),
    }
    for name, (now, line, why) in changed.items():
        path.write_bytes(b"".join(now))
        found = check(str(path), KEY)
        assert (found.line, why in found.why) == (line, True), (name, found)
    path.write_bytes(b"".join(lines))
    assert check(str(path), b"x" * 32).line == 1


def test_every_single_changed_byte_is_found(tmp_path: Path) -> None:
    """Whichever it is."""
    path = tmp_path / "audit.jsonl"
    written(path, 2)
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert check(str(path), KEY).line != 0, (place, good[place : place + 1])


def test_a_cut_end_shows_against_a_head_that_was_told(tmp_path: Path) -> None:
    """Without one a cut end is a shorter file."""
    path = tmp_path / "audit.jsonl"
    made = written(path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    assert check(str(path), KEY).line == 0
    assert "record 5 is not there" in check(str(path), KEY, head_of(5, made[4].hash)).why
    assert "not the one whose head" in check(str(path), KEY, "3:000000000000").why
    for bad in ("5", "x:y", "5:zz", "5:12", ":123456789012"):
        with pytest.raises(ValueError, match="is no head"):
            check(str(path), KEY, bad)


def test_what_a_kill_left_half_written_is_cut_off_at_the_next_start(tmp_path: Path) -> None:
    """It was never told to anybody as recorded."""
    path = tmp_path / "audit.jsonl"
    made = written(path)
    with path.open("ab") as file:
        file.write(b'{"seq":6,"time":1')
    again = AuditFile(str(path), KEY)
    assert again.last() == made[-1]
    again.append(entries(6, 6, made[-1].hash))
    assert check(str(path), KEY).seq == 6


def test_a_disk_that_is_full_leaves_nothing_of_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is whole."""
    path = tmp_path / "audit.jsonl"
    made = written(path)
    file = AuditFile(str(path), KEY)
    file.last()

    def full(fd: int, raw: bytes) -> None:
        os.write(fd, raw[:10])
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(audit, "_write", full)
        with pytest.raises(OSError, match="no space"):
            file.append(entries(6, 6, made[-1].hash))
    file.append(entries(6, 6, made[-1].hash))
    assert check(str(path), KEY).seq == 6


def test_somebody_else_s_hand_is_noticed_before_anything_is_added(tmp_path: Path) -> None:
    """Longer, shorter, another file, a link."""
    path = tmp_path / "audit.jsonl"
    made = written(path)
    more = entries(6, 6, made[-1].hash)
    good = path.read_bytes()
    for other in (good + b"x\n", good[:-1], b""):
        path.write_bytes(good)
        file = AuditFile(str(path), KEY)
        file.last()
        path.write_bytes(other)
        with pytest.raises(Cut):
            file.append(more)
    path.unlink()
    with pytest.raises(Cut):
        file.append(more)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        AuditFile(str(path), KEY).append(more)
    assert not (tmp_path / "elsewhere").exists()


def test_a_last_line_that_is_not_ours_is_said(tmp_path: Path) -> None:
    """No record, or another key's."""
    path = tmp_path / "audit.jsonl"
    written(path)
    with pytest.raises(Cut, match="seal"):
        AuditFile(str(path), b"x" * 32).last()
    path.write_bytes(b"hello\n")
    with pytest.raises(Cut, match="no record"):
        AuditFile(str(path), KEY).last()


def test_an_append_that_hangs_holds_up_the_next_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes between the halves of a line."""
    path = tmp_path / "audit.jsonl"
    made = written(path)
    file = AuditFile(str(path), KEY)
    file.last()
    go, begun, found = threading.Event(), threading.Event(), list[Entry | None]()
    write = audit._write

    def slow(fd: int, raw: bytes) -> None:
        write(fd, raw[:10])
        begun.set()
        go.wait(10)
        write(fd, raw[10:])

    monkeypatch.setattr(audit, "_write", slow)
    hangs = threading.Thread(target=lambda: file.append(entries(6, 6, made[-1].hash)))
    hangs.start()
    begun.wait(10)
    looks = threading.Thread(target=lambda: found.append(file.last()))
    looks.start()
    go.set()
    hangs.join(10)
    looks.join(10)
    assert (found[0] is not None and found[0].seq, check(str(path), KEY).seq) == (6, 6)
