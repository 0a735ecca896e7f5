"""The ring's content on disk: while it is written, after a stop, after damage, on a disk that takes nothing."""

from __future__ import annotations

import errno
import os
import random
from array import array
from pathlib import Path

import pytest

from agent.errors import AgentError
from agent.model import ENTITY_ENDED, Event, Sample, Series, labels
from agent.store import recorder as module
from agent.store.recfile import FILE, HEAD, Damage, Record, reaches, records
from agent.store.recorder import Recorder
from agent.store.recording import Recording, report
from agent.store.ring import Ring

START = 1_700_000_000.0
Row = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Life:
    """A ring that is fed and recorded, and what it was fed."""

    def __init__(self, folder: Path, count: int = 5, seed: int = 1) -> None:
        self.rng = random.Random(seed)
        self.ring = Ring()
        self.recorder = Recorder(str(folder), self.ring, {"host": "n1"})
        self.series = [Series("level", labels(n=i)) for i in range(count)]
        self.fed: dict[float, Row] = {}
        self.now = START

    def tick(self, events: tuple[Event, ...] = ()) -> None:
        """One second."""
        self.now += 1
        rows = [Sample(s, self.rng.choice([0.0, 1.0, self.rng.randrange(10**6) / 100])) for s in self.series]
        self.ring.add(self.now, [*events, *rows])
        self.fed[self.now] = {(s.name, s.labels): v for s, v in rows}

    def record(self) -> None:
        """What was fed so far goes to disk."""
        frame = self.recorder.gather(self.now)
        try:
            self.recorder.write(frame)
        except AgentError:
            self.recorder.give_back(frame)
            raise

    def live(self, seconds: int, every: int = 8) -> None:
        """Feed and record."""
        for i in range(seconds):
            self.tick()
            if i % every == every - 1:
                self.record()


def read(folder: Path, since: float = 0.0, until: float = 2 * START) -> dict[float, Row]:
    """The recording, moment by moment."""
    found: dict[float, Row] = {}
    for time, _, samples in Recording(str(folder)).ticks(since, until):
        found.setdefault(time, {}).update({(s.name, s.labels): v for s, v in samples})
    return found


def test_what_was_recorded_is_what_the_ring_was_fed(tmp_path: Path) -> None:
    """Over blocks, files and closed runs of the ring."""
    life = Life(tmp_path)
    life.live(1400)
    assert read(tmp_path) == life.fed
    assert len(Recording(str(tmp_path)).files()) == 3


def test_a_window_a_series_and_a_moment_agree_with_it(tmp_path: Path) -> None:
    """Three ways to ask the same recording."""
    life = Life(tmp_path)
    life.live(800)
    recording, key = Recording(str(tmp_path)), ("level", labels(n=3))
    low, high = START + 605, START + 700
    assert read(tmp_path, low, high) == {t: row for t, row in life.fed.items() if low < t <= high}
    column = recording.one(*key, low, high)
    assert dict(zip(column.times, column.values, strict=True)) == {t: r[key] for t, r in life.fed.items() if low < t <= high}
    assert {k: v for k, (_, v) in recording.instant(START + 633.5).items()} == life.fed[START + 633]


def test_a_series_that_ended_is_recorded_to_its_end_and_its_event_with_it(tmp_path: Path) -> None:
    """Its last seconds are what one wants to see."""
    life = Life(tmp_path)
    life.live(16)
    life.tick()
    life.ring.add(life.now, [Event(life.now, ENTITY_ENDED, labels(n=2))])
    life.series.pop(2)
    life.tick()
    life.record()
    assert read(tmp_path) == life.fed
    events = [e for _, found, _ in Recording(str(tmp_path)).ticks(0, 2 * START) for e in found]
    assert [(e.kind, e.labels) for e in events] == [(ENTITY_ENDED, labels(n=2))]


def test_a_new_series_of_the_same_name_after_an_end_is_its_own(tmp_path: Path) -> None:
    """As when a pid is taken again."""
    life = Life(tmp_path, count=1)
    life.live(8)
    life.ring.end(labels(n=0))
    life.series = [Series("level", labels(n=0))]
    life.live(8)
    assert read(tmp_path) == life.fed


def test_slow_sources_and_missed_ticks_are_recorded_as_they_came(tmp_path: Path) -> None:
    """Moments are kept by series, not assumed."""
    life, slow, fed = Life(tmp_path, count=2), Series("slow"), {}
    for i in range(300):
        life.tick()
        if i % 30 == 7:
            life.ring.add(life.now, [Sample(slow, float(i))], 30.0)
            fed[life.now] = float(i)
        if i % 8 == 7:
            life.record()
    column = Recording(str(tmp_path)).one("slow", (), 0, 2 * START)
    recorded = {t: v for t, v in fed.items() if t <= START + 296}
    assert dict(zip(column.times, column.values, strict=True)) == recorded


def test_the_end_on_purpose_is_told_from_a_kill(tmp_path: Path) -> None:
    """A post-mortem begins with this question."""
    life = Life(tmp_path)
    life.live(16)
    (path,) = Recording(str(tmp_path)).files()
    assert report(path).ended == ""
    life.recorder.close("SIGTERM")
    assert report(path).ended == "SIGTERM"


