"""What runs inside the target while it is watched; sent as text, so it stands alone and must run on Python 3.9 to 3.13.

It imports memray from a folder of ours, tracks for a bounded time (bounded bytes, too), takes a light census at both ends of each
stage, and leaves only loaded modules behind. It talks through small files in one folder: ``started-N``, ``done-N`` from here;
``next-N`` and ``stop`` from the agent. If that folder goes away, or ``stop`` appears, it ends at once, so nobody is ever tracked
unattended.
"""

from __future__ import annotations

import json
import os
import sys
import time
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

CENSUS_S = 0.05
"""The walk over module-level caches may take this long at most."""
TICK_S = 0.05
MANY = 20
MAX_TASKS = 50000


def real_sleep() -> Any:
    """The thread's own sleep: under gevent or eventlet ``time.sleep`` would need a hub this thread does not have."""
    try:
        if "gevent.monkey" in sys.modules:
            return sys.modules["gevent.monkey"].get_original("time", "sleep")
        if "eventlet.patcher" in sys.modules:
            return sys.modules["eventlet.patcher"].original("time").sleep
    except Exception:  # whatever is wrong there, the usual sleep will do
        pass
    return time.sleep


def _place(code: Any, name: Any) -> tuple[str, str, int] | None:
    if not isinstance(code, CodeType):
        return None
    return (str(name)[:200], code.co_filename[:500], code.co_firstlineno)


def _function(target: Any) -> tuple[str, str, int] | None:
    for _ in range(3):  # a bound method, or a partial of one
        if type(target) is MethodType:
            target = target.__func__
        elif type(target).__name__ == "partial" and "functools" in sys.modules and type(target) is sys.modules["functools"].partial:
            target = target.func
    if type(target) is FunctionType:
        return _place(target.__code__, target.__qualname__)
    return None


def _count(places: Any) -> list[list[Any]]:
    counts: dict[tuple[str, str, int], int] = {}
    for place in places:
        if place is not None:
            counts[place] = counts.get(place, 0) + 1
    top = sorted(counts.items(), key=lambda item: -item[1])[:MANY]
    return [[name, file, line, count] for (name, file, line), count in top]


def _all_tasks() -> list[Any]:
    module = sys.modules.get("asyncio.tasks")
    found: list[Any] = []
    for name in ("_all_tasks", "_scheduled_tasks", "_eager_tasks"):
        group = getattr(module, name, None)
        if group is None or callable(group):
            continue
        for _ in range(20):  # another thread may add a task while we look
            try:
                found.extend(list(group))
                break
            except RuntimeError:
                continue
    return [task for task in found[:MAX_TASKS] if not task.done()]


def _coroutine(task: Any) -> tuple[str, str, int] | None:
    coroutine = task.get_coro()
    code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
    return _place(code, getattr(coroutine, "__qualname__", "?"))


def tasks() -> dict[str, Any]:
    """Unfinished asyncio tasks, by coroutine."""
    found = _all_tasks()
    return {"count": len(found), "by": _count(_coroutine(task) for task in found)}


def _started_by(thread: Any) -> tuple[str, str, int] | None:
    target = thread.__dict__.get("_target")
    return _function(target) if target is not None else _function(type(thread).__dict__.get("run"))


def threads() -> dict[str, Any]:
    """Running Python threads, by the function they run."""
    module = sys.modules.get("threading")
    found = list(getattr(module, "_active", {}).values())
    return {"count": len(found), "by": _count(_started_by(thread) for thread in found)}


def caches() -> list[list[Any]]:
    """``functools.lru_cache`` objects of modules and their classes: name, file, line, entries, bound or None, misses."""
    kind = type(__import__("functools").lru_cache(maxsize=1)(lambda: None))
    until = time.monotonic() + CENSUS_S
    found: list[list[Any]] = []
    for module in list(sys.modules.values()):
        if time.monotonic() > until:
            break
        if not isinstance(module, ModuleType):
            continue
        values = list(object.__getattribute__(module, "__dict__").values())
        values += [inner for value in values if type(value) is type for inner in list(value.__dict__.values())]
        for value in values:
            place = _function(value.__dict__.get("__wrapped__")) if type(value) is kind else None
            if place is not None:
                info = value.cache_info()
                if info.currsize >= 64 and [*place] not in [row[:3] for row in found]:
                    found.append([*place, info.currsize, info.maxsize, info.misses])
    return sorted(found, key=lambda row: -row[3])[:MANY]


def collector() -> dict[str, Any]:
    """What the cycle collector has done so far."""
    gc = __import__("gc")
    stats = gc.get_stats()
    return {
        "enabled": gc.isenabled(),
        "full": stats[-1]["collections"],
        "freed_by_full": stats[-1]["collected"],
        "freed": sum(row["collected"] for row in stats),
        "kept_garbage": len(gc.garbage),
    }


