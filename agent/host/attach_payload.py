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
from typing import Any

TICK_S = 0.05


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
    try:
        with_path(sys.path.append, bundle, ("typing_extensions", "rich.progress"))
        with_path(lambda path: sys.path.insert(0, path), bundle, ("memray", "memray.reporters.module_tools"))
    finally:
        for name in ("rich.progress", "rich", "typing_extensions"):
            if str(getattr(sys.modules.get(name), "__file__", "")).startswith(bundle + os.sep):
                del sys.modules[name]
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


def watch(path: str, folder: str, seconds: float, cap: int, sleep: Any) -> tuple[str, list[list[float]]]:
    """Wait until the time is up, the capture is too large, or the agent asks to end; says which, and resident bytes over time."""
    began = time.monotonic()
    page = os.sysconf("SC_PAGE_SIZE")
    resident: list[list[float]] = []
    while time.monotonic() < began + seconds:
        with open("/proc/self/statm", "rb") as file:
            resident.append([time.monotonic() - began, int(file.read().split()[1]) * page])
        sleep(TICK_S if seconds < 20 else 0.25)
        if stopped(folder):
            return "asked", resident
        if os.stat(path).st_blocks * 512 > cap:
            return "size", resident
    return "time", resident


def track(memray: Any, census: Any, config: dict[str, Any], number: int, stage: dict[str, Any], sleep: Any, begun: Any) -> None:
    """One tracked stage, between its two census files; ``begun`` is called when the first is there."""
    atexit = __import__("atexit")
    folder = config["folder"]
    path = os.path.join(folder, f"capture-{number}")
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
        first = census()  # only now: making the tracker takes memory, too
        put(folder, f"started-{number}", {"token": config["token"], "census": first, "mode": stage["mode"]})
        begun()
        why, resident = watch(path, folder, stage["seconds"], config["cap"], sleep)
        last = census()
    finally:
        atexit.unregister(end)
        end()
    put(folder, f"done-{number}", {"token": config["token"], "census": {**last, "resident": resident}, "why": why})


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


def main(config: dict[str, Any], census: Any, begun: Any) -> None:
    """Track in stages until the agent has seen enough; ``begun`` is called once tracking has begun."""
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
        track(memray, census, config, number, stage, sleep, begun)
        stage = following(folder, number, config["wait_s"], sleep)
        number += 1
