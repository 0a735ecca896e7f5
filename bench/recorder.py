"""The flight recorder on node-shaped data, beside SQLite blobs and the TSDB of Prometheus in one run; and under kills and damage.

python bench/recorder.py [--seconds 3600] [--kills 500] [--damages 200] [--json]. 2,000 series at 1 Hz (the generator is ring.py's).
Prometheus is asked through promtool where it is installed: the block of the same samples, without its write-ahead log. Times are
CPU seconds; ``one_series_ms`` is for the whole span, ``gather_step_worst_ms`` the longest that the agent's loop does not turn.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import zstandard
from meter import compile_agent
from ring import START, sources

from agent.model import Sample, Series, labels
from agent.store.compact import compact
from agent.store.recorder import FLUSH_S, Recorder
from agent.store.recording import Recording
from agent.store.ring import Ring

BARS = {
    "written_bytes_per_sample": 0.6,
    "compacted_bytes_per_sample": 0.35,
    "write_s_per_min": 0.05,
    "gather_step_worst_ms": 25.0,
    "written_one_series_ms": 60.0,
    "written_instant_ms": 20.0,
    "one_series_ms": 60.0,
    "instant_ms": 20.0,
    "kill_lost_s": 10.0,
    "wrong_samples": 0.0,
}
cpu = time.process_time


def rows(seconds: int) -> Iterator[list[Sample]]:
    made = list(sources(random.Random(3)))
    for t in range(seconds):
        yield [Sample(series, read(t)) for series, read in made]


def size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def ours(folder: Path, seconds: int) -> dict[str, float]:
    """Write, read one series, read one moment, compact, read again."""
    ring = Ring()
    recorder = Recorder(str(folder), ring, {})
    spent, worst = 0.0, 0.0
    for t, items in enumerate(rows(seconds)):
        ring.add(START + t, items)
        if t % int(FLUSH_S) == int(FLUSH_S) - 1:
            began = turned = cpu()
            for step in recorder.gathering(START + t):  # the agent's loop turns after each
                worst, turned, frame = max(worst, cpu() - turned), cpu(), step
            assert frame is not None
            recorder.write(frame)
            spent += cpu() - began
    recorder.close("bench")
    samples = recorder.written.samples
    found = {
        "samples": float(samples),
        "written_bytes_per_sample": recorder.written.bytes / samples,
        "write_s_per_min": spent / seconds * 60,
        "gather_step_worst_ms": worst * 1e3,
        **{f"written_{k}": v for k, v in reads(folder, seconds).items()},
    }
    began = cpu()
    after = sum(compact(path)[1] for path in Recording(str(folder)).files())
    found |= {"compacted_bytes_per_sample": after / samples, "compact_s_per_min": (cpu() - began) / seconds * 60}
    found |= reads(folder, seconds)
    return found


def reads(folder: Path, seconds: int) -> dict[str, float]:
    recording, times = Recording(str(folder)), []
    name, known = sorted(recording.instant(START + 5))[777]
    for _ in range(3):
        began = cpu()
        column = recording.one(name, known, START - 1, START + seconds)
        times.append(cpu() - began)
    moments = []
    for part in (0.31, 0.55, 0.83):
        began = cpu()
        recording.instant(START + seconds * part)
        moments.append(cpu() - began)
    return {
        "one_series_ms": min(times) * 1e3,
        "instant_ms": sorted(moments)[1] * 1e3,
        "one_series_samples": float(len(column.times)),
    }


def sqlite_blobs(path: Path, seconds: int) -> dict[str, float]:
    """The obvious alternative: one row per 10 s, all series XORed with the second before, byte planes, zstd 3, WAL, full sync."""
    base = sqlite3.connect(path, isolation_level=None)
    base.execute("pragma journal_mode=wal")
    base.execute("pragma synchronous=full")
    base.execute("create table blocks(time integer primary key, body blob)")
    packer, spent, held, count = zstandard.ZstdCompressor(level=3), 0.0, [], 0
    for t, items in enumerate(rows(seconds)):
        began = cpu()
        held.append(array("d", [s.value for s in items]).tobytes())
        count += len(items)
        if len(held) == 10:
            whole = b"".join(held)
            width = len(held[0])
            number = int.from_bytes(whole, "little")
            number ^= (number << 8 * width) & ((1 << 8 * len(whole)) - 1)
            raw = number.to_bytes(len(whole), "little")
            base.execute("insert into blocks values(?, ?)", (t, packer.compress(b"".join(raw[i::8] for i in range(8)))))
            held = []
        spent += cpu() - began
    base.execute("pragma wal_checkpoint(truncate)")
    base.close()
    return {"sqlite_bytes_per_sample": path.stat().st_size / count, "sqlite_s_per_min": spent / seconds * 60}


def prometheus(folder: Path, seconds: int) -> dict[str, float]:
    """The block that promtool makes of the same samples."""
    tool = shutil.which("promtool")
    if tool is None:
        return {}
    text, count = folder / "samples.om", 0
    columns: dict[Series, list[str]] = {}
    for t, items in enumerate(rows(seconds)):
        for series, value in items:
            columns.setdefault(series, []).append(f"{value!r} {START + t:.0f}")
            count += 1
    with text.open("w") as out:
        families: dict[str, list[Series]] = {}
        for series in columns:
            families.setdefault(series.name, []).append(series)
        for name, members in families.items():
            out.write(f"# TYPE {name} gauge\n")
            for series in members:
                known = ",".join(f'{k}="{v}"' for k, v in series.labels)
                out.writelines(f"{name}{{{known}}} {line}\n" for line in columns[series])
        out.write("# EOF\n")
    blocks = folder / "blocks"
    began = os.times()
    subprocess.run(
        [tool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(blocks)], check=True, stdout=subprocess.DEVNULL
    )
    after = os.times()
    spent = after.children_user + after.children_system - began.children_user - began.children_system
    return {"prometheus_bytes_per_sample": size(blocks) / count, "prometheus_import_s_per_min": spent / seconds * 60}


# ---------------------------------------------------------------------------------------------- kills and damage

SERIES = [Series("kill_metric", labels(n=i)) for i in range(50)]


def truth(number: int, t: int) -> float:
    """What series ``number`` reads at second ``t``."""
    return ((number * 7919 + t * (number % 13)) % 100_003) / (1, 100, 1000)[number % 3]


def child(folder: str, pipe: int) -> None:
    """Record at many times real speed, and say each second when it is over."""
    ring = Ring()
    recorder = Recorder(folder, ring, {}, sync=lambda fd: None)  # a kill, unlike a power cut, loses nothing the kernel has
    for t in range(100_000):
        ring.add(START + t, [Sample(s, truth(i, t)) for i, s in enumerate(SERIES)])
        if t % int(FLUSH_S) == int(FLUSH_S) - 1:
            recorder.write(recorder.gather(START + t))
        os.write(pipe, struct.pack("<I", t))


def check(folder: Path) -> tuple[int, int]:
    """Seconds read, and samples that were never written."""
    index = {s.labels: i for i, s in enumerate(SERIES)}
    seconds, wrong = 0, 0
    for time_, _, samples in Recording(str(folder)).ticks(0, 2 * START):
        t = round(time_ - START)
        wrong += sum(value != truth(index[series.labels], t) for series, value in samples)
        seconds += len(samples) == len(SERIES)
    return seconds, wrong


def kills(folder: Path, count: int) -> dict[str, float]:
    rng, lost, wrong, unreadable = random.Random(5), [], 0, 0
    for _ in range(count):
        shutil.rmtree(folder, ignore_errors=True)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            child(str(folder), write)
            os._exit(0)
        os.close(write)
        time.sleep(rng.uniform(0.02, 0.3))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        said = b""
        while part := os.read(read, 65536):
            said += part
        os.close(read)
        try:
            seconds, bad = check(folder)
        except Exception as error:  # whatever it is, it is what this bench looks for
            print(f"reading after a kill: {error!r}", file=sys.stderr)
            unreadable += 1
            continue
        lost.append(len(said) // 4 - seconds)
        wrong += bad
    return {
        "kills": float(count),
        "kill_lost_s": float(max(lost, default=0)),
        "wrong_samples": float(wrong),
        "unreadable": float(unreadable),
    }


def damages(folder: Path, count: int) -> dict[str, float]:
    """Truncations and flipped bits, turn about, in a recording of three files."""
    shutil.rmtree(folder, ignore_errors=True)
    ring = Ring()
    recorder = Recorder(str(folder), ring, {}, sync=lambda fd: None)
    for t in range(1500):
        ring.add(START + t, [Sample(s, truth(i, t)) for i, s in enumerate(SERIES)])
        if t % int(FLUSH_S) == int(FLUSH_S) - 1:
            recorder.write(recorder.gather(START + t))
    recorder.close("bench")
    whole, _ = check(folder)
    paths = [Path(p) for p in sorted(glob.glob(f"{folder}/*/*.rec"))]
    rng, wrong, most, unnamed, unreadable = random.Random(6), 0, 0, 0, 0
    for i in range(count):
        path = rng.choice(paths)
        good = path.read_bytes()
        bad = bytearray(good)
        at = rng.randrange(len(good))
        if i % 2:
            bad[at] ^= 1 << rng.randrange(8)
        else:
            del bad[at:]
        path.write_bytes(bad)
        try:
            seconds, mistaken = check(folder)
            named = [r.path for r in Recording(str(folder)).verify() if r.damage or not r.ended]
        except Exception as error:
            print(f"reading damage at {at}: {error!r}", file=sys.stderr)
            unreadable += 1
        else:
            wrong += mistaken
            most = max(most, whole - seconds)
            unnamed += str(path) not in named
        path.write_bytes(good)
    return {
        "damages": float(count),
        "damage_wrong_samples": float(wrong),
        "damage_lost_s": float(most),
        "damage_unnamed": float(unnamed),
        "damage_unreadable": float(unreadable),
    }


def table(found: dict[str, float]) -> str:
    lines = ["| what | measured | bar |", "| --- | --- | --- |"]
    for name, value in found.items():
        bar = BARS.get(name)
        over = bar is not None and value > bar
        lines.append(f"| {name} | {'**' if over else ''}{value:.4g}{'**' if over else ''} | {'' if bar is None else f'{bar:g}'} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--damages", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    compile_agent()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        found = ours(folder / "ours", asked.seconds)
        found |= sqlite_blobs(folder / "blobs.db", asked.seconds)
        found |= prometheus(folder, min(asked.seconds, 1200))
        found |= kills(folder / "kills", asked.kills)
        found |= damages(folder / "damages", asked.damages)
    print(json.dumps(found) if asked.json else table(found))


if __name__ == "__main__":
    main()
