"""A light count of what piles up in a Python process; sent as text into the target, so it stands alone and must run on 3.9 to 3.13.

Nothing here walks the heap, calls code of the program's own, or fails: a part that cannot be counted is left out.
"""

from __future__ import annotations

import os
import sys
import time
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

CENSUS_S = 0.05
"""Each walk over the modules' names may take this long at most."""
MANY = 20
MAX_TASKS = 50000


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
        refs = getattr(group, "data", None)  # of a WeakSet
        # Walking either would break off whenever another thread adds a task; a copy is one step that no thread comes between.
        if type(group) is set:
            found += group.copy()
        elif type(refs) is set:
            found += [task for task in (ref() for ref in refs.copy()) if task is not None]
    return [task for task in found[:MAX_TASKS] if not task.done()]


def _coroutine(task: Any) -> tuple[str, str, int] | None:
    builtin = getattr(sys.modules.get("_asyncio"), "Task", None)
    coroutine = task.get_coro() if builtin is None or not issubclass(type(task), builtin) else _held(task)
    code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
    return _place(code, getattr(coroutine, "__qualname__", "?"))


def _held(task: Any) -> Any:
    """The coroutine that a task of C holds, or None if it has let go of it.

    ``get_coro`` crashes then on CPython before 3.12.5 (its issue 122332): a task begun eagerly, as those of aiohttp are, may end
    between any two of our steps. What the garbage collector sees of it is looked at in one step.
    """
    for each in __import__("gc").get_referents(task):
        names = type(each).__dict__
        if "cr_code" in names or "gi_code" in names:
            return each
    return None


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


def modules() -> Any:
    """(its names, all values of it and its classes) of every loaded module, for a bounded time; no attribute hook is called."""
    until = time.monotonic() + CENSUS_S
    for module in list(sys.modules.values()):
        if time.monotonic() > until:
            return
        if isinstance(module, ModuleType):
            names = dict(object.__getattribute__(module, "__dict__"))
            inner = [value for each in names.values() if type(each) is type for value in list(each.__dict__.values())]
            yield names, [*names.values(), *inner]


def caches() -> list[list[Any]]:
    """``functools.lru_cache`` objects of modules and their classes: name, file, line, entries, bound or None, misses."""
    kind = type(__import__("functools").lru_cache(maxsize=1)(lambda: None))
    found: dict[tuple[str, str, int], list[Any]] = {}
    for _, values in modules():
        for value in values:
            place = _function(value.__dict__.get("__wrapped__")) if type(value) is kind else None
            if place is not None:
                info = value.cache_info()
                if info.currsize >= 64:
                    found[place] = [*place, info.currsize, info.maxsize, info.misses]
    return sorted(found.values(), key=lambda row: -row[3])[:MANY]


def foreign() -> list[list[Any]]:
    """Functions that use a ctypes library held by their module: name, file, line, the library."""
    if "ctypes" not in sys.modules:
        return []
    library = sys.modules["ctypes"].CDLL
    found: list[list[Any]] = []
    for names, values in modules():
        held = {name: str(value.__dict__.get("_name")) for name, value in names.items() if library in type(value).__mro__}
        for value in values if held else ():
            used = [held[name] for name in held if type(value) is FunctionType and name in value.__code__.co_names]
            place = _function(value)
            if used and place is not None:
                found.append([*place, used[0][:300]])
    return found[:MANY]


def heap() -> dict[str, Any] | None:
    """What the C library's allocator has handed out and what it holds back, in bytes; None where it is not glibc's."""
    ctypes = __import__("ctypes")
    libc = ctypes.CDLL(None)
    modern = hasattr(libc, "mallinfo2")
    fields = ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"]
    size = ctypes.c_size_t if modern else ctypes.c_uint  # the old call counts modulo 4 GiB
    info = type("Info", (ctypes.Structure,), {"_fields_": [(name, size) for name in fields]})
    call = libc.mallinfo2 if modern else libc.mallinfo
    call.restype, call.argtypes = info, []
    now = call()
    return {"used": now.uordblks + now.hblkhd, "free": now.fordblks, "modulo": 0 if modern else 1 << 32}


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
        "foreign": foreign,
        "caches": caches,
        "heap": heap,
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
