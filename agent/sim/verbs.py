"""Fault verbs: what can be broken, each by one word with at most a few arguments."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from agent.errors import UsageError
from agent.sim.change import gpus_of
from agent.sim.statefile import State
from agent.yamlfile import did_you_mean
from agent.yamlunits import parse_duration

NOT_AVAILABLE = 2**64 - 1
"""What real drivers leave in a figure they do not have."""
GSP_TIMEOUT_S = 6.0
_SAMPLES = ["DeviceGetSamples", "DeviceGetProcessUtilization", "DeviceGetProcessesUtilizationInfo"]
_NEXT_DRIVER = "590.44.01"
_ON_A_CALL = {"gpu", "call", "count", "after"}
EVENTS = (
    "xid", "single-bit-ecc", "double-bit-ecc", "pstate", "clock", "power-source", "mig-change", "ecc-storm", "dram-retired",
    "dram-retirement-failed", "poison", "fatal-poison", "unavailable", "recovery-action",
)  # fmt: skip

Arguments = Mapping[str, Any]


def inject(state: State, verb: str, said: Any) -> list[str]:
    """Do what the verb says; the ids of the faults that came of it. ``said`` is its main argument or a mapping."""
    if verb not in VERBS:
        raise UsageError(f"no fault '{verb}'", help=did_you_mean(verb, VERBS) or f"there are: {', '.join(VERBS)}")
    main, known, do, _ = VERBS[verb]
    given = dict(said) if isinstance(said, Mapping) else {} if said is None or said is True or said == "" else {main: said}
    for name in given:
        if name not in known:
            raise UsageError(f"'{verb}' takes no '{name}'", help=f"it takes: {', '.join(sorted(known)) or 'nothing'}")
    before = {fault["id"] for fault in state["faults"] if "id" in fault}
    try:
        do(state, given)
    except (ValueError, TypeError) as wrong:
        raise UsageError(f"fault {verb}: {wrong}") from None
    return [fault["id"] for fault in state["faults"] if fault.get("id") not in before]


def clear(state: State, ids: list[str] | None = None) -> None:
    """Take faults back: those named, or every one, with lost and missing GPUs, unsupported calls and driver versions."""
    if ids:
        known = {str(fault.get("id")) for fault in state["faults"]}
        for unknown in [one for one in ids if one not in known]:
            raise UsageError(f"no fault '{unknown}'", help=f"there are: {', '.join(sorted(known)) or 'none'}")
        state["faults"] = [fault for fault in state["faults"] if str(fault.get("id")) not in ids]
        return
    state["faults"] = []
    for gpu in state["gpus"]:
        gpu |= {"condition": "ok", "present": True, "unsupported": []}
    state["driver"] |= {"loaded": True, "library": state["driver"]["version"]}


def _add(state: State, verb: str, given: Arguments, **fault: Any) -> None:
    """One fault on calls, for each GPU named or for all."""
    which = gpus_of(state, given["gpu"]) if given.get("gpu") is not None else [None]
    for gpu in which:
        entry: dict[str, Any] = {"id": f"{verb}-{secrets.token_hex(3)}", **fault}
        if given.get("call"):
            entry["call"] = given["call"]
        entry |= {name: int(given[name]) for name in ("count", "after") if given.get(name)}
        if gpu is not None:
            entry["gpu"] = gpu["uuid"]
        state["faults"].append(entry)


def _hang(state: State, given: Arguments) -> None:
    seconds = given.get("seconds", "forever")
    forever = seconds == "forever"
    how = {"hang": "forever" if forever else parse_duration(seconds)}
    _add(state, "hang", given if forever else {"count": 1, **given}, **how)


def _stall(state: State, given: Arguments) -> None:
    _add(state, "stall", given, hang="forever", until=time.time() + parse_duration(given.get("seconds", 10)))


def _slow(state: State, given: Arguments) -> None:
    error = {"error": given["error"]} if given.get("error") else {}
    _add(state, "slow", given, delay=parse_duration(given.get("seconds", GSP_TIMEOUT_S)), **error)


def _error(state: State, given: Arguments) -> None:
    if not given.get("error"):
        raise ValueError("which error? such as error: UNKNOWN")
    _add(state, "error", given, error=given["error"])


def _garbage(state: State, given: Arguments) -> None:
    _add(state, "garbage", given, garbage=int(given.get("value", NOT_AVAILABLE)))


def _no_samples(state: State, given: Arguments) -> None:
    _add(state, "no-samples", given, call=_SAMPLES, error="NOT_FOUND")


def _unsupported(state: State, given: Arguments) -> None:
    if not given.get("call"):
        raise ValueError("which call? such as call: DeviceGetFanSpeed, or field:82")
    for gpu in gpus_of(state, given.get("gpu", "all")):
        gpu["unsupported"] = [*gpu.get("unsupported", ()), str(given["call"])]


def _condition(word: str) -> Callable[[State, Arguments], None]:
    def put(state: State, given: Arguments) -> None:
        for gpu in gpus_of(state, given.get("gpu", 0)):
            gpu["condition"] = word

    return put


def _vanish(state: State, given: Arguments) -> None:
    for gpu in gpus_of(state, given.get("gpu", 0)):
        gpu["present"] = False


def _mismatch(state: State, given: Arguments) -> None:
    state["driver"]["library"] = str(given.get("version", _NEXT_DRIVER))


def _upgrade(state: State, given: Arguments) -> None:
    state["driver"]["version"] = state["driver"]["library"] = str(given.get("version", _NEXT_DRIVER))


def _unload(state: State, given: Arguments) -> None:
    state["driver"]["loaded"] = False


def _xid(state: State, given: Arguments) -> None:
    _event(state, {"data": given.get("xid", 79), **{name: value for name, value in given.items() if name != "xid"}})


def _event(state: State, given: Arguments) -> None:
    kind = given.get("type", "xid")
    if kind not in EVENTS:
        raise ValueError(f"no event '{kind}'; there are: {', '.join(EVENTS)}")
    for gpu in gpus_of(state, given.get("gpu", 0)):
        seq = 1 + max((int(event["seq"]) for event in state["events"]), default=0)
        event = {"seq": seq, "at": time.time(), "gpu": gpu["uuid"], "type": kind, "data": int(given.get("data", 0))}
        event |= {name: int(given[name]) for name in ("gpu_instance", "compute_instance") if name in given}
        state["events"] = [*state["events"][-255:], event]


_INSTANCES = {"gpu_instance", "compute_instance"}
VERBS: Mapping[str, tuple[str, set[str], Callable[[State, Arguments], None], str]] = {
    "hang": ("seconds", _ON_A_CALL | {"seconds"}, _hang, "every call hangs for ever; with seconds: the next call, for so long"),
    "stall": ("seconds", _ON_A_CALL | {"seconds"}, _stall, "every call hangs until so many seconds from now (10)"),
    "slow": ("seconds", _ON_A_CALL | {"seconds", "error"}, _slow, "every call takes so many seconds more (6, as a GSP timeout)"),
    "error": ("error", _ON_A_CALL | {"error"}, _error, "calls fail with this error, such as UNKNOWN or TIMEOUT"),
    "lost": ("gpu", {"gpu"}, _condition("lost"), "a GPU fell off the bus: GPU_IS_LOST"),
    "reset-required": ("gpu", {"gpu"}, _condition("reset-required"), "a GPU waits for a reset: RESET_REQUIRED"),
    "vanish": ("gpu", {"gpu"}, _vanish, "a GPU is gone and the indexes behind it move up; its old handles are lost"),
    "unsupported": ("call", {"gpu", "call"}, _unsupported, "a call, or field:N, is not supported"),
    "no-samples": ("gpu", {"gpu", "count", "after"}, _no_samples, "utilisation has no samples: NOT_FOUND"),
    "garbage": ("value", _ON_A_CALL | {"value"}, _garbage, "figures are nonsense (2^64-1), names hold escapes and no UTF-8"),
    "mismatch": ("version", {"version"}, _mismatch, "a newer library is installed, the old driver loaded: new clients get 18"),
    "upgrade": ("version", {"version"}, _upgrade, "library and driver are replaced: clients that run get 18, new ones work"),
    "unload": ("", set(), _unload, "the driver is not loaded: DRIVER_NOT_LOADED at start"),
    "xid": ("xid", {"gpu", "xid"} | _INSTANCES, _xid, "an Xid event for those that wait for events"),
    "event": ("type", {"gpu", "type", "data"} | _INSTANCES, _event, "any other event"),
}  # fmt: skip
"""Verb → name of its main argument, all its arguments, what it does, one line for people."""
