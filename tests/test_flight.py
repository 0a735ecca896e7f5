"""The flight recorder as an organ of the daemon."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from agent import flight as room
from agent.flight import Flight, remove_old
from agent.host.clock import SystemClock
from agent.host.lane import Lane, Stalled, aside
from agent.model import Event, Sample, Series, labels
from agent.store import recfile
from agent.store.gather import STEP
from agent.store.recorder import FLUSH_S, Recorder
from agent.store.recording import FileReport, Recording
from agent.store.ring import Ring
from tests.fakes.clock import FakeClock

START = 1_700_000_000.0


def flight(folder: Path, ring: Ring, boot: str = "b1") -> Flight:
    """An organ on the fake clock."""
    about = {"boot_id": boot}
    return Flight(str(folder), ring, FakeClock(), about, keep=3600.0, quota=1e9)


def fed(ring: Ring, count: int, start: float = START) -> None:
    """A ring with one series of so many seconds."""
    series = Series("level")
    for i in range(count):
        ring.add(start + i, [Sample(series, float(i))])


async def reports(folder: Path) -> list[FileReport]:
    """What is on disk."""
    return await aside(lambda: list(Recording(str(folder)).verify()))


async def test_a_stop_leaves_a_whole_recording_that_says_why_it_ended(tmp_path: Path) -> None:
    """The seconds since the last record are in it."""
    ring = Ring()
    organ = flight(tmp_path, ring)
    fed(ring, 5)
    await organ.end("SIGTERM")
    (found,) = await reports(tmp_path)
    assert (found.samples, found.ended) == (5, "SIGTERM")


async def test_a_stop_in_the_middle_of_gathering_loses_nothing(tmp_path: Path) -> None:
    """The rest of it, and what came since, go to disk with the goodbye."""
    ring = Ring()
    organ = flight(tmp_path, ring)
    series = [Series("level", labels(n=i)) for i in range(3 * STEP)]
    ring.add(START, [Sample(s, 1.0) for s in series])
    recording = asyncio.create_task(organ.record())
    await asyncio.sleep(0)
    ring.add(START + 1, [Sample(s, 2.0) for s in series])
    recording.cancel()
    await asyncio.gather(recording, return_exceptions=True)
    await organ.end("SIGTERM")
    (found,) = await reports(tmp_path)
    assert (found.samples, found.ended) == (6 * STEP, "SIGTERM")


async def test_a_lane_that_is_taken_while_it_gathers_loses_no_record(tmp_path: Path) -> None:
    """The folder is first tidied in the same moment in which the first seconds, with the kernel's records, are gathered."""
    ring = Ring()
    lane = Lane("t")
    organ = Flight(str(tmp_path), ring, SystemClock(), {}, keep=60.0, quota=1e9, lane=lane)
    ring.add(
        START, [Event(START, "kernel", (), "out of memory"), *(Sample(Series("level", labels(n=i)), 1.0) for i in range(STEP))]
    )
    recording = asyncio.create_task(organ.record())
    await asyncio.sleep(0)
    release = await hung(lane)
    release.set()
    await recording
    await organ.end("SIGTERM")
    (found,) = await reports(tmp_path)
    assert (found.samples, found.ended) == (STEP, "SIGTERM")
    ((_, events, _),) = await aside(lambda: list(Recording(str(tmp_path)).ticks(0.0, 2 * START)))
    assert [event.text for event in events] == ["out of memory"]


async def test_a_stop_while_the_lane_is_taken_loses_no_record(tmp_path: Path) -> None:
    """What was gathered for a record that never began is written with the goodbye."""
    ring = Ring()
    lane = Lane("t")
    organ = Flight(str(tmp_path), ring, SystemClock(), {}, keep=60.0, quota=1e9, lane=lane)
    ring.add(START, [Sample(Series("level", labels(n=i)), 1.0) for i in range(STEP)])
    recording = asyncio.create_task(organ.record())
    await asyncio.sleep(0)
    release = await hung(lane)
    for _ in range(10):  # gathered by then, and waiting for its turn
        await asyncio.sleep(0)
    recording.cancel()
    await asyncio.gather(recording, return_exceptions=True)
    release.set()
    await organ.end("SIGTERM")
    (found,) = await reports(tmp_path)
    assert (found.samples, found.ended) == (STEP, "SIGTERM")


@pytest.mark.parametrize(("boot", "host_died"), [("b1", False), ("b2", True)])
async def test_the_next_start_knows_that_the_last_one_was_cut_short(tmp_path: Path, boot: str, host_died: bool) -> None:
    """And whether the whole host went down with it."""
    ring = Ring()
    fed(ring, 5)
    await flight(tmp_path, ring).record()
    ended = await flight(tmp_path, Ring(), boot).before()
    assert ended is not None
    assert (ended.last, ended.reason, ended.host_died) == (START + 4, "", host_died)


async def test_without_a_recording_there_is_nothing_to_explain(tmp_path: Path) -> None:
    """A first start is not an accident."""
    assert await flight(tmp_path / "none", Ring()).before() is None


