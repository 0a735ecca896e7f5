"""``anfl-agent deny``: decide about what a playbook proposes."""

from __future__ import annotations

import click

from agent.cli._agent import post
from agent.cli._output import print_json


@click.command("deny")
@click.argument("number", type=click.IntRange(1), metavar="RUN")
@click.option("--reason", "-m", default="", help="Why; it stands in the audit.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def command(ctx: click.Context, number: int, reason: str, as_json: bool) -> int:
    """Refuse that RUN is carried out."""
    told = post(ctx, "/v1/playbook", {"verb": "deny", "id": number, "reason": reason})
    if as_json:
        print_json(told)
    else:
        click.echo(f"run {number} is denied")
    return 0
