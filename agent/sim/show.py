"""A state as people and scripts read it: what every GPU says now, what is broken, what has been called."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from agent.host.text import clean
from agent.sim.board import Board
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
    def at(value: Any) -> float:
        return round(value_at(value, now, since), 3)

    processes = {str(one["pid"]): at(one.get("memory")) for one in gpu["processes"]}
    return {
        "number": number,
        "name": clean(str(gpu["name"]), 96),
        "uuid": gpu["uuid"],
        "pci": gpu["pci"],
        "condition": "gone" if not gpu["present"] else gpu["condition"],
        "utilization": at(gpu["utilization"]["gpu"]),
        "memory_used": at(gpu["memory"]["other"]) + sum(processes.values()),
        "memory_total": at(gpu["memory"]["total"]),
        "temperature": at(gpu["temperature"]["gpu"]),
        "power": at(gpu["power"]["usage"]),
        "processes": processes,
        "instances": [one["name"] for one in gpu["mig"]["instances"]],
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
