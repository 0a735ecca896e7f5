"""A recording of this host's real GPUs as a simulator state: what they are, and how their figures moved for a while.

Figures that moved become steps that repeat. How long each call took is kept under ``recorded``. NVML is called in this process: a
driver that hangs hangs the recording, which is a command of its own.
"""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable
from typing import Any

import pynvml

from agent.errors import Unavailable
from agent.sim import figures
from agent.sim.boards import BOARDS
from agent.sim.statefile import SCHEMA, State

Gpu = dict[str, Any]
_ERRORS = (pynvml.NVMLError, UnicodeDecodeError, pynvml.NVMLLibraryMismatchError)
SAME = 1e-9


class Meter:
    """Calls NVML; what is not supported is None. Remembers how long each function took."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = {}

    def ask(self, name: str, *args: Any) -> Any:
        """The function's answer, or None."""
        began = time.perf_counter()
        try:
            answer = getattr(pynvml, name)(*args)
            return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
        except _ERRORS:
            return None
        finally:
            self.took.setdefault(name, []).append(time.perf_counter() - began)

    def fields(self, handle: Any, ids: tuple[int, ...]) -> dict[int, Any]:
        """Those of the field values that there are."""
        found = self.ask("nvmlDeviceGetFieldValues", handle, list(ids)) or ()
        return {one.fieldId: one.value.siVal if one.valueType == 5 else one.value.ullVal for one in found if not one.nvmlReturn}

    def costs(self) -> dict[str, dict[str, float]]:
        """Median and worst microseconds a call, and how many there were."""
        return {
            name: {"calls": len(took), "median_us": round(statistics.median(took) * 1e6, 1), "worst_us": round(max(took) * 1e6, 1)}
            for name, took in sorted(self.took.items())
        }


def record(seconds: float, every: float, *, anonymous: bool, tell: Callable[[str], None], pause: Callable[[float], None]) -> State:
    """Record all GPUs for so long, a sample every so many seconds; Unavailable where NVML cannot be had.

    ``anonymous`` replaces UUIDs and serial numbers and leaves pids out. ``pause`` waits, ``tell`` hears of the progress.
    """
    try:
        pynvml.nvmlInit()
    except _ERRORS as failed:
        raise Unavailable(f"NVML cannot be started: {failed}", help="a recording needs a host with GPUs and their driver") from None
    try:
        return _record(Meter(), seconds, every, anonymous, tell, pause)
    finally:
        pynvml.nvmlShutdown()


def _record(
    meter: Meter, seconds: float, every: float, anonymous: bool, tell: Callable[[str], None], pause: Callable[[float], None]
) -> State:
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    gpus = [_standing(meter, handle) for handle in handles]
    tracks: list[list[tuple[float, dict[str, float]]]] = [[] for _ in handles]
    began = time.monotonic()
    while (at := time.monotonic() - began) <= seconds:
        tell(f"{at:.0f} of {seconds:.0f} s")
        for handle, track in zip(handles, tracks, strict=True):
            before, seen = time.monotonic(), figures.moving(meter, handle)
            track.append(((before + time.monotonic()) / 2 - began, seen))
        pause(max(0.0, every - (time.monotonic() - began - at)))
    for number, (gpu, track) in enumerate(zip(gpus, tracks, strict=True)):
        _lay_down(gpu, track, seconds, anonymous)
        if anonymous:
            _disguise(gpu, number)
    driver = meter.ask("nvmlSystemGetDriverVersion") or "0.0"
    cuda = meter.ask("nvmlSystemGetCudaDriverVersion_v2") or 0
    return {
        "schema": SCHEMA,
        "since": round(time.time(), 3),
        "driver": {"version": driver, "library": driver, "loaded": True, "cuda": cuda},
        "gpus": gpus,
        "faults": [],
        "events": [],
        "recorded": {"seconds": seconds, "every": every, "calls": meter.costs()},
    }


def _standing(meter: Meter, handle: Any) -> Gpu:
    gpu: Gpu = {"present": True, "condition": "ok", "unsupported": [], "processes": []}
    for path, value in figures.standing(meter, handle).items():
        figures.put(gpu, path, value)
    gpu["board"] = next((model for model, board in BOARDS.items() if board.name == gpu.get("name")), None)
    return gpu


def _lay_down(gpu: Gpu, track: list[tuple[float, dict[str, float]]], seconds: float, anonymous: bool) -> None:
    """One curve for each figure that was seen moving; processes by their pid."""
    paths = dict.fromkeys(path for _, seen in track for path in seen)
    for path in paths:
        if path.startswith("processes.") and anonymous:
            continue
        samples = [(at, seen[path]) for at, seen in track if path in seen]
        samples = figures.rates(samples, path) if path in figures.COUNTERS else samples
        samples = [(at, _short(value)) for at, value in samples]
        if samples:
            figures.put(gpu, path, _curve(samples, seconds))


def _short(value: float) -> float:
    """Six digits are more than NVML knows; whole numbers stay as they are."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _curve(samples: list[tuple[float, float]], seconds: float) -> Any:
    first = samples[0][1]
    if all(abs(value - first) <= SAME for _, value in samples):
        return first
    steps = [
        [round(at, 2), value] for (at, value), (_, before) in zip(samples, [(0.0, None), *samples], strict=False) if value != before
    ]
    return {"curve": "steps", "steps": [[0.0, steps[0][1]], *steps[1:]], "repeat": seconds}


def _disguise(gpu: Gpu, number: int) -> None:
    gpu["uuid"] = f"GPU-{uuid.uuid5(uuid.NAMESPACE_OID, f'recorded/{number}')}"
    gpu["serial"] = f"{number:013d}"
    for place, instance in enumerate(gpu["mig"]["instances"]):
        instance["uuid"] = f"MIG-{uuid.uuid5(uuid.NAMESPACE_OID, f'recorded/{number}/{place}')}"
