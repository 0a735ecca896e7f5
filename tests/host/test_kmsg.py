"""The doors to the kernel log."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import Unavailable
from agent.host.kmsg import Device, File, Given


class Ring:
    """Stands for the kernel's side of /dev/kmsg: one record a read; errors where the kernel has them."""

    def __init__(self, *answers: bytes | OSError) -> None:
        self._answers: Iterator[bytes | OSError] = iter(answers)

    def read(self, fd: int, size: int) -> bytes:
        """The next record, or the error the kernel gives."""
        answer = next(self._answers, BlockingIOError())
        if isinstance(answer, OSError):
            raise answer
        if len(answer) > size:
            raise OSError(22, "Invalid argument")
        return answer


def device(*answers: bytes | OSError) -> Device:
    """A device with these answers; any file serves as its node."""
    return Device(os.devnull, Ring(*answers).read)


def test_records_come_one_by_one_until_there_are_no_more() -> None:
    """Text and dictionary lines together; then nothing, without waiting."""
    door = device(b"4,1,5,-;one\n SUBSYSTEM=pci\n DEVICE=+pci:1\n", b"6,2,6,-;two\n")
    assert [*door.records(100)] == [["4,1,5,-;one", " SUBSYSTEM=pci", " DEVICE=+pci:1"], ["6,2,6,-;two"]]
    assert [*door.records(100)] == []
    assert door.lost == 0


def test_a_gap_in_the_numbers_is_what_was_lost() -> None:
    """After an overwrite the kernel says EPIPE and goes on with the oldest record that is left."""
    door = device(b"4,1000,5,-;one\n", BrokenPipeError(), b"4,1077,6,-;two\n", b"4,1078,7,-;three\n")
    assert len([*door.records(100)]) == 3
    assert door.lost == 76


def test_a_first_number_above_zero_is_no_loss() -> None:
    """What was overwritten before the agent began is not counted."""
    door = device(b"4,5000,5,-;one\n")
    assert len([*door.records(9)]) == 1
    assert door.lost == 0


def test_a_record_of_eight_kibibytes_fits() -> None:
    """The longest the kernel hands out."""
    text = b"4,1,5,-;" + b"x" * 8100 + b"\n"
    (lines,) = device(text).records(9)
    assert len(lines[0]) == len(text) - 1


def test_no_more_than_asked_for() -> None:
    """The rest stays in the kernel's ring."""
    door = device(*(b"4,%d,5,-;x\n" % n for n in range(10)))
    assert len([*door.records(4)]) == 4
    assert len([*door.records(99)]) == 6


@pytest.mark.parametrize("error", [PermissionError(1, "Operation not permitted"), OSError(5, "Input/output error")])
def test_a_log_that_may_not_be_read_is_unavailable(error: OSError) -> None:
    """The collector is absent there; the mend is said where one is known."""
    with pytest.raises(Unavailable, match="cannot be read"):
        next(device(error).records(9))


def test_a_missing_device_is_unavailable(tmp_path: Path) -> None:
    """As in most containers."""
    with pytest.raises(Unavailable) as missing:
        next(Device(str(tmp_path / "kmsg")).records(1))
    assert "container" in missing.value.help


def test_lines_of_a_file_are_handed_out_when_they_are_whole(tmp_path: Path) -> None:
    """From the beginning, then what is added; half a line waits for its other half."""
    log = tmp_path / "log"
    log.write_text("one\ntwo\nthr")
    door = File(str(log))
    assert door.lines(1 << 20) == ["one", "two"]
    assert door.lines(1 << 20) == []
    with log.open("a") as file:
        file.write("ee\nfour\n")
    assert door.lines(1 << 20) == ["three", "four"]


def test_a_file_cut_short_is_read_again(tmp_path: Path) -> None:
    """It was emptied for new content."""
    log = tmp_path / "log"
    log.write_text("a long first line\n")
    door = File(str(log))
    assert door.lines(1 << 20) == ["a long first line"]
    log.write_text("new\n")
    assert door.lines(1 << 20) == ["new"]


def test_a_large_file_is_read_in_parts(tmp_path: Path) -> None:
    """So much a call, and no line is lost between two."""
    log = tmp_path / "log"
    log.write_text("".join(f"line {n}\n" for n in range(1000)))
    door, found = File(str(log)), list[str]()
    while part := door.lines(777):
        found += part
    assert found == [f"line {n}" for n in range(1000)]


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    """A file that never ends its line does not grow in memory."""
    log = tmp_path / "log"
    log.write_bytes(b"x" * 200_000)
    door = File(str(log))
    assert [len(line) for line in door.lines(1 << 20) if line] == [65536]


def test_a_fifo_is_read_without_waiting(tmp_path: Path) -> None:
    """What is there is taken; an empty one is no end."""
    os.mkfifo(tmp_path / "fifo")
    door = File(str(tmp_path / "fifo"))
    assert door.lines(4096) == []
    with (tmp_path / "fifo").open("w") as writer:
        writer.write("one\nt")
        writer.flush()
        assert door.lines(4096) == ["one"]
        writer.write("wo\n")
        writer.flush()
        assert door.lines(4096) == ["two"]


def test_records_of_a_real_descriptor_keep_their_bounds() -> None:
    """A socket that keeps records apart, read as the device is: no wait, one record a read."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        theirs.send(b"4,1,5,-;one\n")
        theirs.send(b"4,5,6,-;two\n")
        door = Device(os.devnull, lambda fd, size: os.read(ours.fileno(), size))
        assert [lines[0] for lines in door.records(9)] == ["4,1,5,-;one", "4,5,6,-;two"]
        assert door.lost == 3


def test_a_log_that_was_opened_for_the_agent_is_taken_and_nobody_else_gets_it() -> None:
    """Standard input becomes nothing; the descriptor does not wait, and each taker begins at the oldest record."""
    fd = os.open("/dev/zero", os.O_RDONLY)
    given = Given(fd, os.makedev(1, 5))
    first, second = given.take(), given.take()
    assert os.read(fd, 1) == b""
    assert os.read(first, 3) == os.read(second, 3) == b"\0\0\0"
    assert not os.get_blocking(second)
    assert not os.get_inheritable(first)
    for one in (fd, first, second):
        os.close(one)


@pytest.mark.parametrize(("path", "how"), [("/dev/null", os.O_RDONLY), ("/dev/zero", os.O_WRONLY)])
def test_any_other_standard_input_is_left_alone(path: str, how: int) -> None:
    """A terminal, a pipe, nothing, or the log opened for writing."""
    fd = os.open(path, how)
    assert Given(fd, os.makedev(1, 5)).take() == -1
    os.close(fd)
    assert Given(fd, os.makedev(1, 5)).take() == -1
