"""Changes to a state: figures by their path, GPUs by number, UUID or address, whole workloads by name."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from agent.errors import UsageError
from agent.sim import boards
from agent.sim.boards import GIB
from agent.sim.curves import Value, parse_value, sum_at, value_at
from agent.sim.schema import LISTS, Key, every_path, key_of
from agent.sim.statefile import State
from agent.yamlfile import did_you_mean

Gpu = dict[str, Any]

_RANGE = re.compile(r"(\d+)-(\d+)")
_PLACE = re.compile(r"\.\d+\.")


def gpus_of(state: State, said: Any) -> list[Gpu]:
    """The GPUs meant by ``2``, ``0-3``, ``0,5``, ``all``, a UUID or an address. A number is a place in the file: it never moves."""
    if isinstance(said, list | tuple):
        return [one for part in said for one in gpus_of(state, part)]
    found = [gpu for part in str(said).split(",") for gpu in _some(state["gpus"], part.strip())]
    return list({id(gpu): gpu for gpu in found}.values())


def _some(gpus: list[Gpu], said: str) -> list[Gpu]:
    if said == "all":
        return gpus
    if span := _RANGE.fullmatch(said):
        chosen = gpus[int(span[1]) : int(span[2]) + 1]
    elif said.isdigit():
        chosen = gpus[int(said) : int(said) + 1]
    else:
        chosen = [gpu for gpu in gpus if said.lower() in (str(gpu["uuid"]).lower(), str(gpu["pci"]).lower())]
    if not chosen:
        raise UsageError(f"no GPU '{said}'", help=f"there are {len(gpus)}: a number, 0-3, 0,5, all, a UUID or a PCI address")
    return chosen


def set_figure(state: State, gpu: Gpu, path: str, said: Any, now: float | None = None) -> None:
    """Give one figure a value (a number, a word, a text such as ``sine 0..90 every 30s``, or null for "not on this board").

    A text that begins with ``+`` adds to what it is now. What a figure has added up to so far is kept.
    """
    now = time.time() if now is None else now
    if said is None and path.startswith("processes.") and path.count(".") == 1:
        _forget(gpu["processes"], path.partition(".")[2])
        return
    key = key_of(path)
    if key is None:
        known = [_PLACE.sub(".N.", one) for one in every_path()]
        raise UsageError(f"no figure '{path}'", help=did_you_mean(path, known) or "'anfl-agent sim gpu keys' lists them")
    owner, name = _owner(gpu, path)
    old = owner.get(name)
    if isinstance(said, str) and said.startswith("+"):
        said = value_at(old, now, state["since"]) + float(parse_value(said[1:], key, path))  # type: ignore[arg-type]
    owner[name] = _begun(parse_value(said, key, path), old, key, state, now)


def _begun(value: Value, old: Value, key: Key, state: State, now: float) -> Value:
    """A curve begins now; a figure whose sum counts goes on from where the old one had come to."""
    if key.grows and not isinstance(value, bool | str) and value is not None:
        base = {"base": sum_at(old, now, state["since"]), "since": now}
        return {**value, **base} if isinstance(value, dict) else {"curve": "constant", "value": value, **base}
    return {"since": now, **value} if isinstance(value, dict) else value


def _owner(gpu: Gpu, path: str) -> tuple[dict[str, Any], str]:
    """The mapping that holds a path's last word; entries of lists are made when first spoken of."""
    for name, (known_by, _) in LISTS.items():
        if path.startswith(f"{name}."):
            number, _, rest = path[len(name) + 1 :].partition(".")
            return _down(_entry(_list(gpu, name), known_by, int(number)), rest)
    return _down(gpu, path)


