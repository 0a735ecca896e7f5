"""``anfl-agent pause``: no playbook acts for a while."""

from __future__ import annotations

import time

import click

from agent.cli._agent import post
from agent.cli._output import print_json
from agent.cli.diagnose import Duration
from agent.errors import UsageError


@click.command("pause")
@click.option("--for", "seconds", type=Duration(), help="How long, such as 2h.")
@click.option("--reason", "-m", default="", help="Why; shown wherever something is held up by it.")
@click.option("--off", is_flag=True, help="End the pause now.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def command(ctx: click.Context, seconds: float | None, reason: str, off: bool, as_json: bool) -> int:
    """Keep all playbooks from acting. Diagnoses, incidents and alerts go on."""
    if off == (seconds is not None):
        raise UsageError("say either --for or --off", help="anfl-agent pause --for 2h --reason 'maintenance'")
    told = post(ctx, "/v1/playbook", {"verb": "resume"} if off else {"verb": "pause", "for_s": seconds, "reason": reason})
    if as_json:
        print_json(told)
    else:
        click.echo(
            "playbooks may act again"
            if off
            else f"paused until {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(told['until']))}"
        )
    return 0
