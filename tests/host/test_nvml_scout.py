"""GPUs that are left alone and taken back, under faults in random order."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import Unavailable
from agent.host.nvml import Nvml
from agent.host.nvml_gpu import Reading
from tests.fakes.gpusim import Host

pytestmark = pytest.mark.real
UNTIL_S = 30.0
FAULTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("hang", {"call": "DeviceGetPowerUsage"}),
    ("hang", {"call": "DeviceGetHandleByIndex_v2"}),
    ("lost", {}),
    ("vanish", {}),
    ("reset-required", {}),
    ("slow", {"seconds": "0.1s"}),
    ("garbage", {}),
    *(("error", {"error": name}) for name in ("UNKNOWN", "TIMEOUT", "UNINITIALIZED", "INVALID_ARGUMENT", "NO_PERMISSION")),
)
ON_ALL = ("hang", "mismatch", "upgrade", "unload", "no-samples")


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_goes_wrong_identities_stay_and_all_is_well_when_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Faults in random order, several at once; the process is killed in between."""
    monkeypatch.setattr("agent.host.nvml_gpu.FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr("agent.host.nvml_gpu.MOST_PAUSE_S", 0.4)
    monkeypatch.setattr("agent.host.nvml_driver.LOOK_EVERY_S", 0.0)
    source, host, names = random.Random(seed), Host(tmp_path, 3), dict[str, int]()
    nvml = Nvml(host.library, call_s=0.15, open_s=0.6, env=host.env).used()
    try:
        for _ in range(30):
            go_wrong(host, nvml, source)
            with contextlib.suppress(Unavailable):
                reading = nvml.read(source.choice(("fast", "health")))
                assert all(names.setdefault(gpu.uuid, gpu.index) == gpu.index for gpu in reading.gpus)
                assert len({gpu.index for gpu in reading.gpus}) == len(reading.gpus)
        host.mend()
        well(nvml)
        assert set(names) <= {host.uuid(n) for n in range(3)}
    finally:
        host.mend()
        nvml.close()


def go_wrong(host: Host, nvml: Nvml, source: random.Random) -> None:
    """One thing more, or all is mended."""
    what = source.random()
    if what < 0.25:
        host.mend()
    elif what < 0.35 and nvml._child is not None:
        os.kill(nvml._child.pid, signal.SIGKILL)
    elif what < 0.5:
        host.break_(source.choice(ON_ALL))
    else:
        verb, given = source.choice(FAULTS)
        host.break_(verb, {**given, "gpu": source.randrange(3)})


def well(nvml: Nvml) -> None:
    """All three answer before long."""
    deadline = time.monotonic() + UNTIL_S
    while time.monotonic() < deadline:
        with contextlib.suppress(Unavailable):
            reading = nvml.read("health")
            if reading.up and not reading.hung and [gpu.values is not None for gpu in reading.gpus] == [True] * 3:
                return
        time.sleep(0.05)
    pytest.fail(f"not well again: {nvml.known()}")


def test_indexes_that_shift_while_a_gpu_is_left_alone_strand_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place where it hung is another GPU's now; who is where is found out anew."""
    monkeypatch.setattr("agent.host.nvml_gpu.FIRST_PAUSE_S", 0.1)
    host = Host(tmp_path, 3)
    nvml = Nvml(host.library, call_s=0.2, env=host.env).used()
    try:
        well(nvml)
        host.break_("hang", {"gpu": 1})
        wait_for(nvml, lambda reading: [g.values is not None for g in reading.gpus] == [True, False, True])
        host.mend()
        host.break_("vanish", {"gpu": 0})
        reading = wait_for(nvml, lambda reading: [g.values is not None for g in reading.gpus] == [False, True, True])
        assert [(g.index, g.uuid, g.lost) for g in reading.gpus] == [(n, host.uuid(n), n == 0) for n in range(3)]
    finally:
        host.mend()
        nvml.close()


def wait_for(nvml: Nvml, wanted: Callable[[Reading], bool]) -> Reading:
    """Read until it is so."""
    deadline = time.monotonic() + UNTIL_S
    while not wanted(reading := nvml.read("fast")):
        assert time.monotonic() < deadline, reading
        time.sleep(0.05)
    return reading