def _down(at: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *above, name = path.split(".")
    for word in above:
        if not isinstance(at.get(word), dict):
            at[word] = {}
        at = at[word]
    return at, name


def _list(gpu: Gpu, name: str) -> list[dict[str, Any]]:
    owner, last = _down(gpu, name)
    found: list[dict[str, Any]] = owner.setdefault(last, [])
    return found


def _entry(entries: list[dict[str, Any]], known_by: str, number: int) -> dict[str, Any]:
    for entry in entries:
        if entry.get(known_by) == number:
            return entry
    entries.append({known_by: number, "type": "compute"} if known_by == "pid" else {known_by: number})
    return entries[-1]


def _forget(entries: list[dict[str, Any]], number: str) -> None:
    entries[:] = [entry for entry in entries if str(entry.get("pid")) != number]


# ------------------------------------------------------------------------------------------------ workloads

_TRAINING = {
    "utilization.gpu": "97 noise 2", "utilization.memory": "55 noise 5", "temperature.gpu": 62, "throttle.idle": 0,
    "performance": 0,
}  # fmt: skip


def busy(state: State, gpus: Iterable[Gpu], share: float = 1.0, now: float | None = None) -> None:
    """As while a model is trained: full clocks and PCIe, power near the limit, warm. ``share`` scales load and power."""
    for gpu in gpus:
        limit, idle = gpu["power"]["enforced_limit"], value_at(gpu["power"]["usage"], 0, 0)
        figures: dict[str, Any] = {**_TRAINING, "power.usage": idle + (0.92 * limit - idle) * share}
        figures["utilization.gpu"] = f"{97 * share:.0f} noise 2"
        figures |= {f"clocks.{name}": highest for name, highest in gpu["clocks"]["max"].items()}
        figures |= {"pcie.generation": gpu["pcie"]["generation_max"], "pcie.receive": 2e9 * share, "pcie.transmit": 4e8 * share}
        if gpu["temperature"].get("memory") is not None:
            figures["temperature.memory"] = 70
        for path, value in figures.items():
            set_figure(state, gpu, path, value, now)


def idle(state: State, gpus: Iterable[Gpu], now: float | None = None) -> None:
    """As a fresh GPU of its board: nothing runs."""
    for gpu in gpus:
        if gpu.get("board") not in boards.BOARDS:
            raise UsageError(f"nothing is known of an idle {gpu.get('name')}", help=f"boards: {', '.join(boards.BOARDS)}")
        like = boards.gpu(gpu["board"], 0)
        for path in (*_TRAINING, "power.usage", "temperature.memory", "pcie.generation", "pcie.receive", "pcie.transmit"):
            set_figure(state, gpu, path, look(like, path), now)
        for name in like["clocks"]["max"]:
            set_figure(state, gpu, f"clocks.{name}", like["clocks"][name], now)
        gpu["processes"] = []


def look(gpu: Mapping[str, Any], path: str) -> Any:
    """What stands at a path; None for nothing."""
    at: Any = gpu
    for word in path.split("."):
        at = at.get(word) if isinstance(at, Mapping) else None
    return at


def cut(gpu: Gpu, slices: Iterable[int]) -> None:
    """MIG: cut a GPU into instances of so many slices of seven; no slices: whole again."""
    sizes = list(slices)
    if not gpu["mig"].get("max"):
        raise UsageError(f"{gpu['name']} has no MIG", help="take an a100, h100, h200 or b200")
    if sum(sizes) > gpu["mig"]["max"] or any(size < 1 for size in sizes):
        raise UsageError(f"slices {sizes} do not fit", help=f"at most {gpu['mig']['max']} together, each at least 1")
    memory = gpu["memory"]["total"]
    gpu["mig"] |= {
        "mode": bool(sizes),
        "pending": bool(sizes),
        "instances": [_instance(gpu, n, s, memory) for n, s in enumerate(sizes)],
    }


def _instance(gpu: Gpu, number: int, slices: int, memory: int) -> dict[str, Any]:
    eighths = 8 if slices == 7 else 4 if slices in (3, 4) else slices
    size = memory * eighths // 8 - GIB // 8
    profile = f"{slices}g.{round(memory * eighths / 8 / GIB):.0f}gb"
    unique = uuid.uuid5(uuid.NAMESPACE_OID, f"{gpu['uuid']}/{number}")
    return {
        "uuid": f"MIG-{unique}", "name": f"{gpu['name']} MIG {profile}", "gpu_instance": number + 1, "compute_instance": 0,
        "slices": slices, "sm": 16 * slices, "total": size, "other": 0,
    }  # fmt: skip
