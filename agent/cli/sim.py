"""``anfl-agent sim gpu``: simulated GPUs that any NVML client can be pointed at."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli._output import Progress, print_json
from agent.cli._sim_lists import faults, keys
from agent.cli._sim_record import record
from agent.errors import UsageError

if TYPE_CHECKING:
    from agent.sim.gpu import GpuSim

_STATE = click.option(
    "--state", type=click.Path(dir_okay=False, path_type=Path), envvar="ANFL_SIM_GPU", default="gpu.json", show_default=True,
    metavar="FILE", help="The state file (or $ANFL_SIM_GPU).",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


@click.group("sim")
def command() -> None:
    """Simulate hardware that this host does not have."""


@command.group()
def gpu() -> None:
    """Simulated GPUs: a real libnvidia-ml.so.1 whose GPUs live in a state file.

    \b
    anfl-agent sim gpu init --gpus 8                    make gpu.json
    anfl-agent sim gpu run -- nvitop                    run a program that sees these GPUs
    anfl-agent sim gpu set 0 power.usage='sine 70..700 every 30s' temperature.gpu=91
    anfl-agent sim gpu busy 0-3                         as in training
    anfl-agent sim gpu fault lost 2                     break something
    anfl-agent sim gpu clear                            take the faults back

    Changes are in force at the next call of programs that already run.
    """


def _open(state: Path) -> GpuSim:
    from agent.sim import build
    from agent.sim.gpu import GpuSim

    return GpuSim(state, asyncio.run(build.library()))


def _changed(sim: GpuSim, as_json: bool, text: str, **more: Any) -> int:
    if as_json:
        print_json({"schema": "anfl.sim-gpu-change/1", "state": str(sim.path), **more})
    else:
        click.echo(text)
    return 0


@gpu.command()
@_STATE
@click.option("--gpus", type=click.IntRange(0, 16), default=8, show_default=True, help="How many.")
@click.option("--board", default="h200", show_default=True, help="Model: h200, h100, b200, a100, v100, l40s, l4, rtx4090.")
@click.option("--driver", default=None, metavar="VERSION", help="Driver version.")
@click.option("--force", is_flag=True, help="Replace an existing state.")
@_JSON
def init(state: Path, gpus: int, board: str, driver: str | None, force: bool, as_json: bool) -> int:
    """Make a state file with healthy, idle GPUs."""
    from agent.sim import build
    from agent.sim.boards import BOARDS
    from agent.sim.gpu import DRIVER, GpuSim

    if board not in BOARDS:
        raise UsageError(f"no board '{board}'", help=f"there are: {', '.join(BOARDS)}")
    if state.exists() and not force:
        raise UsageError(f"{state} exists", help="--force replaces it")
    compiled = asyncio.run(build.library())
    sim = GpuSim.create(state, compiled, gpus=gpus, board=board, driver=driver or DRIVER)
    return _changed(sim, as_json, f"{sim.path}: {gpus} x {BOARDS[board].name}", gpus=gpus, environment=sim.environment())


@gpu.command()
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="SCRIPT")
@_STATE
@click.option("--pid", type=int, help="The process that 'target' stands for.")
@click.option("--force", is_flag=True, help="Replace an existing state.")
def play(script: Path, state: Path, pid: int | None, force: bool) -> int:
    """Make a state as a script says, and let happen what it says.

    A script is YAML, as 'sim:' of a drill; each of its steps has its time.
    Shipped ones: 'anfl-agent files list examples/gpus'.
    """
    from agent.sim import build
    from agent.sim import script as scripts

    if state.exists() and not force:
        raise UsageError(f"{state} exists", help="--force replaces it")
    said = scripts.read_file(script)
    sim = scripts.make(said, state, asyncio.run(build.library()))
    progress = Progress()
    progress(f"{sim.path}: {len(said.later)} steps to come" if said.later else f"{sim.path}: made")
    asyncio.run(scripts.play(said, sim, {} if pid is None else {"target": pid}, progress))
    progress.done()
    return 0


@gpu.command()
@_STATE
@_JSON
def show(state: Path, as_json: bool) -> int:
    """What the GPUs say now; faults in force, calls counted."""
    from agent.sim import show as showing

    report = showing.report(_open(state))
    if as_json:
        print_json(report)
    else:
        click.echo(showing.as_text(report))
    return 0


@gpu.command("set")
@click.argument("which", metavar="GPU")
@click.argument("figures", nargs=-1, required=True, metavar="PATH=VALUE...")
@_STATE
@_JSON
def set_(which: str, figures: Sequence[str], state: Path, as_json: bool) -> int:
    """Change figures of GPUs ('anfl-agent sim gpu keys' lists them).

    GPU is a number, 0-3, 0,5, all, a UUID or a PCI address. VALUE is a figure with or without its unit, a word, null (this board
    has none), +N (so much more than now), or a curve:

    \b
    sine LOW..HIGH every 30s      ramp FROM..TO over 2m      burst LOW..HIGH for 5s every 20s
    grow FROM +BY/s               steps 0s=10 30s=90 repeat 60s

    each with or without 'noise N' at its end. processes.PID.memory=40GiB puts a process on the GPU, processes.PID=null takes it
    off; nvlink.links.3.state=down is one link.
    """
    sim, by_path = _open(state), dict(_pair(one) for one in figures)
    sim.set(which, by_path)
    return _changed(sim, as_json, f"set {', '.join(by_path)}", set=by_path)


def _pair(text: str) -> tuple[str, Any]:
    path, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"'{text}' is no PATH=VALUE", help="such as temperature.gpu=91")
    return path, None if value in ("null", "") else value


@gpu.command()
@click.argument("which", metavar="GPU")
@_STATE
@_JSON
@click.option("--share", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="How busy.")
def busy(which: str, state: Path, as_json: bool, share: float) -> int:
    """Let GPUs look as while a model is trained."""
    from agent.sim import change

    sim = _open(state)
    with sim.change() as content:
        change.busy(content, change.gpus_of(content, which), share)
    return _changed(sim, as_json, f"busy: {which}", busy=which)


@gpu.command()
@click.argument("which", metavar="GPU")
@_STATE
@_JSON
def idle(which: str, state: Path, as_json: bool) -> int:
    """Let GPUs look as when nothing runs on them."""
    from agent.sim import change

    sim = _open(state)
    with sim.change() as content:
        change.idle(content, change.gpus_of(content, which))
    return _changed(sim, as_json, f"idle: {which}", idle=which)


@gpu.command()
@click.argument("which", metavar="GPU")
@click.argument("slices", nargs=-1, type=click.IntRange(1, 7), metavar="[SLICES]...")
@_STATE
@_JSON
def mig(which: str, slices: tuple[int, ...], state: Path, as_json: bool) -> int:
    """Cut a GPU into MIG instances.

    SLICES are how many of seven each instance gets; none makes the GPU whole.
    """
    from agent.sim import change

    sim = _open(state)
    with sim.change() as content:
        for one in change.gpus_of(content, which):
            change.cut(one, slices)
    return _changed(sim, as_json, f"{which}: {len(slices)} instances" if slices else f"{which}: whole", mig=list(slices))


@gpu.command()
@click.argument("verb")
@click.argument("arguments", nargs=-1, metavar="[ARGUMENT] [NAME=VALUE]...")
@_STATE
@_JSON
def fault(verb: str, arguments: Sequence[str], state: Path, as_json: bool) -> int:
    """Break something: 'anfl-agent sim gpu faults' lists the verbs.

    \b
    fault lost 2                                fault hang                     fault hang 30s gpu=1
    fault slow 6s call='DeviceGetClock*'        fault error TIMEOUT call=DeviceGetPowerUsage count=3
    fault unsupported DeviceGetFanSpeed gpu=0   fault upgrade 590.44.01        fault xid 79 gpu=2
    """
    from agent.sim import verbs

    said: dict[str, Any] = {}
    for one in arguments:
        name, sign, value = one.partition("=")
        if not sign and verb in verbs.VERBS:
            name, value = verbs.VERBS[verb][0], one
        said[name] = value
    sim = _open(state)
    ids = sim.fault(verb, **said)
    return _changed(sim, as_json, f"{verb}{': ' if ids else ''}{', '.join(ids)}", fault=verb, ids=ids)


gpu.add_command(faults)
gpu.add_command(keys)
gpu.add_command(record)


@gpu.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_STATE
@_JSON
def clear(ids: Sequence[str], state: Path, as_json: bool) -> int:
    """Take faults back: these, or all. Calls that hang return; figures that were set stay."""
    sim = _open(state)
    sim.clear(*ids)
    return _changed(sim, as_json, f"cleared {', '.join(ids) or 'all faults'}", cleared=list(ids))


@gpu.command()
@_STATE
@_JSON
def env(state: Path, as_json: bool) -> int:
    """What a client's environment must say.

    For a shell: eval "$(anfl-agent sim gpu env)".
    """
    sim = _open(state)
    sim.install()
    if as_json:
        print_json({"schema": "anfl.sim-gpu-env/1", "environment": sim.environment()})
    else:
        click.echo("\n".join(f"export {name}={shlex.quote(value)}" for name, value in sim.environment().items()))
    return 0


@gpu.command(context_settings={"ignore_unknown_options": True})
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
@_STATE
def run(argv: tuple[str, ...], state: Path) -> None:
    """Run a program that sees the simulated GPUs; its exit code is ours."""
    from agent.host.become import become

    sim = _open(state)
    sim.install()
    become(argv, {**os.environ, **sim.environment()})
