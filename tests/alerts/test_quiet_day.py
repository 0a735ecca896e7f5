"""A quiet machine stays quiet, and a sick one does not: a compressed day in small."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.model import ENTITY_ENDED, Event, Sample, Series, labels
from agent.store.recorder import Recorder
from agent.store.recording import Recording
from agent.store.ring import Ring

BENCH = Path(__file__).resolve().parents[2] / "bench" / "quiet_day.py"


def test_healthy_hosts_send_nothing_and_a_leak_is_told() -> None:
    """A training that starts up and a server in traffic for twenty minutes: looked into here and there, nothing sent."""
    words = ["--hours", "0.3", "--hosts", "training,serving", "--json"]
    done = subprocess.run([sys.executable, str(BENCH), *words], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    *healthy, sick = json.loads(done.stdout)["hosts"]
    assert [(host["host"], host["pages"]) for host in healthy] == [("training", 0), ("serving", 0)]
    assert sum(host["suspicions"] for host in healthy) > 0
    assert sick["pages"] >= 1
    assert "Memory grows from one place in the Python code" in sick["told"][0]


def test_a_recording_goes_on_as_if_the_host_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters go on where they stood, levels come again, who was born in it is born anew, what happened happens later."""
    monkeypatch.syspath_prepend(str(BENCH.parent))
    player = importlib.import_module("_looped")
    begin, seconds = 1_700_000_000.0, 60
    ring = Ring()
    recorder = Recorder(str(tmp_path), ring, {})
    spent, size = Series("host_cpu_busy_seconds_total"), Series("process_resident_bytes", labels(pid=7))
    old, young = (Series(player.BORN, labels(pid=pid)) for pid in (7, 8))
    for i in range(1, seconds + 1):
        events = [Event(begin + i, ENTITY_ENDED, labels(pid=9))] if i == 30 else []
        levels = [Sample(size, float(i)), Sample(old, begin - 9), Sample(young, begin + 5)]
        ring.add(begin + i, [*events, Sample(spent, 500.0 + 2 * i), *levels])
        if i % 10 == 0:
            recorder.write(recorder.gather(begin + i))
    known = player.span(Recording(str(tmp_path)))
    played = list(player.looped(Recording(str(tmp_path)), known, 0.04))
    times = [moment for moment, _, _ in played]
    assert times == sorted(times)
    assert 0.04 * 3600 - 2 <= times[-1] - times[0] <= 0.04 * 3600
    values = {name: [s.value for _, _, items in played for s in items if s.series.name == name] for name in (spent.name, size.name)}
    steps = {b - a for a, b in zip(values[spent.name], values[spent.name][1:], strict=False)}
    assert steps == {2.0, 0.0}
    assert values[size.name][:3] == values[size.name][60:63] == [1.0, 2.0, 3.0]
    born = [{s.series.labels: s.value for s in items if s.series.name == player.BORN} for _, _, items in played]
    assert born[70][old.labels] == begin - 9
    assert born[70][young.labels] - born[10][young.labels] == known.seconds
    ended = [event.time for _, events, _ in played for event in events]
    assert ended == [begin + 30, begin + 30 + known.seconds]