def memory() -> dict[str, int]:
    """Bytes: resident, its anonymous and file part, swap."""
    names = {"VmRSS": "resident", "RssAnon": "anonymous", "RssFile": "file", "RssShmem": "shared", "VmSwap": "swap"}
    found = {}
    with open("/proc/self/status", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, rest = line.partition(":")
            if name in names:
                found[names[name]] = int(rest.split()[0]) * 1024
    return found


def census() -> dict[str, Any]:
    """Everything countable without walking the heap; a part that fails is left out."""
    parts: dict[str, Any] = {
        "tasks": tasks,
        "threads": threads,
        "caches": caches,
        "gc": collector,
        "memory": memory,
        "fds": lambda: len(os.listdir("/proc/self/fd")),
        "blocks": sys.getallocatedblocks,
        "cpu": time.process_time,
        "time": time.time,
    }
    found = {}
    for name, part in parts.items():
        try:
            found[name] = part()
        except Exception:  # a census must never disturb its target
            pass
    return found


def put(folder: str, name: str, content: Any) -> None:
    """Write a small file so that it appears whole or not at all."""
    with open(os.path.join(folder, name + ".part"), "w") as file:
        json.dump(content, file)
    os.replace(os.path.join(folder, name + ".part"), os.path.join(folder, name))


def load(bundle: str) -> Any:
    """memray from our folder, whose path is there only during the import.

    The target's own rich and typing_extensions win; where it has none, memray gets stand-ins that are taken out again at once.
    """
    memray = sys.modules.get("memray")
    if memray is not None and hasattr(memray, "Tracker"):
        return memray
    switch = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)  # else an import beside a thread that hogs the interpreter takes seconds
    try:
        with_path(sys.path.append, bundle, ("typing_extensions", "rich.progress"))
        with_path(lambda path: sys.path.insert(0, path), bundle, ("memray", "memray.reporters.module_tools"))
    finally:
        for name in ("rich.progress", "rich", "typing_extensions"):
            if str(getattr(sys.modules.get(name), "__file__", "")).startswith(bundle + os.sep):
                del sys.modules[name]
        if sys.getswitchinterval() == 0.0002:
            sys.setswitchinterval(switch)
    return sys.modules["memray"]


def with_path(add: Any, bundle: str, names: tuple[str, ...]) -> None:
    """Import modules while ``bundle`` is on the path."""
    add(bundle)
    try:
        for name in names:  # the Tracker imports module_tools when it is made, when our path is gone
            __import__(name)
    finally:
        while bundle in sys.path:
            sys.path.remove(bundle)


def stopped(folder: str) -> bool:
    """True if the agent asked to end, or has gone and its folder with it."""
    return not os.path.isdir(folder) or os.path.exists(os.path.join(folder, "stop"))


def watch(path: str, folder: str, seconds: float, cap: int, sleep: Any) -> str:
    """Wait until the time is up, the capture is too large, or the agent asks to end; says which."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sleep(TICK_S)
        if stopped(folder):
            return "asked"
        if os.stat(path).st_blocks * 512 > cap:
            return "size"
    return "time"


def track(memray: Any, config: dict[str, Any], number: int, stage: dict[str, Any], sleep: Any) -> None:
    """One tracked stage, between its two census files."""
    atexit = __import__("atexit")
    folder = config["folder"]
    path = os.path.join(folder, f"capture-{number}")
    first = census()
    tracker = memray.Tracker(
        destination=memray.FileDestination(path=path, overwrite=True, compress_on_exit=False),
        native_traces=stage["mode"] == "native",
        trace_python_allocators=stage["mode"] != "default",
        memory_interval_ms=20,
    )
    tracker.__enter__()
    running = [tracker]

    def end() -> None:
        while running:
            running.pop().__exit__(None, None, None)

    atexit.register(end)
    try:
        put(folder, f"started-{number}", {"token": config["token"], "census": first, "mode": stage["mode"]})
        why = watch(path, folder, stage["seconds"], config["cap"], sleep)
        last = census()
    finally:
        atexit.unregister(end)
        end()
    put(folder, f"done-{number}", {"token": config["token"], "census": last, "why": why})


def following(folder: str, number: int, wait: float, sleep: Any) -> dict[str, Any] | None:
    """The stage the agent wants next, or None."""
    until = time.monotonic() + wait
    path = os.path.join(folder, f"next-{number}")
    while time.monotonic() < until and not stopped(folder):
        if os.path.exists(path):
            with open(path) as file:
                found: dict[str, Any] = json.load(file)
            return found if found.get("mode") else None
        sleep(TICK_S)
    return None


def main(config: dict[str, Any]) -> None:
    """Track in stages until the agent has seen enough."""
    folder = config["folder"]
    if stopped(folder):
        return
    if getattr(sys.modules.get("threading"), "_profile_hook", None) is not None:
        raise RuntimeError("the program runs under a profiler of its own")
    sleep = real_sleep()
    memray = load(config["bundle"])
    stage: dict[str, Any] | None = config["stage"]
    number = 1
    while stage is not None and not stopped(folder):
        track(memray, config, number, stage, sleep)
        stage = following(folder, number, config["wait_s"], sleep)
        number += 1
