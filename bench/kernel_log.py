"""The kernel log under a flood: 5,000 records a second for a minute, and what a log can do to its reader.

    python bench/kernel_log.py [--seconds 60] [--rate 5000] [--quick] [--json]

A program of its own writes records of /dev/kmsg's form into a private file: noise, a storm of one Xid, and Xids each of another
process. The collector ticks once a second beside a ring. Then a record of 8 KiB, escapes, pieces of one line, half lines and an
overwritten log.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.collectors.kernel_log import Collector
from agent.engine.kernel import kmsg
from agent.engine.kernel.reader import Reader
from agent.host.kmsg import Device
from agent.model import Event, Sample
from agent.store.ring import Ring

NOISE = (
    "IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready",
    "docker0: port 1(veth12ab) entered disabled state",
    'audit: type=1400 audit(1700000000.123:456): apparmor="STATUS" operation="profile_load" comm="x"',
    "NVRM: GPU4 RPC history (CPU -> GSP):",
    " show_stack+0x52/0x5c",
)
STORM = "NVRM: Xid (PCI:0000:b1:00): 95, pid=7062, Uncontained: LTC TAG (0x2, 0x1). RST: Yes, D-RST: No"
ONE = "NVRM: Xid (PCI:0000:{:02x}:00): 31, pid={}, name=python3, Ch 00000008, intr 00000000. MMU Fault: ENGINE CE0 faulted @ 0x7_0"
PERIOD_S = 0.02


def write(path: str, rate: int, seconds: float) -> int:
    """The flood: of 50 records one Xid of its own process, four of a storm. How many Xids of their own were written."""
    each, seq, ones = max(1, round(rate * PERIOD_S)), 0, 0
    began = time.monotonic()
    with open(path, "a", buffering=1 << 20) as log:
        for step in range(round(seconds / PERIOD_S)):
            for _ in range(each):
                seq += 1
                place = seq % 50
                if place == 0:
                    ones += 1
                    text = ONE.format(ones % 8, 100_000 + ones)
                else:
                    text = STORM if place < 5 else NOISE[seq % len(NOISE)]
                log.write(f"4,{seq},{seq * 200},-;{text}\n")
            log.flush()
            time.sleep(max(0.0, began + (step + 1) * PERIOD_S - time.monotonic()))
    return ones


def resident() -> float:
    """Private memory in MiB."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")) / 1024


def flood(seconds: float, rate: int) -> dict[str, Any]:
    """The collector beside the writer, until the file is read to its end."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/kernel.log"
        Path(path).touch()
        collector, ring = Collector(path=path), Ring()
        argv = [sys.executable, __file__, "--write", path, "--rate", str(rate), "--seconds", str(seconds)]
        writer = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        seen, storm, told, memory, longest, records, cpu = set[int](), 0.0, 0, list[float](), 0.0, 0.0, 0.0
        began = time.monotonic()
        while True:
            time.sleep(1.0)
            last = writer.poll() is not None
            tick = time.process_time()
            items = list(collector.collect())
            ring.add(time.time(), items)
            took = time.process_time() - tick
            longest, cpu = max(longest, took), cpu + took
            events = [item for item in items if isinstance(item, Event)]
            seen.update(int(e.fields["pid"]) for e in events if e.fields["xid"] == 31)
            storm = next((i.value for i in items if isinstance(i, Sample) and ("xid", "95") in i.series.labels), 0.0)
            told += sum(e.fields["xid"] == 95 for e in events)
            memory.append(resident())
            before, records = (
                records,
                next(i.value for i in items if isinstance(i, Sample) and i.series.name == "kernel_log_records_total"),
            )
            if last and records == before:
                break
        wall = time.monotonic() - began
        ones = int(writer.communicate()[0])
        third = max(1, len(memory) // 3)
    return {
        "records": int(records),
        "records_per_s": records / wall,
        "distinct_xids_written": ones,
        "distinct_xids_lost": ones - len(seen),
        "storm_counted": int(storm),
        "storm_events": told,
        "cpu_share_of_a_core": cpu / wall,
        "us_per_record": cpu / records * 1e6,
        "longest_tick_ms": longest * 1e3,
        "memory_second_third_mib": statistics.median(memory[third : 2 * third]),
        "memory_last_third_mib": statistics.median(memory[-third:]),
    }


def overwritten(records: int, kept: int) -> tuple[int, int]:
    """A log of which the reader finds only the last ``kept`` records: lost as counted, and as they were."""
    answers: Iterator[bytes | OSError] = iter(
        [b"4,0,0,-;first\n", BrokenPipeError(), *(b"4,%d,%d,-;x\n" % (n, n) for n in range(records - kept, records))]
    )

    def read(fd: int, size: int) -> bytes:
        answer = next(answers, BlockingIOError())
        if isinstance(answer, OSError):
            raise answer
        return answer

    door = Device(os.devnull, read)
    found = len([*door.records(records * 2)])
    return door.lost, records - found


def survives() -> dict[str, bool]:
    """A record of 8 KiB, escapes, pieces, half lines, a gap: what each must give."""
    xid = "NVRM: Xid (PCI:0000:3b:00): 31, pid=7, name={}, Ch 00000008"
    reader = Reader()
    joiner = kmsg.Joiner(reader.feed)
    for line in (
        "4,1,1,-;" + xid.format("long") + ", x" * 2700,
        "4,2,2,-;" + xid.format("caf\\xc3\\xa9"),
        "4,3,3,c;" + xid.format("two")[:30],
        "4,4,4,+;" + xid.format("two")[30:],
    ):
        record = kmsg.parse(line)
        if record is not None:
            joiner.take(record)
    joiner.rest()
    names = [event.fields["process"] for event in reader.take()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_text(xid.format("hal"))
        collector = Collector(path=str(path))
        first = [e for e in collector.collect() if isinstance(e, Event)]
        with path.open("a") as log:
            log.write("\n")
        second = [e for e in collector.collect() if isinstance(e, Event)]
    counted, really = overwritten(50_000, 8_000)
    return {
        "record_of_8_kib": names[:1] == ["long"],
        "escapes": names[1:2] == ["café"],
        "pieces_of_a_line": names[2:] == ["two"],
        "half_a_line": (len(first), len(second)) == (0, 1),
        "gap_counted": counted == really,
    }


def main() -> int:
    """Prints the figures; 1 if a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.write:
        print(write(o.write, o.rate, o.seconds))
        return 0
    found = flood(8.0 if o.quick else o.seconds, o.rate)
    found |= survives()
    grown = found["memory_last_third_mib"] - found["memory_second_third_mib"]
    bars = {
        "distinct_xids_lost": (found["distinct_xids_lost"], 0),
        "cpu_share_of_a_core": (found["cpu_share_of_a_core"], 1.0),
        "memory_growth_mib": (grown, 1.0),
    }
    missed = [name for name, (value, bar) in bars.items() if value > bar] + [k for k, v in found.items() if v is False]
    if o.json:
        print(json.dumps({**found, "missed": missed}))
        return 1 if missed else 0
    print("| what | measured | bar |\n| --- | --- | --- |")
    for name, value in {**found, "memory_growth_mib": grown}.items():
        bar = f"≤ {bars[name][1]:g}" if name in bars else ""
        shown = ("survived" if value else "**failed**") if isinstance(value, bool) else f"{value:,.3f}".rstrip("0").rstrip(".")
        print(f"| {name} | {f'**{shown}**' if name in missed and not isinstance(value, bool) else shown} | {bar} |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
