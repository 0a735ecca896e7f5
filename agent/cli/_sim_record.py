"""``anfl-agent sim gpu record``: this host's real GPUs as a simulator state."""

from __future__ import annotations

import time
from pathlib import Path

import click

from agent.cli._output import Progress, print_json
from agent.errors import UsageError
from agent.yamlunits import parse_duration


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    try:
        return parse_duration(value)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from None


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path), metavar="OUT")
@click.option("--for", "seconds", default="60s", show_default=True, callback=_seconds, help="How long.")
@click.option("--every", default="1s", show_default=True, callback=_seconds, help="A sample so often.")
@click.option("--anonymous", is_flag=True, help="Made-up UUIDs and serial numbers, no pids.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def record(out: Path, seconds: float, every: float, anonymous: bool, force: bool, as_json: bool) -> int:
    """Record this host's real GPUs into a state file.

    Their figures become curves that repeat. How long NVML's calls took is shown, and kept in the file.
    """
    from agent.sim import record as recording
    from agent.sim import statefile

    if out.exists() and not force:
        raise UsageError(f"{out} exists", help="--force replaces it")
    if every <= 0:
        raise UsageError("--every 0", help="such as 1s")
    progress = Progress()
    state = recording.record(seconds, every, anonymous=anonymous, tell=progress, pause=time.sleep)
    progress.done()
    statefile.write(out, state)
    calls = state["recorded"]["calls"]
    if as_json:
        print_json({"schema": "anfl.sim-gpu-change/1", "state": str(out.absolute()), "gpus": len(state["gpus"]), "calls": calls})
        return 0
    click.echo(f"{out}: {len(state['gpus'])} GPUs")
    for name, cost in sorted(calls.items(), key=lambda item: -item[1]["median_us"]):
        click.echo(f"  {name:<44} {cost['median_us']:>10.1f} µs  worst {cost['worst_us']:>10.1f}")
    return 0
