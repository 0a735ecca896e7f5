"""What an attach needs before gdb starts, done on a lane: the folder, memray where the target can read it, the guard's job."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import asdict
from types import ModuleType
from typing import Any

from agent.dataclass import dataclass
from agent.errors import Unavailable
from agent.host import attach_census, attach_collect, attach_gdb, attach_payload, attach_turns, bundles
from agent.host.attach_gate import Admitted
from agent.host.attach_place import Ledger, Place, make

INJECT_S = 5.0
"""From gdb's start until the target must have reached a safe point; then gdb lets go."""


@dataclass(frozen=True)
class Stage:
    """What one stage records: ``default`` (malloc and mmap), ``pymalloc`` (all Python objects, too), ``native`` (C stacks, too).

    ``collect`` records nothing and collects garbage once, if it takes at most ``pause`` seconds; ``seconds`` is how long a lone
    thread is waited for, ``though_off``: also where the program switched its collector off.
    """

    mode: str
    seconds: float
    pause: float = 0.0
    though_off: bool = False


@dataclass(frozen=True)
class Prepared:
    """A folder, a lock and a job for the guard; ``token`` is in every file the payload writes."""

    place: Place
    lock: int
    token: str
    job: dict[str, Any]


def find_gdb() -> str:
    """gdb's path, or :class:`Unavailable`."""
    found = shutil.which("gdb")
    if found is None:
        raise Unavailable("gdb is not installed", help="apt-get install gdb (or dnf install gdb)")
    return found


def prepare(
    target: Admitted, stage: Stage, *, gdb: str, ledger: Ledger, state_dir: str, wait_s: float, total_s: float, cap: int
) -> Prepared:
    """Lock the target, make its capture's folder, and write the job. Nothing is left behind if a part fails."""
    bundle = bundles.find(state_dir, target.python)
    lock = ledger.take(target.pid)
    try:
        place = make(target.pid, secrets.token_hex(16), target.uid, target.gid)
    except BaseException:
        ledger.release(lock)
        raise
    try:
        ledger.note(lock, target.pid, target.start_time, place)
        seen = bundle if reachable(target, bundle) else place.put_bundle(bundle)
        token = secrets.token_hex(16)
        config = {"folder": f"{place.inner}/out", "bundle": seen, "token": token, "wait_s": wait_s, "cap": cap}
        config["stage"] = asdict(stage)
        return Prepared(place, lock, token, _job(target, place, seen, gdb, config, total_s))
    except BaseException:
        place.remove()
        ledger.release(lock)
        raise


def _job(target: Admitted, place: Place, bundle: str, gdb: str, config: dict[str, Any], total_s: float) -> dict[str, Any]:
    return {
        "pid": target.pid,
        "ticks": target.ticks,
        "argv": [gdb, *attach_gdb.OPTIONS],
        "script": attach_gdb.script(bundles.injector(bundle)),
        "payload": payload(config),
        "inject_s": INJECT_S,
        "total_s": total_s,
        "name": place.name,
        "parent_fd": place.parent_fd,
        "out_fd": place.out_fd,
    }


def reachable(target: Admitted, bundle: str) -> bool:
    """True if the target sees the same files as we do, and may read the bundle."""
    if not os.path.samestat(os.stat(f"/proc/{target.pid}/root"), os.stat("/")):
        return False
    if os.readlink(f"/proc/{target.pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"):
        return False
    folder = os.path.abspath(bundle)
    while target.uid != 0 and folder != "/":
        if not os.stat(folder).st_mode & 0o001 and os.stat(folder).st_uid != target.uid:
            return False
        folder = os.path.dirname(folder)
    return True


def payload(config: dict[str, Any]) -> str:
    """The program text for the target. Its frames carry a file name of ours, so that they can be told from the target's own."""
    collects = config["stage"]["mode"] == "collect"
    modules = (attach_payload, attach_collect) if collects else (attach_census, attach_payload)
    given = ("put", "stopped", "real_sleep") if collects else ("census", "calm")
    words = ", ".join([repr(config), *(f"space[{name!r}]" for name in given)])
    steps = [*(_loaded(module) for module in modules), f"space[{'collect' if collects else 'main'!r}]({words})"]
    if not collects:  # there every thread's pause counts, and nothing is imported
        steps = [
            _loaded(attach_turns),
            "space['hurry']()",
            "try:",
            *(f"    {step}" for step in steps),
            "finally:",
            "    space['calm']()",
        ]
    return "\n".join(["space = {'__name__': 'anfl_agent_payload'}", *steps, ""])


def _loaded(module: ModuleType) -> str:
    with open(str(module.__file__), encoding="utf-8") as file:
        return f"exec(compile({file.read()!r}, '<anfl-agent>', 'exec'), space)"
