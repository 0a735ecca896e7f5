"""A state as people and scripts read it: what every GPU says now, what is broken, what has been called."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from agent.host.text import clean
from agent.sim.board import Board
from agent.sim.change import look
from agent.sim.curves import value_at
from agent.sim.gpu import GpuSim

GIB = 2.0**30


def report(sim: GpuSim) -> dict[str, Any]:
    """The document ``anfl.sim-gpu-show/1``."""
    state, now = sim.read(), time.time()
    with Board(sim.path) as board:
        hits = {str(fault["id"]): board.hits(str(fault["id"])) for fault in state["faults"] if "id" in fault}
        calls = board.calls()
    return {
        "schema": "anfl.sim-gpu-show/1",
        "state": str(sim.path),
        "driver": state["driver"],
        "gpus": [_gpu(number, gpu, now, state["since"]) for number, gpu in enumerate(state["gpus"])],
        "faults": [{**fault, "hits": hits.get(str(fault.get("id")), 0)} for fault in state["faults"]],
        "events": len(state["events"]),
        "calls": calls,
    }


def _gpu(number: int, gpu: Mapping[str, Any], now: float, since: float) -> dict[str, Any]:
    def at(path: str) -> float:
        return figure(look(gpu, path))

    def figure(value: Any) -> float:
        return round(value_at(value, now, since), 3)

    processes = {str(one["pid"]): figure(one.get("memory")) for one in look(gpu, "processes") or ()}
    return {
        "number": number,
        "name": clean(str(gpu.get("name")), 96),
        "uuid": clean(str(gpu.get("uuid")), 96),
        "pci": clean(str(gpu.get("pci")), 32),
        "condition": gpu.get("condition", "ok") if gpu.get("present") else "gone",
        "utilization": at("utilization.gpu"),
        "memory_used": at("memory.other") + sum(processes.values()),
        "memory_total": at("memory.total"),
        "temperature": at("temperature.gpu"),
        "power": at("power.usage"),
        "processes": processes,
        "instances": [str(one.get("name")) for one in look(gpu, "mig.instances") or ()],
        "unsupported": gpu.get("unsupported", []),
    }


def as_text(report: Mapping[str, Any]) -> str:
    """The report in lines."""
    driver = report["driver"]
    lines = [
        f"{report['state']}: driver {driver['version']}, library {driver['library']}" + ("" if driver["loaded"] else ", not loaded")
    ]
    for gpu in report["gpus"]:
        memory = f"{gpu['memory_used'] / GIB:6.1f} of {gpu['memory_total'] / GIB:.0f} GiB"
        lines.append(
            f"{gpu['number']:>2}  {gpu['name']:<26} {gpu['pci']}  {gpu['condition']:<14} {gpu['utilization']:5.0f} %  {memory}  "
            f"{gpu['temperature']:3.0f} °C  {gpu['power']:5.0f} W"
            + (f"  {len(gpu['processes'])} processes" if gpu["processes"] else "")
        )
        lines += [f"      {name}" for name in gpu["instances"]]
    lines += [f"fault {one.get('id', '?')}: met {one['hits']} times" for one in report["faults"]]
    if report["calls"]:
        lines.append(f"{sum(report['calls'].values())} calls so far")
    return "\n".join(lines)