async def test_a_disk_that_refuses_is_said_once_and_its_recovery_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And nothing of the meantime is lost."""

    def refuse(self: Recorder, first: float) -> bytes:
        raise OSError(errno.EROFS, "Read-only file system")

    ring, caplog_level = Ring(), "INFO"
    organ = flight(tmp_path, ring)
    caplog.set_level(caplog_level)
    with monkeypatch.context() as patched:
        patched.setattr(Recorder, "_open", refuse)
        for i in range(3):
            fed(ring, 2, START + 2 * i)
            await organ.record()
    assert [s.value for s in organ.samples()][:2] == [0.0, 0.0]
    refused = f"recording {tmp_path}: Read-only file system"
    assert organ.status() == {"on": True, "path": str(tmp_path), "trouble": refused, "last": None, "bytes": 0.0}
    await organ.record()
    assert [s.value for s in organ.samples()][:2] == [1.0, 6.0]
    assert organ.status()["trouble"] is None
    assert organ.status()["last"]
    assert [r.message for r in caplog.records] == [
        f"nothing is recorded: recording {tmp_path}: Read-only file system; history goes on in memory",
        "recording again",
    ]


def test_old_and_surplus_files_go_but_never_the_newest(tmp_path: Path) -> None:
    """By age, then by bytes; a day's empty folder goes with them."""
    paths = [str(tmp_path / recfile.name_of(START + 600 * i)) for i in range(6)]
    for path in paths:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(bytes(100))
    assert remove_old(paths, START + 3700, keep=3000.0, quota=250.0) == 200
    assert [os.path.exists(p) for p in paths] == [False, False, False, False, True, True]
    assert remove_old(paths[-1:], START + 1e6, keep=10.0, quota=1.0) == 100


async def test_a_record_is_made_every_few_seconds_until_the_organ_is_cancelled(tmp_path: Path) -> None:
    """On the clock, not by anybody's asking."""
    ring, clock = Ring(), FakeClock()
    organ = Flight(str(tmp_path), ring, clock, {}, keep=3600.0, quota=1e9)
    fed(ring, 5)
    task = asyncio.create_task(organ.run())
    async with asyncio.timeout(20):
        while [s.value for s in organ.samples()][1] == 0:
            await asyncio.sleep(0.01)
            await clock.advance(FLUSH_S)
    task.cancel()
    assert (await reports(tmp_path))[0].samples >= 5


async def hung(lane: Lane) -> threading.Event:
    """Something that was given up still hangs there, until the event is set."""
    go = threading.Event()
    with pytest.raises(Stalled):
        await lane.run(lambda: go.wait(30), 0.01)
    return go


async def test_a_disk_that_hung_while_it_was_tidied_is_recorded_on_again(tmp_path: Path) -> None:
    """A write that is not even begun is not waited for, and nothing is lost by it."""
    ring, lane = Ring(), Lane("recorder")
    organ = Flight(str(tmp_path), ring, SystemClock(), {}, keep=3600.0, quota=1e9, lane=lane)
    fed(ring, 5)
    go = await hung(lane)
    task = asyncio.create_task(organ.record())
    await asyncio.sleep(0.2)
    assert not task.done()
    go.set()
    async with asyncio.timeout(20):
        await task
    assert (await reports(tmp_path))[0].samples == 5


async def test_a_stop_that_comes_while_files_are_tidied_ends_in_order_too(tmp_path: Path) -> None:
    """The last seconds and the reason are on disk."""
    ring, lane = Ring(), Lane("recorder")
    organ = Flight(str(tmp_path), ring, SystemClock(), {}, keep=3600.0, quota=1e9, lane=lane)
    fed(ring, 5)
    go = await hung(lane)
    asyncio.get_running_loop().call_later(0.2, go.set)
    await organ.end("SIGTERM")
    (found,) = await reports(tmp_path)
    assert (found.samples, found.ended) == (5, "SIGTERM")


async def test_records_are_made_while_a_file_is_compacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That may take a minute on a busy host, and a kill must not cost so much."""
    compacting, go = asyncio.Event(), asyncio.Event()

    async def slow(*argv: Any, **limits: Any) -> None:
        compacting.set()
        await go.wait()

    monkeypatch.setattr(room, "run", slow)
    ring, clock = Ring(), FakeClock()
    fed(ring, 5)
    await flight(tmp_path, ring).end("continued")
    organ = Flight(str(tmp_path), ring := Ring(), clock, {}, keep=1e12, quota=1e9)
    fed(ring, 5, START + 1000)
    task = asyncio.create_task(organ.run())
    async with asyncio.timeout(20):
        while not compacting.is_set():
            await asyncio.sleep(0.01)
            await clock.advance(FLUSH_S)
        before = [s.value for s in organ.samples()][1]
        fed(ring, 5, START + 2000)
        while [s.value for s in organ.samples()][1] < before + 5:
            await asyncio.sleep(0.01)
            await clock.advance(FLUSH_S)
    task.cancel()
