"""file_reads: through the files from front to back, from one to the next, or here and there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from agent.host.tools import ProbeTools
from agent.model import Target
from agent.probes.file_reads import MIB, Look, Probe, judge
from tests.probes.conftest import Start

BOOK, DIARY = ("3", "/data/book"), ("4", "/var/log/diary")


def reader(*places: int, moved: int = 100, more: dict[tuple[str, str], int] | None = None) -> list[Look]:
    """Looks at a process that fetches ``moved`` bytes between two of them and has one file open."""
    return [Look(number * moved, {BOOK: place, **(more or {})}) for number, place in enumerate(places)]


def test_a_copy_goes_through_its_file() -> None:
    """Its position moves on by what it reads, read ahead or not."""
    found = judge([reader(0, 100, 190, 290, 400)], 2.0)
    assert found.answers == {"storage_bytes": 200.0, "through_share": 1.0, "new_files_share": 0.0}
    assert "100% of it from front to back" in found.says["through_share"]
    assert "/data/book" in found.says["through_share"]


def test_reads_at_places_of_their_own_leave_positions_alone() -> None:
    """A pool that preads moves bytes and no position; the diary it keeps beside is not what it reads."""
    looks = [Look(number * 1000, {BOOK: 0, DIARY: number * 10}) for number in range(20)]
    assert judge([looks], 2.0).answers["through_share"] == pytest.approx(0.01)


def test_seeking_here_and_there_is_not_going_through() -> None:
    """Half of its moves go back, though the sum of those forwards is large."""
    assert judge([reader(0, 900, 100, 700, 300, 950)], 1.0).answers["through_share"] == 0.0


def test_beginning_a_file_again_is_still_going_through() -> None:
    """Twenty moves on, one back to the front."""
    places = [*range(0, 2000, 100), *range(0, 2000, 100)]
    assert judge([reader(*places)], 4.0).answers["through_share"] == pytest.approx(0.95, abs=0.06)


def test_many_small_files_show_as_new_ones() -> None:
    """At most looks another file is open than before, and hardly a byte is seen to pass."""
    looks = [Look(number * 5000, {("3", f"/data/{number - number % 2}"): 40}) for number in range(11)]
    found = judge([looks], 1.0)
    assert found.answers["new_files_share"] == 0.5
    assert found.answers["through_share"] == pytest.approx(0.004)


def test_the_member_that_moves_most_is_judged() -> None:
    """The parent of a pool does nothing itself; who moved nothing went through nothing."""
    assert judge([reader(0, 0, 0, moved=0), reader(0, 100, 200)], 1.0).answers["storage_bytes"] == 200.0
    assert judge([reader(0, 100, 200, moved=0)], 1.0).answers["through_share"] == 0.0


@pytest.fixture
def disk() -> None:
    """Skip where what is written here never gets to storage (tmpfs), or the kernel does not count it: by a MiB of our own."""

    def written() -> int:
        counts = Path("/proc/self/io").read_text().split()
        return int(counts[counts.index("write_bytes:") + 1])

    try:
        before = written()
        with tempfile.TemporaryFile(dir=".") as out:
            out.write(bytes(1 << 20))
            out.flush()
            os.fsync(out.fileno())
        after = written()
    except (OSError, ValueError) as error:
        pytest.skip(f"nobody can tell here what gets to storage: {error}")
    if after - before < 1 << 20:
        pytest.skip("this folder is not on a disk: a MiB that was written is not counted as on its way to storage")


@pytest.mark.real
@pytest.mark.usefixtures("disk")
async def test_a_real_writer_goes_through_its_file(start: Start, tools: ProbeTools) -> None:
    """A program that writes one file from front to back, a MiB at a time."""
    target = start(
        """
        import tempfile, time
        with tempfile.TemporaryFile(dir=".") as out:
            print("READY", flush=True)
            for _ in range(400):
                out.write(bytes(1 << 20)); out.flush(); time.sleep(0.02)
                if out.tell() > 64 << 20: out.truncate(0); out.seek(0)
        """
    )
    found = (await Probe(seconds=1.0).look(target, tools)).answers
    assert found["storage_bytes"] > MIB  # type: ignore[operator]
    assert found["through_share"] > 0.5  # type: ignore[operator]


async def test_our_own_process_can_be_looked_at(tools: ProbeTools) -> None:
    """A real look at this very process, who reads next to nothing."""
    evidence = await Probe(seconds=1.0).look(Target("process", pid=os.getpid()), tools)
    assert evidence.because == ""
    assert set(evidence.answers) == {answer.name for answer in Probe.answers}


async def test_a_process_that_is_gone_is_said_to_be(tools: ProbeTools) -> None:
    """No exception, a reason."""
    assert (await Probe().look(Target("process", pid=2**22 + 7), tools)).because