@pytest.mark.parametrize("seed", range(40))
def test_damage_costs_what_follows_at_most_and_never_makes_a_wrong_sample(tmp_path: Path, seed: int) -> None:
    """A flipped bit or a cut anywhere: what is read was fed, and the place is named."""
    life = Life(tmp_path, count=8, seed=seed)
    life.live(400)
    (path,) = Recording(str(tmp_path)).files()
    data, rng = bytearray(Path(path).read_bytes()), random.Random(seed)
    whole = list(records(bytes(data)))
    at = rng.randrange(len(data))
    if seed % 2:
        data[at] ^= 1 << rng.randrange(8)
    else:
        del data[at:]
    Path(path).write_bytes(data)
    found = read(tmp_path)
    assert all(life.fed[time] == row for time, row in found.items() if row)
    damage = report(path).damage
    if seed % 2:
        assert damage, "the damaged place is named"
        assert damage[0].at <= at
    intact = max((r.last for r in whole if isinstance(r, Record) and r.kind != FILE and r.at + HEAD + r.length <= at), default=0.0)
    assert all(t in found for t in life.fed if t <= intact)


def test_garbage_behind_the_last_record_is_no_record(tmp_path: Path) -> None:
    """As a power cut may leave it."""
    life = Life(tmp_path)
    life.live(16)
    (path,) = Recording(str(tmp_path)).files()
    size = os.path.getsize(path)
    with open(path, "ab") as file:
        file.write(b"\xa5RK" + random.Random(3).randbytes(3000))
    assert read(tmp_path) == life.fed
    assert report(path).damage == (Damage(size, size + 3003, tail=True),)


def test_a_full_disk_loses_nothing_that_is_still_young(tmp_path: Path) -> None:
    """It says so, keeps what it has, and catches up in a new file."""
    full = False

    def sync(fd: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")

    life = Life(tmp_path)
    life.recorder = Recorder(str(tmp_path), life.ring, {}, sync)
    life.live(16)
    full = True
    for _ in range(3):
        for _ in range(8):
            life.tick()
        with pytest.raises(AgentError, match="No space left"):
            life.record()
    assert life.recorder.written.trouble == "No space left on device"
    full = False
    life.live(8)
    assert read(tmp_path) == life.fed
    assert life.recorder.written.trouble == ""


def test_after_a_long_trouble_only_the_last_minutes_are_caught_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catching-up must not stall the agent."""
    monkeypatch.setattr(module, "BACKLOG_S", 60.0)
    life = Life(tmp_path)
    life.live(200, every=1000)
    life.record()
    assert min(read(tmp_path)) == START + 141


def test_a_series_that_ended_and_came_back_is_one(tmp_path: Path) -> None:
    """In one file, of one key, whatever number it has there; a moment shows its newest reading."""
    life = Life(tmp_path)
    life.live(24)
    life.ring.end(labels(n=3))
    life.live(24)
    recording, key = Recording(str(tmp_path)), ("level", labels(n=3))
    column = recording.one(*key, START, START + 60)
    assert dict(zip(column.times, column.values, strict=True)) == {t: row[key] for t, row in life.fed.items()}
    for at in (START + 20, START + 26, START + 47):
        assert {k: v for k, (_, v) in recording.instant(at).items()} == life.fed[at]


def test_files_that_were_over_before_are_not_read_but_damaged_ones_are(tmp_path: Path) -> None:
    """By the heads of their records: what is later in a file is found wherever its head can be."""
    life = Life(tmp_path)
    life.live(120)
    (path,) = Recording(str(tmp_path)).files()
    data = Path(path).read_bytes()
    assert not reaches(data, START + 120)
    assert reaches(data, START + 119.5)
    whole = [r for r in records(data) if isinstance(r, Record)]
    for at in (whole[1].at + 5, whole[3].at, whole[3].at + 30):  # a length, a magic, a checksum
        damaged = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        assert reaches(damaged, START + 119.5)
    assert reaches(data + b"?", START + 500)


def test_what_follows_a_record_that_was_never_written_does_not_refer_to_it(tmp_path: Path) -> None:
    """It is lost, as anybody who drops it must know; the next ones read as they were fed."""
    life = Life(tmp_path)
    life.live(20)
    lost = life.recorder.gather(life.now)
    life.live(64)
    times = {t for batch in lost.batches for t in array("d", batch.times)}
    assert read(tmp_path) == {t: row for t, row in life.fed.items() if t not in times}


def test_series_that_stand_still_are_recorded_over_the_ends_of_their_runs(tmp_path: Path) -> None:
    """To the bit, whether they stand for good, for a while, jump just where a run ends, or miss a moment."""
    ring, fed = Ring(), dict[tuple[int, float], float]()
    recorder = Recorder(str(tmp_path), ring, {})
    series = [Series("level", labels(n=i)) for i in range(12)]
    for t in range(1, 929):
        values = [(7.0, -0.0, 0.0, float(t // 301), float(t // 10 % 2), 0.1 * (t > 300))[i % 6] for i in range(12)]
        here = {i: v for i, v in enumerate(values) if (t + i) % 97 or i < 6}
        ring.add(START + t, [Sample(series[i], v) for i, v in here.items()])
        fed |= {(i, START + t): v for i, v in here.items()}
        if t % 8 == 0:
            recorder.write(recorder.gather(START + t))
    ticks = Recording(str(tmp_path)).ticks(0, 2 * START)
    found = {(int(s.labels[0][1]), time): v for time, _, samples in ticks for s, v in samples}
    assert {k: v.hex() for k, v in found.items()} == {k: v.hex() for k, v in fed.items()}
