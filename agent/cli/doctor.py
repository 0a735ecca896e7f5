"""``anfl-agent doctor``: what works on this host, what does not, and how to mend it."""

from __future__ import annotations

import asyncio

import click

from agent import config as configuration
from agent.cli._output import Progress, colour, print_json

MARKS = {"ok": ("✓", "32"), "warn": ("!", "33"), "missing": ("✗", "31"), "absent": ("–", "2")}


@click.command("doctor")
@click.option("--fix", is_flag=True, help="Mend what can be mended here: folders, and memray bundles per Python version.")
@click.option("--wheelhouse", type=click.Path(exists=True, file_okay=False), help="Take memray wheels from this folder (offline).")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout (anfl.doctor/1).")
@click.pass_context
def command(ctx: click.Context, fix: bool, wheelhouse: str | None, as_json: bool) -> int:
    """Check every source, tool and right the agent can use, one line each, with the mend under what is missing.

    Exit codes: 0 all that matters works, 1 something is missing.
    """
    from agent.checkup import doctor

    config = configuration.load(ctx.obj["config"])
    progress = Progress(as_json)
    try:
        items = asyncio.run(doctor(config, fix=fix, wheelhouse=wheelhouse, progress=progress))
    finally:
        progress.done()
    bad = [i for i in items if i.state == "missing"]
    if as_json:
        print_json({"schema": "anfl.doctor/1", "ok": not bad, "checks": [vars(i) for i in items]})
        return 1 if bad else 0
    group = ""
    for item in items:
        if item.group != group:
            group = item.group
            click.echo(f"\n{group}" if item is not items[0] else group)
        mark, code = MARKS[item.state]
        shown = f"\x1b[{code}m{mark}\x1b[0m" if colour() else mark
        click.echo(f"  {shown} {item.name:<18} {item.says}")
        if item.fix and item.state in ("missing", "warn"):
            click.echo(f"      → {item.fix}")
    click.echo(f"\n{len(items)} checks: {sum(i.state == 'ok' for i in items)} ok, {len(bad)} missing")
    return 1 if bad else 0
