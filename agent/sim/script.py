"""What a drill's ``sim:`` says: GPUs to begin with, and steps that change them, at once or so long after the fault has begun."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.dataclass import dataclass
from agent.errors import UsageError
from agent.host.lane import aside
from agent.host.text import clean
from agent.sim import change, verbs
from agent.sim.boards import BOARDS
from agent.sim.build import library
from agent.sim.gpu import DRIVER, GpuSim
from agent.sim.statefile import State
from agent.yamlfile import did_you_mean, parse
from agent.yamlunits import parse_duration

BEGIN = ("gpus", "board", "driver", "cuda")
STEP = ("set", "busy", "idle", "mig", "fault", "clear")
STAND_INS = ("target", "culprit")
"""In the place of a pid: the process the drill is about, and the first it printed as CULPRIT."""


@dataclass(frozen=True)
class Later:
    """One step and the seconds after READY at which it is done."""

    after: float
    step: Mapping[str, Any]


@dataclass(frozen=True)
class Script:
    """A checked ``sim:`` mapping."""

    begin: Mapping[str, Any]
    first: Mapping[str, Any]
    later: tuple[Later, ...] = ()


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """A list where a mapping belongs, a word for a number: told as a mistake of whoever wrote it."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, KeyError) as wrong:
        help = "see 'In a drill' in docs/simulator.md"
        raise UsageError(f"sim: cannot be understood ({clean(str(wrong), 120)})", help=help) from wrong


@_understood()
def read(said: Mapping[str, Any]) -> Script:
    """The script in a ``sim:`` mapping; UsageError for what it cannot mean."""
    for name in said:
        if name not in (*BEGIN, *STEP, "then"):
            known = (*BEGIN, *STEP, "then")
            raise UsageError(f"sim: unknown key '{name}'", help=did_you_mean(name, known) or f"known: {', '.join(known)}")
    begin = {name: said[name] for name in BEGIN if name in said}
    if begin.get("board", "h200") not in BOARDS:
        raise UsageError(f"sim: no board '{begin['board']}'", help=f"there are: {', '.join(BOARDS)}")
    first = {name: said[name] for name in STEP if name in said}
    return Script(begin, first, tuple(_later(one) for one in said.get("then", ())))


def read_file(path: Path) -> Script:
    """The script in a YAML file; Problems for what is no YAML, UsageError for what it cannot mean."""
    said = parse(path.read_text("utf-8"), str(path)).plainly()
    if not isinstance(said, dict):
        raise UsageError(f"{path}: no mapping", help="such as {gpus: 8, then: [{after: 3s, fault: {lost: 2}}]}")
    return read(said)


def _later(said: Mapping[str, Any]) -> Later:
    unknown = [name for name in said if name not in (*STEP, "after")]
    if unknown or "after" not in said:
        raise UsageError(
            f"sim.then: {f'unknown key {unknown[0]!r}' if unknown else 'no after'}", help="{after: 3s, fault: {lost: 2}}"
        )
    try:
        after = parse_duration(said["after"])
    except ValueError as wrong:
        raise UsageError(f"sim.then: {wrong}") from None
    return Later(after, {name: value for name, value in said.items() if name != "after"})


class GpuSimulator:
    """Simulated GPUs for drills."""

    async def start(self, said: Mapping[str, Any], place: Path) -> Played:
        """The GPUs of a case in the drill's folder; UsageError for what its script cannot mean, Unavailable without gcc."""
        script, compiled = read(said), await library()
        sim = await aside(lambda: make(script, place / "gpu.json", compiled))
        return Played(script, sim)


@dataclass(frozen=True)
class Played:
    """The GPUs of one drill."""

    script: Script
    sim: GpuSim

    @property
    def environment(self) -> Mapping[str, str]:
        """For the agent under test."""
        return self.sim.environment()

    async def play(self, pids: Mapping[str, int]) -> None:
        """The steps, each at its time."""
        await play(self.script, self.sim, pids)


@_understood()
def make(script: Script, path: Path, compiled: Path) -> GpuSim:
    """The simulated host as it is before the fault; what waits for a pid is left for :func:`play`.

    Later steps are tried on a copy, so that a mistake in one shows before the drill begins.
    """
    begin = script.begin
    sim = GpuSim.create(
        path,
        compiled,
        gpus=int(begin.get("gpus", 8)),
        board=str(begin.get("board", "h200")),
        driver=str(begin.get("driver", DRIVER)),
        cuda=int(begin.get("cuda", 13000)),
    )
    with sim.change() as state:
        apply(state, script.first, {})
    rehearsal = sim.read()
    for step in (script.first, *(one.step for one in script.later)):
        apply(rehearsal, step, dict.fromkeys(STAND_INS, 1))
    return sim


async def play(script: Script, sim: GpuSim, pids: Mapping[str, int], tell: Callable[[str], None] = lambda _: None) -> None:
    """Do the steps at their times; what waited for a pid is done at once. ``tell`` hears of each."""
    began = asyncio.get_running_loop().time()
    waiting = {"set": _only_pids(script.first.get("set", {}))}
    for one in (Later(0.0, waiting), *sorted(script.later, key=lambda step: step.after)):
        await asyncio.sleep(max(0.0, began + one.after - asyncio.get_running_loop().time()))
        await sim.apply(functools.partial(apply, step=one.step, pids=pids))
        tell(f"after {one.after:g} s: {', '.join(one.step)}")


def apply(state: State, step: Mapping[str, Any], pids: Mapping[str, int]) -> None:
    """One step. Figures of processes whose stand-in has no pid yet are left out."""
    if step.get("clear"):
        verbs.clear(state)
    for which, slices in dict(step.get("mig", {})).items():
        for one in change.gpus_of(state, which):
            change.cut(one, slices)
    if "idle" in step:
        change.idle(state, change.gpus_of(state, step["idle"]))
    if "busy" in step:
        change.busy(state, change.gpus_of(state, step["busy"]))
    for which, figures in dict(step.get("set", {})).items():
        for path, value in figures.items():
            if (real := _with_pid(path, pids)) is not None:
                for one in change.gpus_of(state, which):
                    change.set_figure(state, one, real, value)
    for verb, said in dict(step.get("fault", {})).items():
        verbs.inject(state, verb, said)


def _stand_in(path: str) -> str:
    parts = path.split(".")
    return parts[1] if parts[0] == "processes" and len(parts) > 1 and parts[1] in STAND_INS else ""


def _with_pid(path: str, pids: Mapping[str, int]) -> str | None:
    name = _stand_in(path)
    if not name:
        return path
    return path.replace(f".{name}", f".{pids[name]}", 1) if name in pids else None


def _only_pids(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {which: {path: v for path, v in by_path.items() if _stand_in(path)} for which, by_path in figures.items()}
