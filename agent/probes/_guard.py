"""What every probe needs around its look: a target that is still the same process, a lane for blocking reads, and no exceptions."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable

from agent.errors import AgentError, NotApplicable, Refused
from agent.host.lane import Stalled
from agent.host.procs import python_minor, still, tree
from agent.host.procstat import NoSuchProcess, stat
from agent.host.text import clean
from agent.model import Evidence, Kind, Metric, Target


def answer(name: str, unit: str, help: str) -> Metric:
    """Declare one answer of a probe."""
    return Metric(name, Kind.GAUGE, unit, help)


async def guarded(source: str, body: Callable[[], Awaitable[Evidence]]) -> Evidence:
    """Run a look; whatever keeps it from looking becomes ``because`` and ``try_``. The evidence says how long it took."""
    began = time.monotonic()
    try:
        evidence = await body()
    except Stalled as error:
        evidence = Evidence(
            source, because=error.message, try_="the kernel does not answer for this process: see `anfl-agent doctor`"
        )
    except AgentError as error:
        evidence = Evidence(source, because=error.message, try_=error.help, applies=not isinstance(error, NotApplicable))
    except (FileNotFoundError, ProcessLookupError):
        evidence = Evidence(
            source, because="the process ended while it was looked at", try_="see what took its place, or its exit code"
        )
    except OSError as error:
        evidence = Evidence(source, because=clean(str(error)), try_="see `anfl-agent doctor`")
    return dataclasses.replace(evidence, took_s=round(time.monotonic() - began, 3))


def pid_of(target: Target) -> int:
    """The target's process, if it is still the one that was meant."""
    if target.pid is None:
        raise Refused(f"{target.kind} {clean(target.name)} names no process".replace("  ", " "), help="name one with --pid")
    if target.start_time is not None and not still(target.pid, target.start_time):
        raise NoSuchProcess(target.pid)
    stat(target.pid)
    return target.pid


def python_of(pid: int) -> int:
    """``pid`` if it runs Python, else its one Python descendant (a launcher such as ``sh -c`` hides it)."""
    if stat(pid).state == "D" or python_minor(pid) is not None:
        return pid
    found = [child for child in tree(pid)[1:] if _is_python(child)]
    if len(found) == 1:
        return found[0]
    many = f"one of its Python children ({', '.join(map(str, found[:5]))})" if found else "the Python process itself"
    raise NotApplicable(f"process {pid} is not a Python program", help=f"name {many} with --pid")


def _is_python(pid: int) -> bool:
    try:
        return python_minor(pid) is not None
    except AgentError:
        return False
